"""Labels of what is compared, told apart where they are the same."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Sequence
from pathlib import Path


def distinct_labels(labels: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return labels that all differ: namesakes have the end of their folder that sets them apart.

    Those of one folder are numbered.

    Args:
        labels: of each that is compared.
        folders: that they are of.
    """
    paths = [Path(os.path.abspath(folder)).parts for folder in folders]
    of_label: dict[str, list[tuple[str, ...]]] = {}
    for label, path in zip(labels, paths, strict=True):
        of_label.setdefault(label, []).append(path)
    found: list[str] = []
    for label, path in zip(labels, paths, strict=True):
        is_alone = len(of_label[label]) == 1
        own = label if is_alone else f"{label} ({_end(path, of_label[label])})"
        numbered = (f"{own} #{number}" for number in itertools.count(2))
        found.append(next(one for one in itertools.chain([own], numbered) if one not in found))
    return found


def _end(path: tuple[str, ...], among: Collection[tuple[str, ...]]) -> str:
    """Return as few of a path's last parts as no other path ends with."""
    others = [other for other in among if other != path]
    ends = (path[-number:] for number in range(1, len(path) + 1))
    alone = (end for end in ends if all(other[-len(end) :] != end for other in others))
    return str(Path(*next(alone, path)))
