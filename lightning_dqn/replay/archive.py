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


class _Folder:
    """The segments beside the checkpoints of one folder.

    Attributes:
        writer: of the segments.
        newest: what the newest saves named.
        last: what the last checkpoint and the generation before it name.
    """

    def __init__(self, writer: SegmentWriter) -> None:
        self.writer = writer
        self.newest: deque[list[Segment]] = deque(maxlen=KEPT_SAVES)
        self.last: deque[list[Segment]] = deque(maxlen=2)

    def keep(self, segments: list[Segment], *, is_last: bool) -> None:
        """Count what a save named."""
        self.newest.append(segments)
        if is_last:
            self.last.append(segments)

    def tidy(self) -> None:
        """Delete what is only of older saves."""
        with suppress(OSError):  # what can't be deleted is, after another save
            delete_unnamed(self.writer.folder, [*self.newest, *self.last])


class RingArchive:
    """Keeps the rows of a ring in segments, of which each save writes what is new.

    Checkpoints in several folders have their segments each, so that a folder can be moved.

    Args:
        ring: whose rows are kept.
        key: of the data module's state in a checkpoint.
    """

    def __init__(self, ring: ReplayBuffer, key: str) -> None:
        self._ring = ring
        self._key = key
        self._folders: dict[Path, _Folder] = {}
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
        self._folders[folder] = _Folder(SegmentWriter(folder, segments))
        self._folders[folder].keep(segments, is_last=True)
        return True

    def _add(self, checkpoint: dict[str, Any], path: Path) -> None:
        self._written = None
        state = checkpoint.get(self._key, {}).get("replay", {})
        if "total_times" not in state:
            return
        folder = path.parent / FOLDER
        if folder not in self._folders:
            self._folders[folder] = _Folder(SegmentWriter(folder))
        state["segments"] = self._written = self._folders[folder].writer.save(self._ring)

    def _keep(self, path: Path) -> None:
        """Count a save that is in its place, and delete what is only of older ones."""
        if self._written is None:
            return
        folder = self._folders[path.parent / FOLDER]
        folder.keep(self._written, is_last=path.name == LAST)
        folder.tidy()
