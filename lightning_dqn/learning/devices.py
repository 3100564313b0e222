"""On which devices a DQN may learn, and what can't be shared where they are several."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from lightning_dqn.system.ranks import Ranks

SUPPORTED_PRECISIONS = ("32-true", "bf16-mixed")


def check_devices(trainer: Any) -> None:
    """Refuse devices, a strategy or a precision that can't be.

    Raises:
        ValueError: naming the option, and what to take instead.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, SingleDeviceStrategy):
        if type(strategy) is not DDPStrategy:
            raise ValueError(
                f"strategy={type(strategy).__name__}: DQN learns on one device, or on several by "
                "strategy=ddp"
            )
        if strategy._start_method != "popen":
            raise ValueError(
                f"strategy=ddp_{strategy._start_method}: needs all of a run handed over to new "
                "processes; choose strategy=ddp, whose processes make it anew"
            )
    asked = trainer.num_devices * trainer.num_nodes
    if trainer.world_size != asked:
        raise ValueError(
            f"devices={trainer.num_devices} * num_nodes={trainer.num_nodes}: the launcher started "
            f"{trainer.world_size} processes, not {asked}; let both agree"
        )
    if trainer.precision not in SUPPORTED_PRECISIONS:
        choice = " or ".join(SUPPORTED_PRECISIONS)
        raise ValueError(f"precision={trainer.precision}: choose {choice}")


def warn_of_slow_precision(trainer: Any) -> None:
    """Warn of a precision by which learning takes longer on this device."""
    is_half = trainer.precision == "bf16-mixed"
    if is_half and trainer.strategy.root_device.type == "cpu" and not multiplies_bfloat16():
        rank_zero_warn(
            "precision=bf16-mixed: this CPU has no instructions for bfloat16 (avx512_bf16 or "
            "amx_bf16), without which learning takes longer than by 32-true, up to five times as "
            "long (trainer.precision)"
        )


def multiplies_bfloat16() -> bool:
    """Return whether the CPU has instructions for it, True where that isn't known."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # newer than torch 2.9
    capabilities: dict[str, Any] = {} if ask is None else ask()
    if capabilities.get("architecture") != "x86_64":
        return True
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def check_shared(trainer: pl.Trainer, data: Any, network: nn.Module | None = None) -> None:
    """Refuse what several ranks can't do together.

    A callback or a layer that can't says why in a text ``alone_because``, a data module in a
    method ``check_ranks``.

    Args:
        trainer: about to fit.
        data: its data module, if it has one.
        network: that learns.

    Raises:
        ValueError: naming it, and what to do instead.
    """
    ranks = Ranks(trainer.world_size, trainer.global_rank)
    if not ranks.are_several:
        return
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if (reason := getattr(callback, "alone_because", None)) is not None:
            raise ValueError(
                f"{type(callback).__name__}: {reason}; leave it out, or learn on one device"
            )
    if network is not None:
        _check_layers(network)
    if data is None:
        return
    if not hasattr(data, "check_ranks"):
        raise ValueError(
            f"datamodule={type(data).__name__}: doesn't say how {ranks.size} ranks share it; pass "
            "a ReplayDataModule, or learn on one device"
        )
    data.check_ranks(ranks)


def _check_layers(network: nn.Module) -> None:
    """Refuse layers that keep something of what they saw, which is other in each rank."""
    for name, layer in network.named_modules():
        reason = getattr(layer, "alone_because", None)
        if isinstance(layer, _NormBase) and layer.track_running_stats:
            reason = (
                "each of several ranks has statistics of its own; GroupNorm and LayerNorm don't"
            )
        if reason is not None:
            raise ValueError(
                f"network {name or 'of'} {type(layer).__name__}: {reason}; choose another network, "
                "or learn on one device"
            )
