"""What one fit learns from: a source yields rows, a ring stores them, a sampler draws from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.collecting.contract import Source
from lightning_dqn.collecting.sharing import summed_over_ranks
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns
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
from lightning_dqn.system.ranks import ALONE, Ranks, WrongRanks
from lightning_dqn.transitions import Iteration, Learner, Rows


class Experience:
    """Collects, stores and samples, and holds the state of all three.

    Args:
        source: of rows; closed if making the rest fails.
        make_ring: makes the empty ring for a number of environments.
        sampling: chooses what is learned from.
        pace: of collecting and learning, as set by the sampling; with several ranks this rank's.
        ranks: all ranks of the run; counts and metrics are those of all of them.

    Attributes:
        source: of rows.
        replay: the ring.
        sampler: of the sampling.

    Raises:
        ValueError: the ring or the sampler can't be made.
    """

    def __init__(
        self,
        source: Source,
        make_ring: Callable[[int], ReplayBuffer],
        sampling: Sampling,
        pace: Pace,
        ranks: Ranks = ALONE,
    ) -> None:
        self.source = source
        self._pace = pace
        self._ranks = ranks
        self._files: SafeCheckpointIO | None = None
        self._archive: RingArchive | None = None
        self._key = ""
        self._has_told = False
        self._has_state = False
        with ExitStack() as stack:
            stack.callback(source.close)
            self.replay = make_ring(source.num_envs)
            if (read_as := getattr(source, "read_as", None)) is not None:
                read_as(self.replay.config)
            self.sampler: Sampler = sampling.make(self.replay, source.upcoming)
            if ranks.are_several:
                self.sampler.ranks = ranks
                source.share_with(ranks.size)  # type: ignore[attr-defined]
            stack.pop_all()

    def archive_large_ring(self, files: SafeCheckpointIO, key: str) -> None:
        """Save the rows of a large ring beside the checkpoints from now on, not in them.

        Args:
            files: writes the checkpoints.
            key: of this state in a checkpoint.
        """
        if RingArchive.is_wanted(self.replay):
            self._files, self._archive, self._key = files, RingArchive(self.replay, key), key
            self._archive.join(files)
            files.before_save_elsewhere.append(self._tell_of_lost_rows)

    def warm_up(self, learner: Learner) -> Iterator[int]:
        """Fill the ring before learning; yield the env steps so far after each part is stored.

        With several ranks, which don't wait for each other here, this rank's times their number.
        The count continues from that of a learner that has learned already, unless a state was
        loaded.
        """
        env_steps = getattr(learner, "env_steps", 0)
        if env_steps > 0 and not self._has_state:
            self.source.continue_from(self._ranks.share(env_steps))
        for rows, env_steps in self.source.warm_up(learner):
            self.replay.extend(rows)
            yield env_steps * self._ranks.size

    def next_iteration(self, learner: Learner, tell: Callable[[int], None]) -> Iteration:
        """Collect, store and sample.

        Args:
            learner: acts, and values what is sampled.
            tell: called with the env steps so far once the rows are stored.
        """
        collected = self.source.collect(learner)
        self.replay.extend(collected.rows)
        if self._ranks.are_several:
            collected = summed_over_ranks(collected, self._ranks)
        tell(collected.env_steps)
        self.replay.follow_schedules(collected.env_steps)
        transitions = self.sampler.sample(
            self._pace.updates_per_iteration, self._pace.batch_size, collected.env_steps, learner
        )
        self.source.prefetch(learner)
        return Iteration(
            transitions=transitions,
            env_steps=collected.env_steps,
            new_env_steps=collected.new_env_steps,
            epsilon=collected.epsilon,
            episodes=collected.episodes,
            worker_restarts=collected.worker_restarts,
            metrics=collected.metrics,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that collecting and sampling need to continue as if never interrupted."""
        collector = self.source.state_dict()  # rows that are being collected come before those
        with_rows = self._archive is None
        rows = self.replay.state_dict(with_rows=with_rows)
        state = {"collector": collector, "replay": rows, **self._of_ranks()}
        return {**state, "sampler": self.sampler.state_dict()} if self.replay.num_rows else state

    def counters(self) -> dict[str, Any]:
        """Return a state without rows and open episodes: counters and generators."""
        collector = {**self.source.state_dict(), "actor": None, "ahead": None}
        replay = self.replay.state_dict(with_rows=False)
        rows_left = self.replay.num_rows
        counters = {"collector": collector, "replay": replay, "rows_left": rows_left}
        return {**counters, **self._of_ranks()}

    def _of_ranks(self) -> dict[str, int]:
        return {"num_ranks": self._ranks.size} if self._ranks.are_several else {}

    def load_state_dict(self, state: dict[str, Any], checkpoints: Path) -> None:
        """Load what :meth:`state_dict` or :meth:`counters` returned.

        If it has no rows, the policy fills the ring again.

        Args:
            state: as returned by them.
            checkpoints: folder of the checkpoint, which also holds a large ring's rows.

        Raises:
            ValueError: the rows are those of a ring of another size, or the state is that of
                another sampler, of other exploration, or of another number of ranks.
        """
        _check_number(state.get("num_ranks", 1), self._ranks.size)
        self._has_state = True
        self.replay.load_state_dict(state["replay"])
        if self._archive is not None and "segments" in state["replay"]:
            self._archive.load(state["replay"], checkpoints)
        collector = state["collector"]
        if self.replay.num_rows:
            _check_sampler(state["sampler"], self.sampler)
            self.sampler.load_state_dict(state["sampler"])
        elif "sampler" in state and "segments" not in state["replay"]:
            rank_zero_warn(
                "the checkpoint holds no row of the replay ring, which was too large for it and is "
                "filled anew"
            )
        elif state.get("rows_left"):
            rank_zero_warn(
                "this checkpoint was saved after its fit, which ended with its replay ring: the "
                "ring is filled anew. A ModelCheckpoint saves it within the fit"
            )
        if not self.replay.num_rows and "actor" in collector:  # it counts on, and fills the ring
            collector = {**collector, "actor": None}
        last: Rows | None = self.source.load_state_dict(collector)
        if last is not None:
            self.replay.extend(last)

    def close(self) -> None:
        """Close the environments, end the collecting thread and stop archiving."""
        if self._archive is not None and self._files is not None:
            self._archive.leave(self._files)
            self._files.before_save_elsewhere.remove(self._tell_of_lost_rows)
        self._archive = None
        self.source.close()

    def _tell_of_lost_rows(self, checkpoint: dict[str, Any], path: str) -> None:
        """Say once that the ring's rows aren't saved, where no file can lie beside a checkpoint."""
        if self._has_told or self._key not in checkpoint:
            return
        self._has_told = True
        rank_zero_warn(
            f"the replay ring of {self.replay.num_rows:,} rows isn't saved with {path}: a large "
            "one lies beside its checkpoint, in a local folder; a run continued from it "
            "fills it anew. To keep it, save to a local folder, or set a smaller replay.capacity"
        )


