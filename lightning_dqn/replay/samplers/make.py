"""Which rows of the replay ring are learned from: every choice there is, under one name."""

from __future__ import annotations

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns, LambdaReturnSampler
from lightning_dqn.replay.samplers.online import OnlineSampler, OnlineTransitions, Upcoming
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.replay.samplers.uniform import UniformSampler

SamplerConfig = PrioritizedSampling | LambdaReturns | OnlineTransitions


def make_sampler(
    replay: ReplayBuffer, config: SamplerConfig | None, upcoming: Upcoming | None = None
) -> Sampler:
    """Return the sampler that a configuration describes; None samples uniformly.

    Args:
        replay: an empty ring.
        config: which transitions are learned from.
        upcoming: what follows the newest rows, for :class:`OnlineSampler`.
    """
    if isinstance(config, OnlineTransitions):
        assert upcoming is not None, "online learning needs what follows the newest rows"
        return OnlineSampler(replay, upcoming)
    if isinstance(config, PrioritizedSampling):
        return PrioritizedSampler(replay, config)
    if isinstance(config, LambdaReturns):
        return LambdaReturnSampler(replay, config)
    return UniformSampler(replay)
