"""Where a configuration that came with a folder would write: in that folder alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from lightning_dqn.runs.named import HOST, Covers, Untrusted, leaves

PLACES = ("data", "environment", "callbacks", "logger", "trainer")
"""Nodes of which objects are built that write files."""

_NAMES_A_PLACE = re.compile(
    r"(.*_)?(path|paths|dir|dirs|dirpath|directory|folder|file|root|uri|location|args_)"
)
_LEADS_OUT = re.compile(r"[~/\\]|[A-Za-z]:[/\\]|[\w+.:-]*:/|(.*[/\\])?\.\.([/\\]|$)")
_OF_FILES = re.compile(r"^(file:(//)?|sqlite:///)")
_READ = re.compile(r"environment\.kwargs\b")
"""What an environment is made with, as the folder of an opponent."""

_SHIPPED = {
    "callbacks.prune_trial.storage": "${run_dir}/../optuna.journal",
    "logger.mlflow.tracking_uri": "file:runs/mlflow",
}
"""What the shipped configuration shares between runs, as it is written."""


def strays(
    written: Any, filled_in: Any, key: str, folder: Path, covers: Covers
) -> Iterator[Untrusted]:
    """Yield the values by which files outside a run's folder would be written.

    They are those of arguments that are called like a place, and what leads out wherever it
    stands, for it may be joined to one. Addresses of hosts are looked at as such.

    Args:
        written: the node without its values filled in.
        filled_in: with them.
        key: of the node.
        folder: of the run.
        covers: whether the user trusts the value of exactly this key.
    """
    as_written = dict(leaves(written, key))
    for where, value in leaves(filled_in, key):
        is_place = isinstance(value, str) and value != MISSING and not HOST.match(value)
        if not is_place or _READ.search(where):
            continue
        if where in _SHIPPED and as_written.get(where) == _SHIPPED[where]:
            continue
        whole = without_numbers(where)
        names_a_place = _NAMES_A_PLACE.fullmatch(whole.rpartition(".")[2])
        if not (names_a_place or _LEADS_OUT.match(value)):
            continue
        if not (is_in(value, folder) or covers(whole)):
            yield Untrusted(where, value, f"isn't in the run's folder {folder}", whole)


def without_numbers(key: str) -> str:
    """Return the key of what a list holds as it is trusted, ``a.b`` of ``a[0].b``."""
    return re.sub(r"\[\d+\]", "", key)


def is_in(path: str, folder: Path) -> bool:
    """Return whether what is written to a path lies in a folder, links followed."""
    path = os.path.expandvars(os.path.expanduser(re.sub(_OF_FILES, "", path, count=1)))
    is_of_another_kind = re.match(r"[\w+.:-]+:/", path)
    return not is_of_another_kind and Path(path).resolve().is_relative_to(folder.resolve())
