"""What tells a run from others: a name from its overrides, the setting that its seeds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lightning_dqn.runs.jobs import cut, shortened
from lightning_dqn.runs.resume import MAY_CHANGE
from lightning_dqn.system.overrides import is_of, path_of

_QUOTES = "'\""
_SAID = ("experiment", "seed", "resume", *MAY_CHANGE)


class Labels(NamedTuple):
    """How a run is called where it stands beside others.

    Attributes:
        name: as ``cartpole lr=0.001,n_step=3,seed=0``.
        group: of the runs that differ in the seed alone, as ``cartpole lr=0.001,n_step=3``.
    """

    name: str
    group: str

    @classmethod
    def of(cls, name: str, seed: int | None, overrides: Sequence[str]) -> Labels:
        """Return a run's labels.

        They say what it learns by. Of what a continued run may have otherwise, as its length,
        they say nothing, so that it keeps them.

        Args:
            name: of the experiment.
            seed: of the run.
            overrides: that the experiment was changed by.
        """
        setting = ",".join(_short(overrides))
        group = cut(f"{name} {setting}".rstrip())
        return cls(cut(f"{group}{',' if setting else ' '}seed={seed}"), group)


def _short(overrides: Sequence[str]) -> list[str]:
    """Return what overrides set, by the last words of their keys that tell them apart."""
    parted = (text.lstrip("+").partition("=") for text in overrides)
    set_ = {key.partition("@")[0]: value for key, _, value in parted}
    shown = {key: value for key, value in sorted(set_.items()) if not _is_said(key)}
    words = shortened([key.lstrip("~") for key in shown])
    return [
        f"~{words[key[1:]]}" if key.startswith("~") else f"{words[key]}={value.strip(_QUOTES)}"
        for key, value in shown.items()
    ]


def _is_said(key: str) -> bool:
    """Return whether a key is Hydra's, or nothing that tells a setting from another."""
    return is_of(path_of(key), ("hydra", *_SAID))
