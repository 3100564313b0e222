"""What one fit learns from: a source gives rows, a ring keeps them, a sampler draws from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from lightning_dqn.collecting.contract import Source
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.replay.archive import RingArchive
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.sampler import Pace, Sampler, Sampling, bytes_beside_ring
from lightning_dqn.replay.storage import (
    ReplayConfig,
    check_batches_fit,
    check_ring_fits,
    ring_rows,
)
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO
from lightning_dqn.transitions import Iteration, Learner, Rows


class Experience:
    """Collects, stores and samples, and answers for the state of all three.

    Args:
        source: of rows; closed where the rest can't be made.
        make_ring: makes the empty ring for so many environments.
        sampling: chooses what is learned from.
        pace: of collecting and learning, as the sampling has it.

    Attributes:
        source: of rows.
        replay: the ring.
        sampler: of the sampling.

    Raises:
        ValueError: what the ring or the sampler refuse.
    """

    def __init__(
        self,
        source: Source,
        make_ring: Callable[[int], ReplayBuffer],
        sampling: Sampling,
        pace: Pace,
    ) -> None:
        self.source = source
        self._pace = pace
        self._files: SafeCheckpointIO | None = None
        self._archive: RingArchive | None = None
        with ExitStack() as stack:
            stack.callback(source.close)
            self.replay = make_ring(source.num_envs)
            self.sampler: Sampler = sampling.make(self.replay, source.upcoming)
            stack.pop_all()

    def archive_large_ring(self, files: SafeCheckpointIO, key: str) -> None:
        """Keep the rows of a large ring beside the checkpoints from now on, not in them.

        Args:
            files: writes the checkpoints.
            key: of this state in a checkpoint.
        """
        if RingArchive.is_wanted(self.replay):
            self._files, self._archive = files, RingArchive(self.replay, key)
            self._archive.join(files)

    def warm_up(self, learner: Learner) -> Iterator[int]:
        """Fill the ring before learning; yield the env steps by each part that is stored."""
        for rows, env_steps in self.source.warm_up(learner):
            self.replay.extend(rows)
            yield env_steps

    def next_iteration(self, learner: Learner, tell: Callable[[int], None]) -> Iteration:
        """Collect, store and sample.

        Args:
            learner: acts, and values what is sampled.
            tell: called with the env steps so far once the rows are stored.
        """
        collected = self.source.collect(learner)
        self.replay.extend(collected.rows)
        tell(collected.env_steps)
        self.replay.follow_schedules(collected.env_steps)
        transitions = self.sampler.sample(
            self._pace.updates_per_iteration, self._pace.batch_size, collected.env_steps, learner
        )
        self.source.go_ahead(learner)
        return Iteration(
            transitions=transitions,
            env_steps=collected.env_steps,
            new_env_steps=collected.new_env_steps,
            epsilon=collected.epsilon,
            episodes=collected.episodes,
            worker_restarts=collected.worker_restarts,
            told=collected.told,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that collecting and sampling need to go on as if never interrupted."""
        collector = self.source.state_dict()  # rows that are being collected come before those
        with_rows = self._archive is None
        state = {"collector": collector, "replay": self.replay.state_dict(with_rows=with_rows)}
        return {**state, "sampler": self.sampler.state_dict()} if self.replay.num_rows else state

    def counters(self) -> dict[str, Any]:
        """Return a state without rows and open episodes: counters and generators."""
        collector = {**self.source.state_dict(), "actor": None, "ahead": None}
        return {"collector": collector, "replay": self.replay.state_dict(with_rows=False)}

    def load_state_dict(self, state: dict[str, Any], checkpoints: Path) -> None:
        """Take back what :meth:`state_dict` or :meth:`counters` gave.

        Where it holds no rows the ring fills again from the policy.

        Args:
            state: as they gave it.
            checkpoints: folder of the checkpoint, beside which a large ring's rows lie.

        Raises:
            ValueError: the rows are those of a ring of another size.
        """
        self.replay.load_state_dict(state["replay"])
        if self._archive is not None and "segments" in state["replay"]:
            self._archive.load(state["replay"], checkpoints)
        collector = state["collector"]
        if self.replay.num_rows:
            self.sampler.load_state_dict(state["sampler"])
        elif "actor" in collector:  # it goes on counting, and fills the ring
            collector = {**collector, "actor": None}
        last: Rows | None = self.source.load_state_dict(collector)
        if last is not None:
            self.replay.extend(last)

    def close(self) -> None:
        """Close the environments, end the collecting thread and archive no more."""
        if self._archive is not None and self._files is not None:
            self._archive.leave(self._files)
        self._archive = None
        self.source.close()


def check_memory(
    spec: EnvironmentSpec,
    config: ReplayConfig,
    sampling: Sampling,
    pace: Pace,
    *,
    device: torch.device | str,
    directory: str | Path | None,
) -> None:
    """Refuse sizes that don't fit, before anything is allocated.

    Args:
        spec: of the rows.
        config: of the ring.
        sampling: may keep something beside it.
        pace: says how much is drawn at once.
        device: that learns.
        directory: of the run; None: not known yet.

    Raises:
        ValueError: naming what is too large, the bytes needed and free.
    """
    beside_bytes = bytes_beside_ring(sampling, ring_rows(pace.num_envs, config.capacity))
    check_ring_fits(
        spec,
        pace.num_envs,
        config,
        device=device,
        directory=directory,
        beside_bytes=beside_bytes,
    )
    check_batches_fit(spec, pace.updates_per_iteration, pace.batch_size, config.sequence_length)
