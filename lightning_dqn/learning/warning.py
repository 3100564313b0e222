"""What a run is warned of while it learns, once each."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn

from lightning_dqn.learning.looking import looking_on

ACTING = {"evaluation_network": "acts in evaluation", "behaviour_network": "acts in training"}
"""Attributes of an agent that name a network -> what it does."""


def warn_of_still_copies(module: Any) -> None:
    """Warn of a target network, or a copy that acts, that nothing moves while a DQN learns."""
    moved = [getattr(operation, "network", None) for operation in module.after_update]
    if module.target.slow_copy and "target_network" not in moved:
        rank_zero_warn(
            "nothing moves the target network: add EMATargetNetwork(tau=0.005) from "
            "lightning_dqn.callbacks to the Trainer's callbacks"
        )
    for attribute, what in ACTING.items():
        name = getattr(module.agent, attribute)
        if name not in [*moved, "q_network"]:
            rank_zero_warn(
                f"nothing moves {name}, which {what}, so what is learned doesn't reach it: add the "
                f"callback that made it, as WeightAverage(network={name!r}), to the Trainer's "
                f"callbacks, or let the Q-network act by module.agent.{attribute} = 'q_network'"
            )


def warn_of_another_target(module: Any) -> None:
    """Warn of a target network that begins with other weights than the Q-network."""
    if module.updates > 0 or not module.target.slow_copy:
        return
    pairs = zip(module.q_network.parameters(), module.target_network.parameters(), strict=True)
    if not all(torch.equal(online, copy) for online, copy in pairs):
        rank_zero_warn(
            "the target network begins with other weights than the Q-network, so the first targets "
            "are those of another one; where weights were loaded into the Q-network, give it the "
            "same: operations.copy(module.target_network, module.q_network), from "
            "lightning_dqn.networks"
        )


def warn_of_rounded_log_policies(module: Any) -> None:
    """Warn of Munchausen where values are rounded to 8 bits before its temperature divides them.

    The log-policy, its entropy and the policy that is valued are then those of other values.
    """
    munchausen = module.target.munchausen
    if munchausen is not None and module.trainer.precision == "bf16-mixed":
        rank_zero_warn(
            "precision=bf16-mixed: Munchausen takes the log-policy of values that are rounded to 8 "
            f"bits, by 0.03 where they are 5, and divides them by temperature="
            f"{munchausen.temperature:g}; learn by 32-true (trainer.precision)"
        )


LEAST_PIXELS = 32
"""In height and width of what is an image; boards and the like are smaller."""


def warn_of_flattened_images(module: Any) -> None:
    """Warn of a layer that takes all numbers of an image at once."""
    shape = module.agent.spec.stacked_shape
    if len(shape) != 3 or min(shape[1:]) < LEAST_PIXELS:
        return
    linear = (one for one in module.agent.q_network.modules() if isinstance(one, nn.Linear))
    if any(one.in_features == math.prod(shape) for one in linear):
        rank_zero_warn(
            f"the network takes images {'x'.join(map(str, shape))} as {math.prod(shape):,} numbers "
            "in a row; NatureCNN() (module/network=nature_cnn) begins with convolutions"
        )


ROWS_BETWEEN_JUDGEMENTS = 10
"""Judging targets takes forward passes of its own, for a network of frames half an update."""


class TargetsWarning:
    """Passes on once what the head of a DQN has to say of its targets, looked at now and then."""

    def __init__(self) -> None:
        self._is_said = False
        self._rows = 0

    def __call__(self, module: Any) -> None:
        """Look at the targets of the newest minibatch, at the first row and each tenth after it."""
        head, batch = module.agent.head, module.minibatch
        if not head.judges_targets or batch is None or self._is_said:
            return
        self._rows += 1
        if self._rows % ROWS_BETWEEN_JUDGEMENTS != 1:
            return
        with looking_on(module):
            output = module.agent.q_network(batch.observation)
            reward, bootstrap = module.bootstrap(batch, output)
        warning = head.judge_targets(reward, batch.discount, bootstrap)
        if warning is not None:
            self._is_said = True
            rank_zero_warn(warning)
