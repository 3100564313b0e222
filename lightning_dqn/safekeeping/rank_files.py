"""What each of several ranks has by itself, in a file of its own beside the checkpoint.

Lightning writes what the first rank has, and gives that to all when a run goes on: their rings
and generators would be the same. So the others write theirs first, and the checkpoint names them:

    checkpoints/last.ckpt                    weights, counters, and what the first rank has
    checkpoints/rank1/last.3f9a04c2.ckpt     what the second has, of the same moment

Where a checkpoint lies, what it names lies too; a save that is broken off changes nothing that an
older one names. What one rank can't write none of them has saved: all count that as one failure.
All ranks must see the same folder.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO, local_path
from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.safekeeping.reading import read_checkpoint
from lightning_dqn.system.faults import DamagedCheckpoint
from lightning_dqn.system.ranks import Ranks

KEY = "ranks"
"""Of a checkpoint of several ranks: ``size``, their number, and ``token``, which names the files
that belong to it."""


def folder_of(checkpoint: Path, rank: int) -> Path:
    """Return where a rank's own files of a checkpoint lie; the first one's beside it."""
    return checkpoint.parent / f"rank{rank}" if rank else checkpoint.parent


def share_files(
    trainer: pl.Trainer, ranks: Ranks, files: SafeCheckpointIO | None, key: str
) -> None:
    """Let each rank of a Trainer save and load what it has by itself, from now on.

    Args:
        trainer: of this rank.
        ranks: all of them.
        files: that checkpoints are written with.
        key: of the data module's state in a checkpoint.

    Raises:
        ValueError: checkpoints are written in a way of the user's own.
    """
    if files is None:
        name = type(trainer.strategy.checkpoint_io).__name__
        raise ValueError(
            f"plugins={name}: several ranks save what each has by itself in a way of their own; "
            "leave this CheckpointIO out"
        )
    strategy: Any = trainer.strategy
    own = getattr(strategy.save_checkpoint, "__self__", None)
    if isinstance(own, RankFiles):
        own.take_key(key)  # another fit's data module may be of another class
        return
    # By the strategy alone each rank learns where the checkpoint goes.
    own = RankFiles(trainer, ranks, files, key)
    strategy.save_checkpoint, strategy.load_checkpoint = own.save, own.load
    strategy.remove_checkpoint = own.remove


class RankFiles:
    """Stands before a strategy's saving and loading of checkpoints; see :func:`share_files`."""

    def __init__(
        self, trainer: pl.Trainer, ranks: Ranks, files: SafeCheckpointIO, key: str
    ) -> None:
        self._trainer = trainer
        self._ranks = ranks
        self._files = files
        self.take_key(key)
        self._load_first_ones = trainer.strategy.load_checkpoint
        self._remove_first_ones = trainer.strategy.remove_checkpoint
        self._tokens: dict[Path, list[str]] = {}

    def take_key(self, key: str) -> None:
        """Let ``key`` be that of the data module's state in a checkpoint."""
        self._own = (key, "dqn")

    def save(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write a checkpoint and what it names, or neither; all ranks call it.

        Raises:
            ValueError: it isn't to be a local file.
            CheckpointsFailed: it couldn't be written, too often for the run to go on; in all ranks.
        """
        path = local_path(filepath)
        if path is None or storage_options is not None:
            raise ValueError(
                f"{filepath}: several ranks save what each has by itself beside the checkpoint; "
                "name a local folder that all of them see"
            )
        token = self._ranks.first_ones(secrets.token_hex(4))
        own_file = _own_file(path, self._ranks.rank, token)
        reason = self._agreed(self._write_own(checkpoint, own_file, token))
        if reason is None:
            is_first = self._ranks.is_first
            reason = self._agreed(self._files.write(checkpoint, path) if is_first else None)
        if reason is None:
            self._tidy(path, token)
        elif not self._ranks.is_first:
            own_file.unlink(missing_ok=True)
        self._files.conclude(path, reason)

    def load(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint, with what this rank had by itself where a run goes on with it.

        Where a rank can't read what is its, all of them take the generation before.

        Raises:
            DamagedCheckpoint: that isn't whole either; in all ranks.
        """
        checkpoint = self._load_first_ones(checkpoint_path, weights_only=weights_only)
        named, path = checkpoint.get(KEY), local_path(checkpoint_path)
        is_continued = self._trainer.state.fn == "fit" and self._own[0] in checkpoint
        if not is_continued or named is None or path is None:
            return checkpoint
        if named["size"] != self._ranks.size:
            return checkpoint  # of other ranks than there are: the data module refuses it
        own, damage = self._read_own(path, named["token"])
        if damage is not None and (before := previous_of(path)).is_file():
            checkpoint = self._load_first_ones(before, weights_only=weights_only)
            named = checkpoint.get(KEY, named)
            own, still = self._read_own(path, named["token"])
            if still is None:
                rank_zero_warn(f"{damage}; the one before it, {before.name}, is taken")
                damage = None
        if damage is not None:
            raise DamagedCheckpoint(damage)
        self._tokens[path] = [named["token"]]
        return {**checkpoint, **own}

    def remove(self, filepath: Any) -> None:
        """Remove a checkpoint and what this rank had of it."""
        self._remove_first_ones(filepath)
        path = local_path(filepath)
        failures = self._files.failures
        if path is None or (failures is not None and failures.in_a_row > 0):
            return
        self._tokens.pop(path, None)
        for file in own_files(path, self._ranks.rank):
            file.unlink(missing_ok=True)

    def _read_own(self, path: Path, token: str) -> tuple[dict[str, Any], str | None]:
        """Return what this rank had by itself, and why a rank couldn't read it; all call it."""
        own: dict[str, Any] = {}
        reason = None
        if not self._ranks.is_first:
            try:
                saved = read_checkpoint(_own_file(path, self._ranks.rank, token))
                own = {name: saved[name] for name in self._own}
            except (ValueError, KeyError) as error:
                reason = str(error)
        return own, self._agreed(reason)

    def _write_own(self, checkpoint: dict[str, Any], file: Path, token: str) -> str | None:
        """Let a checkpoint name what each rank has, and write this one's; return why it can't be.

        Of what is saved of the weights alone no rank but the first has anything.
        """
        if self._own[0] not in checkpoint:
            return None
        checkpoint[KEY] = {"size": self._ranks.size, "token": token}
        if self._ranks.is_first:
            return None
        return self._files.write({name: checkpoint[name] for name in self._own}, file)

    def _agreed(self, reason: str | None) -> str | None:
        """Return why a rank couldn't write or read what is its, if one couldn't; all call it."""
        reasons = enumerate(self._ranks.each_ones(reason))
        return next((f"{why} (rank {rank})" for rank, why in reasons if why is not None), None)

    def _tidy(self, path: Path, token: str) -> None:
        """Delete what neither this checkpoint nor the generation before it names.

        Of what was saved before this process began that isn't known: the two newest stay.
        """
        self._tokens[path] = [*self._tokens.get(path, []), token][-2:]
        files = own_files(path, self._ranks.rank)
        files.sort(key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-2]:
            if _token_of(file) not in self._tokens[path]:
                file.unlink(missing_ok=True)


def own_files(checkpoint: Path, rank: int) -> list[Path]:
    """Return the files that a rank but the first has of a checkpoint, and of those before it."""
    if rank == 0:
        return []
    found = folder_of(checkpoint, rank).glob(f"*{checkpoint.suffix}")
    form = re.compile(re.escape(checkpoint.stem) + r"\.[0-9a-f]{8}")
    return [path for path in found if form.fullmatch(path.stem)]


def _own_file(checkpoint: Path, rank: int, token: str) -> Path:
    return folder_of(checkpoint, rank) / f"{checkpoint.stem}.{token}{checkpoint.suffix}"


def _token_of(file: Path) -> str:
    return file.stem.rpartition(".")[2]
