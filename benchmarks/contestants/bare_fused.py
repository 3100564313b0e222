"""The plain loop made quick: acts through NumPy views of the weights and uses fused Adam."""
# ruff: noqa: E402 - the imports are timed.

import time

STARTED = time.perf_counter()

import numpy as np
import torch
from bare_eager import Learner, run
from torch import nn
from work_unit import argument_parser

IMPORTED = time.perf_counter()


class NumpyPolicy:
    """A network's forward pass in NumPy, which is quicker than torch on one observation."""

    def __init__(self, q_network: nn.Sequential) -> None:
        """View the network's weights; the optimizer writes in place, so they stay current."""
        (
            (self._weight_1, self._bias_1),
            (self._weight_2, self._bias_2),
            (self._weight_3, self._bias_3),
        ) = (
            (layer.weight.detach().numpy(), layer.bias.detach().numpy())
            for layer in q_network
            if isinstance(layer, nn.Linear)
        )

    def __call__(self, observation: np.ndarray) -> int:
        """Choose the greedy action of one observation[4]."""
        hidden = np.maximum(self._weight_1 @ observation + self._bias_1, 0.0)
        hidden = np.maximum(self._weight_2 @ hidden + self._bias_2, 0.0)
        return int((self._weight_3 @ hidden + self._bias_3).argmax())


def main() -> None:
    """Run with the NumPy policy."""
    seed = argument_parser().parse_args().seed
    torch.manual_seed(seed)
    learner = Learner(fused=True)
    run(
        name="bare_fused",
        started=STARTED,
        imported=IMPORTED,
        learner=learner,
        policy=NumpyPolicy(learner.q_network),
        seed=seed,
    )


if __name__ == "__main__":
    main()
