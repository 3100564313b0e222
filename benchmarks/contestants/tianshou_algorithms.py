"""The algorithms of Tianshou that have a preset here, with the work unit's constants.

Networks have our presets' layers and sizes: a torso with ReLU after each layer, then the head; IQN
and FQF multiply its features with one layer of embedded fractions.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
from tianshou.algorithm import C51, DQN, FQF, IQN, QRDQN, RainbowDQN
from tianshou.algorithm.modelfree.c51 import C51Policy
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy, QLearningOffPolicyAlgorithm
from tianshou.algorithm.modelfree.fqf import FQFPolicy
from tianshou.algorithm.modelfree.iqn import IQNPolicy
from tianshou.algorithm.modelfree.qrdqn import QRDQNPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory, RMSpropOptimizerFactory
from tianshou.data.types import RolloutBatchProtocol
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import (
    FractionProposalNetwork,
    FullQuantileFunction,
    ImplicitQuantileNetwork,
    NoisyLinear,
)
from work_unit import WORK_UNIT

# As in conf/module/head and conf/algorithm/rainbow.yaml.
NUM_ATOMS = NUM_QUANTILES = 51
NUM_FRACTIONS = 32
NUM_COSINES = 64
RAINBOW_N_STEP = 3
ALPHA = {"per": 0.6, "rainbow": 0.5}
"""Exponent of the priorities, of the algorithms that have them."""
BETA_START, BETA_END = 0.4, 1.0
FRACTION_LEARNING_RATE = 2.5e-9
"""Of Tianshou's own FQF on CartPole, with RMSprop."""

NUM_FEATURES = WORK_UNIT.hidden_sizes[-1]
NUM_ACTIONS = 2
DUELING: dict[str, Any] = {"dueling_param": ({}, {})}
NOISY: dict[str, Any] = {"linear_layer": NoisyLinear}
NOISY_DUELING = NOISY | {"dueling_param": (NOISY, NOISY)}


class NoisyDQN(DQN):
    """DQN that draws noise for each update; of Tianshou's own only Rainbow does."""

    def __init__(self, **kwargs: Any) -> None:
        """Take DQN's arguments, and take away what switches the target network's noise off."""
        super().__init__(**kwargs)
        self.model_old = self.model_old.module

    def _update_with_batch(self, batch: RolloutBatchProtocol) -> Any:
        RainbowDQN._sample_noise(self.policy.model)
        RainbowDQN._sample_noise(self.model_old)
        return super()._update_with_batch(batch)


def build_algorithm(name: str) -> QLearningOffPolicyAlgorithm:
    """Build the algorithm that has the name of a preset."""
    spec = gymnasium.make(WORK_UNIT.env_id)
    spaces = {"action_space": spec.action_space, "observation_space": spec.observation_space}
    learning = {
        "optim": AdamOptimizerFactory(lr=WORK_UNIT.learning_rate),
        "gamma": WORK_UNIT.gamma,
        "target_update_freq": WORK_UNIT.target_every_n_updates,
    }
    return ALGORITHMS[name](spaces, learning)


def network(**options: Any) -> Net:
    """Build the torso and a layer of values."""
    sizes = WORK_UNIT.hidden_sizes
    return Net(state_shape=4, action_shape=NUM_ACTIONS, hidden_sizes=sizes, **options)


def scalar(
    spaces: dict, learning: dict, *, kind: type[DQN] = DQN, double: bool = False, **options: Any
) -> DQN:
    """Build one of one value for each action."""
    policy = DiscreteQLearningPolicy(model=network(**options), **spaces)
    return kind(policy=policy, is_double=double, **learning)


def categorical(
    spaces: dict, learning: dict, *, kind: type[C51] = C51, n_step: int = 1, **options: Any
) -> C51:
    """Build one of probabilities of fixed returns."""
    v_min, v_max = WORK_UNIT.value_range
    model = network(num_atoms=NUM_ATOMS, softmax=True, **options)
    policy = C51Policy(model=model, num_atoms=NUM_ATOMS, v_min=v_min, v_max=v_max, **spaces)
    return kind(policy=policy, n_step_return_horizon=n_step, **learning)


def quantile(spaces: dict, learning: dict) -> QRDQN:
    """Build QR-DQN."""
    policy = QRDQNPolicy(model=network(num_atoms=NUM_QUANTILES), **spaces)
    return QRDQN(policy=policy, num_quantiles=NUM_QUANTILES, **learning)


def quantile_function(kind: type[ImplicitQuantileNetwork]) -> ImplicitQuantileNetwork:
    """Build the network of IQN or FQF."""
    torso = Net(state_shape=4, hidden_sizes=WORK_UNIT.hidden_sizes)
    return kind(preprocess_net=torso, action_shape=NUM_ACTIONS, num_cosines=NUM_COSINES)


def implicit(spaces: dict, learning: dict) -> IQN:
    """Build IQN with as many fractions everywhere."""
    policy = IQNPolicy(
        model=quantile_function(ImplicitQuantileNetwork),
        sample_size=NUM_FRACTIONS,
        online_sample_size=NUM_FRACTIONS,
        target_sample_size=NUM_FRACTIONS,
        **spaces,
    )
    return IQN(policy=policy, num_quantiles=NUM_FRACTIONS, **learning)


def proposed(spaces: dict, learning: dict) -> FQF:
    """Build FQF without a bonus for entropy."""
    policy = FQFPolicy(
        model=quantile_function(FullQuantileFunction),
        fraction_model=FractionProposalNetwork(NUM_FRACTIONS, NUM_FEATURES),
        **spaces,
    )
    fraction_optim = RMSpropOptimizerFactory(lr=FRACTION_LEARNING_RATE)
    return FQF(
        policy=policy, fraction_optim=fraction_optim, num_fractions=NUM_FRACTIONS, **learning
    )


ALGORITHMS: dict[str, Callable[[dict, dict], QLearningOffPolicyAlgorithm]] = {
    "dqn": scalar,
    "double_dqn": partial(scalar, double=True),
    "dueling": partial(scalar, double=True, **DUELING),
    "per": partial(scalar, double=True),
    "noisy_dqn": partial(scalar, kind=NoisyDQN, **NOISY),
    "c51": categorical,
    "qr_dqn": quantile,
    "iqn": implicit,
    "fqf": proposed,
    "rainbow": partial(categorical, kind=RainbowDQN, n_step=RAINBOW_N_STEP, **NOISY_DUELING),
}
