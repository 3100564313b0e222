"""What a checkpoint has of a DQN beside its tensors, and the fit that goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.former_names import former_tensor_names
from lightning_dqn.learning.optimizers import check_same_optimizers, names_of
from lightning_dqn.networks.misfit import misfit
from lightning_dqn.safekeeping.checkpoint_files import local_path
from lightning_dqn.safekeeping.format_version import migrated
from lightning_dqn.safekeeping.reading import NO_DQN, find_checkpoint
from lightning_dqn.system.seeding import (
    device_generator,
    global_generators,
    set_device_generator,
    set_global_generators,
)


def find_whole(path: Any, *, weights_only: bool) -> Any:
    """Return where a DQN's checkpoint can be read, a local file once it was held against checksums.

    Args:
        path: of a file here or elsewhere, or an open file; the last two are returned as they are.
        weights_only: refuse all but tensors and plain values.

    Raises:
        ValueError: there is no such file, it is damaged, or it isn't one of a DQN.
    """
    local = local_path(path) if isinstance(path, str | PathLike) else None
    if local is None:
        return path
    # On the device "meta" tensors have shapes alone, so that they aren't twice in memory.
    found, checkpoint = find_checkpoint(local, map_location="meta", weights_only=weights_only)
    if "dqn" not in checkpoint:
        raise ValueError(f"{found}: {NO_DQN}")
    return found


def add_state(module: Any, checkpoint: dict[str, Any]) -> None:
    """Add a DQN's counters, the names of its networks, and what a continued fit goes on with."""
    continuation = {
        "generators": global_generators(),
        "device_generator": device_generator(module.device),
        "noise": module.agent.noise_state,
        "augmentation": module.augmentation.state,
        "is_compiled": module.update.is_compiled,
        "most_in_a_graph": module.update.most_in_a_graph,
        "report": module.report.continuation(module.env_steps),
        "optimizers": names_of(module._trainer),
    }
    counters = {"updates": module.updates, "env_steps": module.env_steps}
    networks = module.agent.networks_description()
    checkpoint["dqn"] = {**counters, **networks, "continuation": continuation}


def take_state(
    module: Any, checkpoint: dict[str, Any], *, is_continued: bool
) -> dict[str, Any] | None:
    """Give a DQN its counters and networks, and a checkpoint today's form, for its tensors.

    Args:
        module: a DQN.
        checkpoint: of one.
        is_continued: a fit goes on with it.

    Returns:
        What a continued fit goes on with; None of another.

    Raises:
        ValueError: the checkpoint isn't one of a DQN, its weights don't fit, or its data module
            can't find its state; the DQN is as it was.
    """
    checkpoint |= migrated(checkpoint, "this checkpoint")
    if "dqn" not in checkpoint:
        raise ValueError(NO_DQN)
    state = checkpoint["dqn"]
    checkpoint["state_dict"] = former_tensor_names(checkpoint["state_dict"], state["networks"])
    if module._trainer is not None:  # else the module is a new one, which torch's error discards
        _refuse_other_weights(module, checkpoint)
    if is_continued:
        _hand_over_data(module.trainer, checkpoint)
    module.updates, module.env_steps = state["updates"], state["env_steps"]
    module.agent.restore_networks(state)
    if not is_continued:
        return None
    continuation: dict[str, Any] = state["continuation"]
    return continuation


def _refuse_other_weights(module: Any, checkpoint: dict[str, Any]) -> None:
    """Refuse weights that can't be loaded, before anything of the module changes.

    Copies of the Q-network aren't looked at: they fit where the Q-network does.
    """
    if (what := _misfit(module, checkpoint["state_dict"])) is not None:
        saved = checkpoint.get("hyper_parameters", {})
        reasons = [what, *_differences(saved, module.agent.hyperparameters)]
        raise ValueError(f"this checkpoint is of another network: {'; '.join(reasons)}")


def _misfit(module: Any, state: Mapping[str, Any]) -> str | None:
    strict = module.strict_loading
    for name, network in module.learning_networks.items():
        prefix = "agent.q_network." if name == "q_network" else f"{name}."
        own = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
        if (what := misfit(network, own, strict=strict)) is not None:
            return f"{name}: {what}"
    known = {key.partition(".")[0] for key in module.state_dict()}
    foreign = [key for key in state if key.partition(".")[0] not in known]
    return f"the module has no {foreign[0]}" if foreign and strict else None


def _differences(saved: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return a line for each hyper-parameter, or part of one, that the checkpoint has otherwise."""
    lines = []
    for name, value in own.items():
        other = saved.get(name)
        if (
            isinstance(value, Mapping)
            and isinstance(other, Mapping)
            and value.keys() == other.keys()
        ):
            lines += [f"{name}.{line}" for line in _differences(other, value)]
        elif other != value:
            lines.append(f"{name} is {other!r} in the checkpoint, {value!r} in the module")
    return lines


_OF_A_RING = {"collector", "replay"}
"""What the state of a data module has, by which it is known whatever its class is called."""


def _hand_over_data(trainer: Any, checkpoint: dict[str, Any]) -> None:
    """Give a continued fit's data module its state, for which Lightning goes by the class's name.

    It may be of another class by now, or have another name; where no state came, a warning says so.

    Raises:
        ValueError: several ranks saved it, each of which finds its own part by that name.
    """
    data = getattr(trainer, "datamodule", None)
    name = type(data).__qualname__
    if name in checkpoint or not hasattr(data, "replay"):
        return
    saved = [key for key, state in checkpoint.items() if _keys_of(state) >= _OF_A_RING]
    if not saved:
        rank_zero_warn(
            f"this checkpoint holds nothing of a data module: {name} fills its replay ring anew, "
            "and counts from the module's env steps"
        )
    elif "ranks" in checkpoint:
        raise ValueError(
            f"datamodule={name}: several ranks saved this checkpoint with a {saved[0]}, by whose "
            f"name each finds its part of the replay ring; continue with a {saved[0]}"
        )
    else:
        checkpoint[name] = checkpoint[saved[0]]


def _keys_of(state: Any) -> set[str]:
    return set(state) if isinstance(state, dict) else set()


class Continuation:
    """Brings a fit to where the one before it stood; nothing, where none was continued."""

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None

    def hold(self, state: dict[str, Any] | None) -> None:
        """Keep what :func:`take_state` returned until the fit begins; None: it begins anew."""
        self._state = state

    def begin_fit(self, module: Any) -> None:
        """Give back what report, noise, augmentation and compilation of a DQN went on from.

        Raises:
            ValueError: the run had another optimizer or schedule than the fit.
        """
        # Checkpoints of before there was one hold none.
        module.augmentation.begin_fit((self._state or {}).get("augmentation"))
        if self._state is not None:
            check_same_optimizers(self._state.get("optimizers", {}), module.trainer)
            module.report.load_continuation(self._state["report"])
            module.agent.restore_noise(self._state["noise"])
            module.update.was_compiled = self._state["is_compiled"]
            module.update.had_in_a_graph = self._state.get("most_in_a_graph", 0)

    def begin_training(self, device: torch.device) -> None:
        """Set the global generators, after all that draws from them before the first batch.

        Args:
            device: that learns.
        """
        if self._state is not None:
            set_global_generators(self._state["generators"])
            # Checkpoints of before it was kept hold none.
            set_device_generator(device, self._state.get("device_generator"))
            self._state = None
