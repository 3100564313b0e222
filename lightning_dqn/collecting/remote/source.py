"""Rows of actors elsewhere, taken at the pace at which they are learned from.

Each actor has its part of the environments and its lane: what it sent and nobody took yet. An
iteration takes as many times from all lanes as it needs, side by side; an actor is asked for
more where its lane runs short, so one that isn't asked does nothing, and the ratio of learning to
collecting is the one that was set::

    actor 0   block | block | ..         lane 0   t t t t t t          iteration
    actor 1   block | ..            -->  lane 1   t t t          -->   T times of all E
    actor 2   lost, begins anew          lane 2   t - - -              "-": filled up, no start
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from lightning_dqn.collecting.contract import Collected, Reading
from lightning_dqn.collecting.final_rows import final_rows
from lightning_dqn.collecting.remote.actor_pool import ActorPool
from lightning_dqn.collecting.remote.block import Block, BlockRequest
from lightning_dqn.collecting.remote.chains import ChainTerms
from lightning_dqn.collecting.remote.lane import Lane
from lightning_dqn.collecting.remote.parts import (
    following_of,
    from_plain,
    of_all,
    owned,
    part_of,
    to_plain,
)
from lightning_dqn.collecting.remote.probe import Probe
from lightning_dqn.collecting.remote.published_policy import PublishedPolicy
from lightning_dqn.collecting.remote.session import Session
from lightning_dqn.collecting.unread_states import UnreadStates
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.state import UnknownStateError
from lightning_dqn.environments.worker_faults import WorkerError
from lightning_dqn.extra_columns import INITIAL_PRIORITY, NO_COLUMNS, ExtraColumns
from lightning_dqn.transitions import (
    NO_ACTION,
    Learner,
    Rows,
    joined,
    rows_from_plain,
    truncated_by,
)


class Terms(NamedTuple):
    """How rows are asked for.

    Attributes:
        synchronous: when they are needed, by the newest weights.
        block_times: T of a block.
        blocks_ahead: that an actor may be ahead.
        weights_every_n_iterations: how often actors get newer weights.
        warmup_env_steps: before the first iteration.
        env_steps_per_iteration: one more step of all environments may be needed to reach it, and
            the next iteration takes that much less.
        can_save_environments: they can be continued from a checkpoint.
    """

    synchronous: bool
    block_times: int
    blocks_ahead: int
    weights_every_n_iterations: int
    warmup_env_steps: int
    env_steps_per_iteration: int
    can_save_environments: bool


class RaySource:
    """Rows of actors elsewhere, see :class:`lightning_dqn.collecting.contract.Source`.

    Args:
        session: Ray, begun; ended with the source.
        pool: the actors.
        spec: of the rows.
        num_envs: E, of all actors together.
        terms: how rows are asked for.
        extra_columns: that they carry.
    """

    def __init__(
        self,
        session: Session,
        pool: ActorPool,
        spec: EnvironmentSpec,
        num_envs: int,
        terms: Terms,
        extra_columns: ExtraColumns = NO_COLUMNS,
    ) -> None:
        self._extra_columns = extra_columns
        self._reading: Reading | None = None
        self.num_envs = num_envs
        self._session, self._pool, self._spec, self._terms = session, pool, spec, terms
        each = num_envs // pool.size
        self._lanes = [Lane(spec, each, extra_columns) for _ in range(pool.size)]
        self._probe: Probe | None = Probe(session.ray.nodes)
        self._env_steps = self._env_steps_told = self._target_env_steps = 0
        self._iterations = 0
        self._has_rows = False
        self._policy = PublishedPolicy(session.ray, pool.size)
        self._oldest_weights: int | None = None
        self._unread = UnreadStates(pool.name)

    # --- the contract

    def read_as(self, reading: Reading) -> None:
        """Hear what a transition is, by which actors compute initial priorities."""
        if INITIAL_PRIORITY in self._extra_columns:
            self._reading = reading

    def warm_up(self, learner: Learner) -> Iterator[tuple[Rows, int]]:
        """Yield ``warmup_env_steps`` in parts; at first actions are random."""
        is_random = self._env_steps == 0
        if not is_random:
            self._send_weights(learner)
        until = self._env_steps + self._terms.warmup_env_steps
        while self._env_steps < until:
            part = min(until, self._env_steps + max(1_000, 4 * self.num_envs))
            yield self._take_until(part, until, is_random=is_random), self._env_steps
        self._target_env_steps = until
        self._env_steps_told = self._env_steps

    def collect(self, learner: Learner) -> Collected:
        """Return the rows of the next iteration, and let actors go on."""
        self._check_alive()
        if self._newer_are_due:
            self._send_weights(learner)
        elif not self._policy.is_stored:  # the run goes on, with the weights that actors had
            self._send_weights(learner, self._policy.weights)
        self._iterations += 1
        self._target_env_steps += self._terms.env_steps_per_iteration
        self._oldest_weights = None
        rows = self._take_until(self._target_env_steps, None)
        before, self._env_steps_told = self._env_steps_told, self._env_steps
        return Collected(
            rows=rows,
            env_steps=self._env_steps,
            new_env_steps=self._env_steps - before,
            epsilon=sum(lane.epsilon for lane in self._lanes) / len(self._lanes),
            episodes=[episode for lane in self._lanes for episode in lane.take_episodes()],
            worker_restarts=self._restarts,
            metrics=self._metrics(),
        )

    def prefetch(self, learner: Learner) -> None:
        """Ask actors for what the next iterations need, while learning goes on."""
        if not self._terms.synchronous:
            self._order(0, None, is_random=False)

    def upcoming(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the observations that follow the newest rows, and their legal actions.

        Raises:
            RuntimeError: frames are stacked and actors are ahead, so that it isn't known.
        """
        stacked = of_all([lane.following.stacked for lane in self._lanes])
        if stacked is None:
            raise RuntimeError(
                "upcoming observations with frame stacks aren't known while actors are ahead; set "
                "data.collection.synchronous=true"
            )
        return stacked, self._following()[1]

    def continue_from(self, env_steps: int) -> None:
        """Count from here; the warm-up is the policy's."""
        self._env_steps = self._env_steps_told = env_steps
        self._pool.call("continue_from", [(env_steps,)] * self._pool.size)

    def state_dict(self) -> dict[str, Any]:
        """Return counters and the observations by which open episodes can be ended.

        Where nothing is under way, in synchronous mode, also what actors need to go on exactly,
        with the weights that they have where newer ones aren't due. Rows that wait aren't kept:
        they were not learned from, and count as not taken.
        """
        actors = self._states_of_actors()
        return {
            "env_steps": self._env_steps,
            "target_env_steps": self._target_env_steps,
            "env_steps_told": self._env_steps_told,
            "iterations": self._iterations,
            "actor": to_plain(*self._following()) if self._has_rows else None,
            "actors": actors,
            "weights": None if actors is None or self._newer_are_due else self._policy.weights,
            "ahead": None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> Rows | None:
        """Take back what :meth:`state_dict` gave, or what a source in this process gave.

        Returns:
            The rows that end the open episodes as truncated, where they can't go on.
        """
        self._env_steps = self._env_steps_told = state["env_steps"]
        if state["actor"] is not None:
            self._target_env_steps = state["target_env_steps"]
            self._env_steps_told = state["env_steps_told"]
            self._iterations = state.get("iterations", 0)
            self._has_rows = True
            observation, mask = from_plain(state["actor"])
            for index, lane in enumerate(self._lanes):
                part = following_of(self._spec, *part_of(observation, mask, index, self._pool.size))
                lane.begin_at(part)
            states = state.get("actors") or []
            is_whole = len(states) == self._pool.size
            if is_whole and all(self._pool.call("load_state_dict", [(one,) for one in states])):
                self._policy.weights = state.get("weights")
                return None
        self._pool.call("continue_from", [(self._env_steps,)] * self._pool.size)
        if state["actor"] is None:
            return None
        observation, mask = self._following()
        last = final_rows(self._spec, observation, mask, extra_columns=self._extra_columns)
        ahead = state["ahead"]  # of a source in this process, before what follows
        return last if ahead is None else truncated_by(rows_from_plain(ahead), last)

    def close(self) -> None:
        """End the actors, and Ray where it was begun here; may be called repeatedly."""
        if self._probe is None:
            return
        is_alive = self.fault is None
        self._probe.close()
        self._probe = None
        try:
            if is_alive:
                self._pool.close()
        finally:
            self._session.close()

    @property
    def fault(self) -> RuntimeError | None:
        """Why no more rows will come, though all that was taken can be saved; None: they will."""
        return None if self._probe is None else self._probe.fault

    # --- asking and taking

    def _take_until(self, target: int, last: int | None, *, is_random: bool = False) -> Rows:
        """Return the oldest rows, until so many env steps are taken.

        Args:
            target: env steps, passed by at most E - 1.
            last: env steps at which actors stop; None: they go on.
            is_random: by random actions.
        """
        parts: list[Rows] = []
        while self._env_steps < target or not parts:
            num_times = max(0, -(-(target - self._env_steps) // self.num_envs))
            ahead = None if last is None else -(-(last - self._env_steps) // self.num_envs)
            self._await(num_times, ahead, is_random=is_random)
            sent = [self._oldest_weights, *(lane.oldest_weights for lane in self._lanes)]
            self._oldest_weights = min((one for one in sent if one is not None), default=None)
            rows = joined([lane.take(num_times) for lane in self._lanes], axis=1)
            self._env_steps += int((rows.action != NO_ACTION).sum())
            parts.append(rows)
        self._has_rows = True
        return owned(joined(parts, axis=0))

    def _await(self, num_times: int, ahead: int | None, *, is_random: bool) -> None:
        """Wait until so many times can be taken."""
        while True:
            self._order(num_times, ahead, is_random=is_random)
            # Of one that was lost, what is here is taken all the same, if it is enough.
            lanes = [lane for lane in self._lanes if not lane.is_absent] or self._lanes
            if all(lane.waiting >= num_times for lane in lanes):
                return
            self._check_alive()
            for index, answer in self._pool.answers():
                if isinstance(answer, Block):
                    self._put(index, answer)
                else:
                    self._lanes[index].cut()
                    self._policy.forget(index)
                    self._pool.replace(index, answer)

    def _put(self, index: int, block: Block) -> None:
        try:
            self._lanes[index].put(block)
        except ValueError as error:
            raise ValueError(f"actor {index}: {error}") from error

    def _order(self, num_times: int, ahead: int | None, *, is_random: bool) -> None:
        """Ask actors for what is missing.

        Args:
            num_times: T, that is needed now.
            ahead: T, that is needed until actors stop; None: they go on.
            is_random: by random actions.
        """
        terms = self._terms
        if terms.synchronous:
            goal = num_times
        elif ahead is None:
            goal = max(num_times, terms.blocks_ahead * terms.block_times)
        else:
            goal = ahead
        most = 1 if terms.synchronous else terms.blocks_ahead
        for index, lane in enumerate(self._lanes):
            while self._pool.num_calls(index) < most:
                coming = lane.waiting + self._pool.asked_of(index)
                size = self._size(goal - coming, num_times - coming, goes_on=ahead is None)
                if size <= 0:
                    break
                env_steps = self._env_steps + coming * self.num_envs
                self._ask(index, BlockRequest(size, env_steps, is_random, self._chains(env_steps)))

    def _size(self, missing: int, urgent: int, *, goes_on: bool) -> int:
        """Return the times T of the next block: whole blocks, unless actors stop soon."""
        block = self._terms.block_times
        if self._terms.synchronous:
            return missing
        if goes_on:
            return block if missing >= block or urgent > 0 else 0
        return min(missing, block)

    def _ask(self, index: int, request: BlockRequest) -> None:
        newer = None if request.is_random else self._policy.newer_for(index)
        self._pool.ask(index, request, newer)

    def _chains(self, env_steps: int) -> ChainTerms | None:
        """Return what a transition is after so many env steps, where actors need to know."""
        reading = self._reading
        if reading is None:
            return None
        _, longest = reading.n_step_at(env_steps)
        return ChainTerms(reading.gamma_at(env_steps), longest, reading.reward_clip)

    @property
    def _newer_are_due(self) -> bool:
        """Whether the next iteration begins with the newest weights."""
        return self._iterations % self._terms.weights_every_n_iterations == 0

    def _send_weights(self, learner: Learner, older: dict[str, Any] | None = None) -> None:
        """Let actors have the policy, by its newest weights unless older ones are given."""
        policy = learner.behaviour_policy()
        if self._reading is not None and not hasattr(policy, "priorities"):
            raise ValueError(
                f"collection.initial_priorities=True: the policy {type(policy).__name__} has no "
                "method 'priorities' by which actors could compute them; set it to False"
            )
        self._policy.publish(policy, self._env_steps, older)

    # --- what is told and kept

    @property
    def _restarts(self) -> int:
        inside = sum(lane.worker_restarts or 0 for lane in self._lanes)
        return self._pool.restarts.number + inside

    def _metrics(self) -> dict[str, float]:
        oldest = self._env_steps if self._oldest_weights is None else self._oldest_weights
        return {
            "rollout/actors": sum(not lane.is_absent for lane in self._lanes),
            "rollout/rows_ahead": sum(lane.waiting for lane in self._lanes)
            * (self.num_envs // len(self._lanes)),
            "rollout/policy_age": self._env_steps - oldest,
        }

    def _following(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the observations that follow what was taken, [E, *shape], and their masks."""
        parts = [lane.following for lane in self._lanes]
        observation = np.concatenate([one.observation for one in parts])
        return observation, of_all([one.action_mask for one in parts])

    def _states_of_actors(self) -> list[dict[str, Any]] | None:
        is_quiet = self._terms.synchronous and self._has_rows and self.fault is None
        if not (is_quiet and self._terms.can_save_environments):
            return None
        try:
            states = self._pool.call("state_dict", [()] * self._pool.size)
        except WorkerError:  # told where its rows are asked for, and another takes its place
            return None
        for state in states:
            if isinstance(state, UnknownStateError):
                self._unread.tell(state)
                return None
        return states

    def _check_alive(self) -> None:
        if (fault := self.fault) is not None:
            raise fault
