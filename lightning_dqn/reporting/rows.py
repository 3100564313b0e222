"""What a run tells of itself: the rows of metrics.

Shapes: U updates, C statistics.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_dqn.reporting.metrics import EpisodeLength, EpisodeReturn, WrappedReturn
from lightning_dqn.transitions import Episode, Iteration, UpdateStatistics

ROLLOUT_WINDOW_EPISODES = 100


class Trained(NamedTuple):
    """How long a run has trained, the parts before restarts included where they are known.

    Attributes:
        first_env_step: from which on it is counted.
        env_steps: since then.
        seconds: likewise.
        seconds_before: of them, in earlier parts of the run.
    """

    first_env_step: int
    env_steps: int
    seconds: float
    seconds_before: float


class Report(nn.Module):
    """Gathers what happened and makes rows of it, keyed as in the glossary.

    A module without weights: the newest training episodes are saved with the learner.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rollout_return = EpisodeReturn(window=ROLLOUT_WINDOW_EPISODES)
        self.rollout_length = EpisodeLength(window=ROLLOUT_WINDOW_EPISODES)
        self.evaluation_return = EpisodeReturn()
        self.evaluation_length = EpisodeLength()
        self.rollout_wrapped = WrappedReturn(window=ROLLOUT_WINDOW_EPISODES, persistent=False)
        self.evaluation_wrapped = WrappedReturn(persistent=False)
        self._new_returns: list[float] = []
        self._lengths_cut: list[int] = []
        self._has_warned = False
        self._since = (time.perf_counter(), 0, 0)
        self._began, self._seconds_before, self._first_env_step = time.perf_counter(), 0.0, 0
        self._last_env_step = 0

    def begin(self, env_steps: int, updates: int) -> None:
        """Measure the run from now on, and its speeds."""
        self._began, self._first_env_step, self._seconds_before = time.perf_counter(), env_steps, 0
        self.end(env_steps)
        self.start_clock(env_steps, updates)

    def end(self, env_steps: int) -> None:
        """Remember how far training came."""
        self._last_env_step = env_steps

    def tested_at(self, env_steps: int) -> int:
        """Return at which env step a test's row stands: after training at its end.

        Args:
            env_steps: of the weights, which may be those of an earlier checkpoint.
        """
        return max(env_steps, self._last_env_step)

    def trained(self, env_steps: int) -> Trained:
        """Return how long the run has trained, up to so many env steps and to this moment."""
        seconds = time.perf_counter() - self._began + self._seconds_before
        first = self._first_env_step
        return Trained(first, env_steps - first, seconds, self._seconds_before)

    def continuation(self, env_steps: int) -> dict[str, Any]:
        """Return what a continued run counts on from, beside the module's tensors."""
        trained = self.trained(env_steps)
        return {
            "first_env_step": trained.first_env_step,
            "seconds": trained.seconds,
            "wrapped_returns": self.rollout_wrapped.values,
            "new_returns": list(self._new_returns),
        }

    def load_continuation(self, continuation: Mapping[str, Any]) -> None:
        """Take back what :meth:`continuation` gave, after :meth:`begin`."""
        self._first_env_step = continuation["first_env_step"]
        self._seconds_before = continuation["seconds"]
        self.rollout_wrapped.values = continuation["wrapped_returns"]
        self._new_returns = list(continuation.get("new_returns", ()))  # not of 0.2

    def start_clock(self, env_steps: int, updates: int) -> None:
        """Measure speeds from now on."""
        self._since = (time.perf_counter(), env_steps, updates)

    def count_rollout(self, episodes: list[Episode]) -> None:
        """Count finished training episodes."""
        self.rollout_return.update(episodes)
        self.rollout_length.update(episodes)
        self.rollout_wrapped.update(episodes)
        self._new_returns += [episode.episode_return for episode in episodes]

    def count_evaluation(self, episode: Episode) -> None:
        """Count a finished evaluation episode."""
        self.evaluation_return.update([episode])
        self.evaluation_length.update([episode])
        self.evaluation_wrapped.update([episode])
        if episode.is_cut:
            self._lengths_cut.append(episode.episode_length)

    def start_evaluation(self) -> None:
        """Forget the episodes of the last evaluation."""
        self.evaluation_return.reset()
        self.evaluation_length.reset()
        self.evaluation_wrapped.reset()
        self._lengths_cut = []

    def training_row(
        self, statistics: Tensor, iteration: Iteration, env_steps: int, updates: int
    ) -> dict[str, float]:
        """Return the row of an iteration.

        Args:
            statistics: float[U, C], :meth:`UpdateStatistics.stacked` of each update.
            iteration: what was learned from.
            env_steps: so far.
            updates: so far.
        """
        means = UpdateStatistics.of(statistics.mean(dim=0).cpu()).present()
        row = {f"train/{name}": mean.item() for name, mean in means.items()}
        row |= {"train/updates": updates, "rollout/epsilon": iteration.epsilon}
        if self.rollout_return.num_episodes > 0:
            row["rollout/episode_return"] = self.rollout_return.compute().item()
            row["rollout/episode_length"] = self.rollout_length.compute().item()
        if self._new_returns:
            row["rollout/new_episode_return"] = fmean(self._new_returns)
            self._new_returns = []
        row |= _wrapped("rollout", self.rollout_wrapped)
        if iteration.worker_restarts is not None:
            row["rollout/worker_restarts"] = iteration.worker_restarts
        then, old_env_steps, old_updates = self._since
        if iteration.metrics:
            ratio = (updates - old_updates) / max(env_steps - old_env_steps, 1)
            row |= {**iteration.metrics, "rollout/updates_per_env_step": ratio}
        seconds = time.perf_counter() - then
        row["time/env_steps_per_second"] = (env_steps - old_env_steps) / seconds
        row["time/updates_per_second"] = (updates - old_updates) / seconds
        self.start_clock(env_steps, updates)
        return row

    def evaluation_row(self, stage: str) -> dict[str, float]:
        """Return the row of an evaluation under ``stage``, empty if no episode was played."""
        if self.evaluation_return.num_episodes == 0:
            return {}
        return {
            f"{stage}/episode_return": self.evaluation_return.compute().item(),
            f"{stage}/episode_return_std": self.evaluation_return.standard_deviation().item(),
            f"{stage}/episode_length": self.evaluation_length.compute().item(),
            f"{stage}/episodes": self.evaluation_return.num_episodes,
            f"{stage}/episodes_cut": len(self._lengths_cut),
            **_wrapped(stage, self.evaluation_wrapped),
        }

    def warning_of_cuts(self) -> str | None:
        """Return once what is to be said of episodes that evaluation cut."""
        if self._has_warned or not self._lengths_cut:
            return None
        self._has_warned = True
        return (
            f"{len(self._lengths_cut)} of {self.evaluation_return.num_episodes} evaluation "
            f"episodes were cut after {min(self._lengths_cut):,} env steps and counted as they "
            "were; EvaluationConfig(max_episode_steps=...) sets that limit "
            "(data.evaluation.max_episode_steps)"
        )


def _wrapped(stage: str, returns: WrappedReturn) -> dict[str, float]:
    """Return what wrappers made of the returns, where there are any."""
    if returns.num_episodes == 0:
        return {}
    return {f"{stage}/wrapped_return": returns.compute().item()}