def _check_sampler(saved: dict[str, Any], sampler: Sampler) -> None:
    kept, keeps = (", ".join(state) or "nothing" for state in (saved, sampler.state_dict()))
    if kept != keeps:
        raise ValueError(
            f"sampler={type(sampler).__name__}: the checkpoint was saved with another one, which "
            f"kept {kept}, and this one keeps {keeps}; continue with that, or begin another run"
        )


def _check_number(saved: int, present: int) -> None:
    if saved != present:
        raise WrongRanks(
            f"this checkpoint was saved by {saved} rank{'s' if saved > 1 else ''}, each with its "
            f"part of the replay ring, and there {'are' if present > 1 else 'is'} {present}; "
            f"continue with devices * num_nodes = {saved}"
        )


def check_memory(
    spec: EnvironmentSpec,
    config: ReplayConfig,
    sampling: Sampling,
    pace: Pace,
    *,
    device: torch.device | str,
    directory: str | Path | None,
    extra_columns: ExtraColumns = NO_COLUMNS,
) -> None:
    """Refuse sizes that don't fit, before anything is allocated.

    Args:
        spec: of the rows.
        config: of the ring.
        sampling: may need memory beside the ring.
        pace: says how much is drawn at once.
        device: where the module learns.
        directory: of the run; None: not known yet.
        extra_columns: extra columns of the rows.

    Raises:
        ValueError: it names what is too large, and the bytes needed and free.
    """
    beside_bytes = bytes_beside_ring(sampling, ring_rows(pace.num_envs, config.capacity))
    check_ring_fits(
        spec,
        pace.num_envs,
        config,
        device=device,
        directory=directory,
        beside_bytes=beside_bytes,
        extra_columns=extra_columns,
    )
    check_batches_fit(
        spec,
        pace.updates_per_iteration,
        pace.batch_size,
        config.sequence_length,
        extra_columns=extra_columns,
    )


def parts_of_memory(trainer: Any, config: ReplayConfig) -> int:
    """Return how many memories several ranks divide a ring among: of devices, or of machines.

    Args:
        trainer: of one of them.
        config: of the ring.
    """
    is_on_cpu = trainer.strategy.root_device.type == "cpu" or config.storage != "accelerator"
    return int(trainer.num_nodes if is_on_cpu else trainer.world_size)


def is_evaluating(trainer: Any) -> bool:
    """Return whether a Trainer, or None, is running something other than a fit."""
    if trainer is None:
        return False
    return bool(trainer.state.status == "running" and trainer.state.fn != "fit")
