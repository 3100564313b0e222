"""A large ring on its way to the disk: beside the checkpoint, not in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.segments import Segment, SegmentWriter, delete_unnamed, load
from lightning_dqn.replay.storage import ring_bytes
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO
from lightning_dqn.safekeeping.generations import LAST
from lightning_dqn.system.ranks import warn

MOST_BYTES_INSIDE = 64 * 2**20
"""A ring up to this size lies in the checkpoint itself, which is then one file to be moved."""

FOLDER = "replay"
"""Of the segments, beside the checkpoints."""

KEPT_SAVES = 4
"""Whose rows stay on the disk, the newest ones, whatever they are; and beside them those of the
last checkpoint and the generation before it, from which a run goes on.

A best checkpoint that is older than that has the weights, and its ring would be filled anew.
"""


class RingArchive:
    """Keeps the rows of a ring in segments, of which each save writes what is new.

    Args:
        ring: whose rows are kept.
        key: of the data module's state in a checkpoint.
    """

    def __init__(self, ring: ReplayBuffer, key: str) -> None:
        self._ring = ring
        self._key = key
        self._writer: SegmentWriter | None = None
        self._saves: deque[list[Segment]] = deque(maxlen=KEPT_SAVES)
        self._last: deque[list[Segment]] = deque(maxlen=2)
        self._written: list[Segment] | None = None  # by the save that is under way

    @staticmethod
    def is_wanted(ring: ReplayBuffer) -> bool:
        """Tell whether a ring is too large for the checkpoint itself."""
        capacity = ring.config.capacity
        size = ring_bytes(ring.spec, ring.num_envs, capacity, ring.extra_columns)
        return size > MOST_BYTES_INSIDE

    def join(self, files: SafeCheckpointIO) -> None:
        """Write the rows whenever a checkpoint is written."""
        files.before_save.append(self._add)
        files.after_save.append(self._keep)

    def leave(self, files: SafeCheckpointIO) -> None:
        """Write them no more."""
        if self._add in files.before_save:
            files.before_save.remove(self._add)
            files.after_save.remove(self._keep)

    def load(self, state: Mapping[str, Any], checkpoints: Path) -> bool:
        """Put the rows that a checkpoint names back into the empty ring.

        Args:
            state: of the ring, from the checkpoint.
            checkpoints: folder of the checkpoint.

        Returns:
            Whether they are there; if not, one warning says why.
        """
        segments: list[Segment] = state["segments"]
        folder = checkpoints / FOLDER
        try:
            load(folder, segments, self._ring)
        except ValueError as error:
            warn(f"{error}; the replay ring is filled anew")
            return False
        self._ring.resume_at(state["total_times"])
        self._writer = SegmentWriter(folder, segments)
        self._saves.append(segments)
        self._last.append(segments)
        return True

    def _add(self, checkpoint: dict[str, Any], path: Path) -> None:
        self._written = None
        state = checkpoint.get(self._key, {}).get("replay", {})
        if "total_times" not in state:
            return
        folder = path.parent / FOLDER
        if self._writer is None or self._writer.folder != folder:
            self._writer = SegmentWriter(folder)
        state["segments"] = self._written = self._writer.save(self._ring)

    def _keep(self, path: Path) -> None:
        """Count a save that is in its place, and delete what is only of older ones."""
        if self._writer is None or self._written is None:
            return
        self._saves.append(self._written)
        if path.name == LAST:
            self._last.append(self._written)
        with suppress(OSError):  # what can't be deleted is, after another save
            delete_unnamed(self._writer.folder, [*self._saves, *self._last])
