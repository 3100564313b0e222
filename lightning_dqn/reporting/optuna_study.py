"""The Optuna study of a search, as every process reaches it: by the path of its file.

Optuna itself is imported when it is used.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

JOURNAL = "optuna.journal"
"""The study's file, in the folder of its sweep."""

STUDY = "sweep"
"""The study's name in that file."""

METRIC, PRUNER = "metric", "pruner"
"""Attributes of the study: by what its trials are pruned, and by whom."""

UNKNOWN_METRIC = "sweep.metric={}: no run logs it; there are {}"
"""What a trial fails of by which all others would fail too."""

INSTALL = "pip install 'lightning-dqn[optuna]'"


def load_optuna() -> ModuleType:
    """Import Optuna, whose notices of each trial stay off the terminal.

    Raises:
        ValueError: it isn't installed.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise ValueError(f"optuna is missing ({error}): {INSTALL}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Keep off the terminal that parts of Optuna may change, and that a step was told before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=load_optuna().exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="The reported value is ignored because")
        yield


def open_storage(path: str | Path) -> Any:
    """Return the storage of a file, which is made if need be."""
    storages = load_optuna().storages
    files = storages.journal
    # Where links need a privilege, the lock is a file.
    lock = files.JournalFileOpenLock(str(path)) if sys.platform == "win32" else None
    with quiet():
        return storages.JournalStorage(files.JournalFileBackend(str(path), lock_obj=lock))


def make_pruner(asked: Mapping[str, Any]) -> Any:
    """Return what decides which trials are stopped.

    Args:
        asked: ``_target_`` of a class of Optuna's with its arguments.

    Raises:
        ValueError: there is no such pruner, or not with these arguments.
    """
    return _made("pruner", asked)


def make_sampler(asked: Mapping[str, Any], seed: int | None = None) -> Any:
    """Return what proposes values; see :func:`make_pruner`.

    Args:
        asked: likewise.
        seed: for a sampler that takes one and isn't given another.
    """
    return _made("sampler", asked, seed)


def _made(key: str, asked: Mapping[str, Any], seed: int | None = None) -> Any:
    """Build one of Optuna's own, never another class: what is asked may be read from a folder."""
    home = getattr(load_optuna(), f"{key}s")
    arguments = dict(asked)
    target = str(arguments.pop("_target_", None))
    module, _, name = target.rpartition(".")
    found = getattr(home, name, None) if module == home.__name__ and name in home.__all__ else None
    if not isinstance(found, type):
        raise ValueError(f"{key}={target}: not a class of {home.__name__}")
    if seed is not None and "seed" in inspect.signature(found).parameters:
        arguments.setdefault("seed", seed)
    try:
        with quiet():
            return found(**arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise ValueError(f"{key}={target}: {error}") from error
