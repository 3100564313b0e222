"""Rows of environments that are stepped in this process, optionally in a thread during learning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import InitVar, dataclass, field
from functools import partial
from typing import Any, ClassVar

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.contract import Collected
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.unread_states import UnreadStates
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.grade import read_states, write_states
from lightning_dqn.environments.state import UnknownStateError
from lightning_dqn.system.numbers import keep_switches, keep_whole
from lightning_dqn.system.ranks import warn
from lightning_dqn.transitions import (
    Episode,
    Learner,
    Policy,
    Rows,
    rows_from_plain,
    rows_to_plain,
    truncated_by,
)


@dataclass(frozen=True)
class CollectionConfig(Exploration):
    """How training experience is collected, by stepping environments.

    Args:
        warmup_env_steps: env steps taken with random legal actions before learning starts.
        epsilon: see :class:`lightning_dqn.collecting.exploration.Exploration`.
        random_actions: see there.
        random_action_max_steps: see there.
        temperature: see there.
        overlap: collect the next iteration in a thread while learning from this one. Actions then
            come from the weights at the start of that learning, one iteration older than
            otherwise; the run stays reproducible.
        epsilon_greedy: name of ``random_actions`` in 0.1.
    """

    can_be_shared: ClassVar[bool] = True

    warmup_env_steps: int = 1_000
    overlap: bool = field(default=False, kw_only=True)
    epsilon_greedy: InitVar[bool | None] = field(default=None, kw_only=True)

    def __post_init__(self, epsilon_greedy: bool | None) -> None:
        super().__post_init__()
        keep_whole(self, warmup_env_steps=0)
        keep_switches(self, "overlap")
        if epsilon_greedy is not None:
            text = "epsilon_greedy is now random_actions; the old name goes with 0.3"
            warnings.warn(text, FutureWarning, stacklevel=3)
            object.__setattr__(self, "random_actions", epsilon_greedy)

    def make(
        self,
        environment: EnvironmentFactory,
        *,
        warmup_env_steps: int,
        env_steps_per_iteration: int,
        seed: int,
    ) -> EnvironmentSource:
        """Return the source of rows, see :class:`Collection`."""
        return EnvironmentSource(
            environment,
            self,
            warmup_env_steps=warmup_env_steps,
            env_steps_per_iteration=env_steps_per_iteration,
            seed=seed,
        )


class EnvironmentSource:
    """Rows of environments that are stepped in this process.

    Args:
        environment: makes them.
        config: exploration, overlap.
        warmup_env_steps: collected before the first iteration. The first time actions are random;
            after a restart without the ring they are the policy's.
        env_steps_per_iteration: env steps per iteration. Since all environments step together, an
            iteration may exceed it; the next one takes that much less.
        seed: of environments and exploration.
    """

    def __init__(
        self,
        environment: EnvironmentFactory,
        config: CollectionConfig,
        *,
        warmup_env_steps: int,
        env_steps_per_iteration: int,
        seed: int,
    ) -> None:
        spec = environment.spec  # before others are made: it is read from one that is closed
        self._factory = environment
        self._environment = environment.make()
        self._config = config
        self._warmup_env_steps = warmup_env_steps
        self._env_steps_per_iteration = env_steps_per_iteration
        self.collector = Collector(self._environment, spec, exploration=config, seed=seed)
        self.num_envs = self.collector.num_envs
        self.upcoming = self.collector.upcoming
        self._target_env_steps = 0
        self._env_steps = 0
        self._policy: Policy | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: Future[Rows] | None = None
        self._before_ahead: dict[str, Any] = {}
        self._unread = UnreadStates(environment.name)

    def warm_up(self, learner: Learner) -> Iterator[tuple[Rows, int]]:
        """Yield ``warmup_env_steps`` in parts."""
        collector = self.collector
        is_first = collector.env_steps == 0
        policy = None if is_first else learner.behaviour_policy()
        until = collector.env_steps + self._warmup_env_steps
        while collector.env_steps < until:
            part = min(until, collector.env_steps + max(1_000, 4 * collector.num_envs))
            yield collector.collect(policy, part), collector.env_steps
        self._target_env_steps = until
        self._env_steps = collector.env_steps

    def collect(self, learner: Learner) -> Collected:
        """Return what was collected beside learning, or collect now."""
        rows = self._ahead.result() if self._ahead is not None else self._next(learner)()
        self._ahead = None
        if self._policy is None:  # what lay ready was collected before a restart
            self._policy = learner.behaviour_policy()
        self._target_env_steps += self._env_steps_per_iteration
        before, env_steps = self._env_steps, self.collector.env_steps
        self._env_steps = env_steps
        return Collected(
            rows=rows,
            env_steps=env_steps,
            new_env_steps=env_steps - before,
            epsilon=self.collector.actor.epsilon(self._policy, self.collector.env_steps_of_all),
            episodes=self.collector.take_episodes(),
            worker_restarts=self.collector.actor.worker_restarts,
        )

    def prefetch(self, learner: Learner) -> None:
        """Collect the next iteration in the thread, if ``overlap`` is set."""
        if not self._config.overlap:
            return
        self._before_ahead = self.collector.state_dict()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="collector")
        self._ahead = self._thread.submit(self._next(learner))

    def share_with(self, num_ranks: int) -> None:
        """Be one of ``num_ranks`` ranks: schedules count the env steps of all of them."""
        self.collector.num_ranks = num_ranks

    def continue_from(self, env_steps: int) -> None:
        """Count from ``env_steps``; the policy chooses the warm-up's actions."""
        self.collector.continue_from(env_steps)

    def state_dict(self) -> dict[str, Any]:
        """Return counters, generator, open episodes, environments and rows collected ahead.

        If collecting ahead failed, this is the state before it, whose open episodes can't
        continue: what was learned can be saved, and the next :meth:`collect` raises the failure.
        """
        state = {"target_env_steps": self._target_env_steps, "env_steps_told": self._env_steps}
        if self._ahead is not None and self._ahead.exception() is not None:
            nothing: dict[str, Any] = {"environments": None, "ahead": None, "episodes": []}
            return {**state, **self._before_ahead, **nothing}
        return {
            **state,
            **self.collector.state_dict(),
            "environments": self._read_environments(),
            "ahead": None if self._ahead is None else rows_to_plain(self._ahead.result()),
            "episodes": [tuple(episode) for episode in self.collector.episodes],
        }

    def load_state_dict(self, state: dict[str, Any]) -> Rows | None:
        """Take back what :meth:`state_dict` gave, or what actors elsewhere gave."""
        if "generator" in state:
            self.collector.load_state_dict(state)
        else:
            self.collector.continue_from(state["env_steps"])
        if state["actor"] is None:
            return None
        self._target_env_steps = state["target_env_steps"]
        self._env_steps = state["env_steps_told"]
        self.collector.episodes = [Episode(*one) for one in state.get("episodes", ())]
        last = None if self._continue_episodes(state) else self.collector.final_rows(state)
        if state["ahead"] is None:
            return last
        ahead = rows_from_plain(state["ahead"])
        self._ahead = Future()
        self._ahead.set_result(ahead if last is None else truncated_by(ahead, last))
        return None

    def close(self) -> None:
        """End the thread and close the environments, unless they are the user's own."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = self._ahead = None
        if self._environment is not self._factory.id:
            self._environment.close()

    def _read_environments(self) -> Any:
        """Return the environments' state; None where they can't be continued."""
        if self._factory.grade == "restart":
            return None
        try:
            return read_states(self._environment)
        except UnknownStateError as error:
            self._unread.tell(error)
            return None

    def _continue_episodes(self, state: dict[str, Any]) -> bool:
        """Continue the open episodes, if the environments' states can be restored."""
        states = state.get("environments")
        if states is None:
            return False
        put_back = partial(write_states, self._environment, states)
        try:
            self.collector.continue_episodes(state, put_back)
        except UnknownStateError as error:
            self.collector.load_state_dict(state)
            warn(
                f"{self._factory.name} isn't as it was when the checkpoint was written ({error}): "
                "open episodes end as truncated"
            )
            return False
        return True

    def _next(self, learner: Learner) -> Callable[[], Rows]:
        """Return a function that collects the next iteration with the current weights."""
        self._policy = learner.behaviour_policy()
        until = self._target_env_steps + self._env_steps_per_iteration
        return partial(self.collector.collect, self._policy, until)
