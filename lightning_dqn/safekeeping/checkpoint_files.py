"""Checkpoints that are never half-written, and kept in two generations.

A save writes the new file beside the old one, waits until the disk has it, and then

    last.ckpt  ->  last.previous.ckpt      another name for the same file
    new file   ->  last.ckpt               in one step

so that a whole checkpoint is there at every moment, whatever ends the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch.serialization import get_crc32_options, set_crc32_options

from lightning_dqn.safekeeping.failures import Failures, reason_of
from lightning_dqn.safekeeping.format_version import migrated, stamped
from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.safekeeping.reading import is_whole, read_checkpoint
from lightning_dqn.system.files import staged, sweep_temporaries, sync_folder


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes and reads the checkpoints of a Trainer as files that are never half there.

    Paths that aren't local, as ``s3://``, are written and read in Lightning's way.

    Args:
        failures: counts what can't be written while a run goes on; None: it is raised.

    Attributes:
        before_save: called with the checkpoint and its path before it is written, to add what
            has files of its own; an OSError there counts as one of the checkpoint.
        before_save_elsewhere: likewise where the path isn't local, and so nothing can have files of
            its own beside it.
        after_save: called with the path when the checkpoint is in its place, of several ranks when
            what each of them has by itself is too.
    """

    def __init__(self, failures: Failures | None = None) -> None:
        super().__init__()
        self.failures = failures
        self.before_save: list[Callable[[dict[str, Any], Path], None]] = []
        self.before_save_elsewhere: list[Callable[[dict[str, Any], str], None]] = []
        self.after_save: list[Callable[[Path], None]] = []
        self._written: set[Path] = set()
        self._swept: set[Path] = set()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; see :class:`lightning_fabric.plugins.io.CheckpointIO`.

        Raises:
            CheckpointsFailed: it couldn't be written, too often for the run to go on.
            OSError: it couldn't be written, and no run is there to go on.
        """
        local = local_path(path)
        if local is None or storage_options is not None:
            for tell in self.before_save_elsewhere:
                tell(checkpoint, str(path))
            super().save_checkpoint(stamped(checkpoint), path, storage_options)
            return
        self.conclude(local, self.write(checkpoint, local))

    def write(self, checkpoint: dict[str, Any], path: Path) -> str | None:
        """Write a checkpoint into a local file; :meth:`conclude` is to follow.

        Returns:
            Why it couldn't be written; None: it is in its place.

        Raises:
            OSError: it couldn't be written, and no run is there to go on.
        """
        try:
            self._save(checkpoint, path)
        except (OSError, RuntimeError) as error:
            reason = reason_of(error)
            if reason is None or self.failures is None:
                raise
            return reason
        return None

    def conclude(self, path: Path, reason: str | None) -> None:
        """Tell that a checkpoint is in its place, or count that it isn't.

        Args:
            path: of the checkpoint.
            reason: why it couldn't be written; None: it was.

        Raises:
            CheckpointsFailed: it couldn't, too often for the run to go on.
        """
        if reason is not None:
            assert self.failures is not None, "else it was raised"
            self.failures.count(path, reason)
            return
        if self.failures is not None:
            self.failures.end()
        for follow in self.after_save:
            follow(path)

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; see :func:`lightning_dqn.safekeeping.reading.read_checkpoint`."""
        local = local_path(path)
        # None is torch's default, which is True; Lightning's is False for the web.
        only = weights_only is not False
        if local is not None:
            return read_checkpoint(local, map_location=map_location, weights_only=only)
        return migrated(super().load_checkpoint(path, map_location, only), path)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint and the generation before it.

        After a failed save the file stays: it was to be replaced by the one that failed.
        """
        local = local_path(path)
        if local is None:
            super().remove_checkpoint(path)
            return
        if self.failures is not None and self.failures.in_a_row > 0:
            return
        super().remove_checkpoint(local)
        previous_of(local).unlink(missing_ok=True)

    def _save(self, checkpoint: dict[str, Any], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in self._swept:
            sweep_temporaries(path.parent)
            self._swept.add(path.parent)
        checkpoint = stamped(checkpoint)
        for add in self.before_save:
            add(checkpoint, path)
        with staged(path) as temporary:
            _write(checkpoint, temporary)
            self._keep_previous(path)
            os.replace(temporary, path)
            sync_folder(path.parent)
        self._written.add(path)

    def _keep_previous(self, path: Path) -> None:
        """Give the present file the name of the generation before, unless it is damaged."""
        if not path.is_file() or not (path in self._written or is_whole(path)):
            return
        before = previous_of(path)
        with staged(before) as link:
            link.unlink()
            try:
                os.link(os.path.realpath(path), link)
            except OSError:  # a file system without second names: the old one moves instead
                os.replace(path, before)
            else:
                os.replace(link, before)


def install(trainer: pl.Trainer) -> SafeCheckpointIO | None:
    """Let a Trainer write and read its checkpoints safely, unless it was given a way of its own.

    Returns:
        What it now writes them with; None where that is another's.
    """
    strategy = trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = SafeCheckpointIO(Failures(trainer))
    found = strategy.checkpoint_io
    return found if isinstance(found, SafeCheckpointIO) else None


def save(trainer: pl.Trainer, path: Path) -> bool:
    """Let a Trainer save the whole of a fit, not the weights alone.

    Returns:
        Whether the checkpoint is in its place; else a warning said why, and what was saved before
        is as it was.

    Raises:
        CheckpointsFailed: it couldn't be written, too often for the run to go on.
    """
    before = _num_failed(trainer)
    trainer.save_checkpoint(path, False)
    return _num_failed(trainer) == before


def local_path(path: Any) -> Path | None:
    """Return the path of a local file, None for one elsewhere."""
    files, name = url_to_fs(os.fspath(path))
    return Path(name) if isinstance(files, LocalFileSystem) else None


def _num_failed(trainer: pl.Trainer) -> int:
    files = trainer.strategy.checkpoint_io
    if isinstance(files, SafeCheckpointIO) and files.failures is not None:
        return files.failures.total
    return 0


def _write(checkpoint: dict[str, Any], path: Path) -> None:
    """Stream a checkpoint into a file, without a second copy in memory."""
    with path.open("wb") as file, _checksums():
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _checksums() -> Iterator[None]:
    """Let torch write checksums, whatever the process has set."""
    before = get_crc32_options()
    set_crc32_options(True)
    try:
        yield
    finally:
        set_crc32_options(before)
