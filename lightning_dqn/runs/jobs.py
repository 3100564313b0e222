"""The jobs of a sweep, and how they are called: by what sets them apart."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.system.overrides import key_of

SEED = "seed"
ALONE = "hydra.mode=RUN"
"""What a process is told that is for one run, whatever sweep or search a file chooses."""
_LONGEST = 110  # W&B takes 128 characters, file systems 255 bytes


@dataclass(frozen=True)
class SweepJob:
    """One run of a sweep.

    Attributes:
        name: of its folder in that of the sweep.
        overrides: that it is composed from, Hydra's own left out.
        composed_seed: that its configuration has; None: it wasn't composed.
    """

    name: str
    overrides: tuple[str, ...]
    composed_seed: int | None = None

    @property
    def setting(self) -> tuple[str, ...]:
        """What it shares with the jobs that differ from it by their seed alone."""
        return tuple(one for one in self.overrides if key_of(one) != SEED)

    @property
    def seed(self) -> int | None:
        """Its seed, where it is known."""
        if self.composed_seed is not None:
            return self.composed_seed
        seeds = [_value(one) for one in self.overrides if key_of(one) == SEED]
        return int(seeds[-1]) if seeds and seeds[-1].lstrip("-").isdecimal() else None


def is_of_folder(name: str) -> bool:
    """Return whether a name is that of a folder below another."""
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def names_of(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return a name for each job, as ``lr=0.001,n_step=3,seed=0``, that can be a folder's.

    A name has the keys in which the jobs differ, each by its last word where that is enough, and
    the seed where one is set.

    Args:
        jobs: the overrides of each.
    """
    values = [{key_of(one): _value(one) for one in job} for job in jobs]
    keys = list(dict.fromkeys(key for one in values for key in one))
    named = [key for key in keys if key == SEED or len({one.get(key) for one in values}) > 1]
    named.sort(key=lambda key: key == SEED)  # which comes last
    short = shortened(named)
    names = [
        cut(",".join(f"{_plain(short[key])}={_plain(one[key])}" for key in named if key in one))
        or "job"
        for one in values
    ]
    return _numbered(names)


def trial_name(number: int, values: Mapping[str, str]) -> str:
    """Return a name for a trial of a search, as ``trial=007,lr=0.0012,batch_size=64``.

    Args:
        number: of the trial.
        values: that it has, by their keys; numbers may be rounded, for its number sets it apart.
    """
    short = shortened([key_of(key) for key in values])
    words = [f"{short[key_of(key)]}={_plain(value)}" for key, value in values.items()]
    return cut(",".join([f"trial={number:03d}", *words]))


def label_of(overrides: Sequence[str], among: Sequence[Sequence[str]]) -> str:
    """Return what sets a setting apart from others, in its own words; empty for a single one."""
    shared = set[str].intersection(*map(set, among)) if len(among) > 1 else set(overrides)
    own = [one for one in overrides if one not in shared]
    short = shortened([key_of(one) for setting in among for one in setting if one not in shared])
    return " ".join(f"{short[key_of(one)]}={_value(one)}" for one in own)


def is_for_jobs(override: str) -> bool:
    """Return whether an override is Hydra's own and means each job, not the sweep."""
    key = key_of(override)
    of_sweep = re.match(r"hydra([./](mode|run|sweep|sweeper|launcher)\b)", key)
    return bool(re.match(r"hydra[./]", key)) and not of_sweep


def _value(override: str) -> str:
    return override.partition("=")[2]


def shortened(keys: Sequence[str]) -> dict[str, str]:
    """Return the last word of each key, of namesakes as many words as it takes."""
    words = {key: re.split(r"[./]", key) for key in keys}

    def is_alone(last: list[str]) -> bool:
        return sum(other[-len(last) :] == last for other in words.values()) == 1

    return {
        key: next((".".join(own[-n:]) for n in range(1, len(own) + 1) if is_alone(own[-n:])), key)
        for key, own in words.items()
    }


def _plain(value: str) -> str:
    """Return a value as part of a file's name; a list's numbers are joined by a hyphen."""
    text = re.sub(r"\s*,\s*", "-", value.strip("[]'\""))
    return re.sub(r"[^\w.+-]+", "_", text)


def cut(name: str) -> str:
    """Return a name that isn't too long, and still another for another."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _numbered(names: Sequence[str]) -> list[str]:
    """Tell namesakes apart."""
    seen = Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found
