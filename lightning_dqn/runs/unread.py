"""What a command line asked for that nothing in its runs reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.keys import refers_to, refers_to_whole, texts
from lightning_dqn.system.overrides import is_of, key_of, path_of

_HINTS = "hints."


class Unread(NamedTuple):
    """What isn't read in a run, and why.

    Attributes:
        places: keys, each with all below it, or whole overrides of groups.
        why: goes on a line behind "is without effect".
    """

    places: tuple[str, ...]
    why: str

    def has(self, override: str) -> bool:
        """Return whether an override sets it."""
        takes_away = override.startswith("~")
        return not takes_away and (override in self.places or is_of(path_of(override), self.places))


class AskedInVain:
    """Overrides that no job reads; what one of several reads was meant for that one."""

    def __init__(self) -> None:
        self._vain: dict[str, dict[str, str]] = {}
        self._read: set[str] = set()

    def look(self, overrides: Iterable[str], unread: Sequence[Unread]) -> None:
        """Look at the next job.

        Args:
            overrides: of it, those alone that one knows of whether they are read.
            unread: what isn't.
        """
        for override in overrides:
            why = next((one.why for one in unread if one.has(override)), None)
            if why is None:
                self._read.add(key_of(override))
            else:
                self._vain.setdefault(key_of(override), {}).setdefault(override, why)

    def notes(self) -> list[str]:
        """Return a line for each key that was set in vain, with all values that it had."""
        return [
            f"{','.join((first, *(one.partition('=')[2] for one in others)))}: is without effect, "
            f"{found[first]}"
            for key, found in self._vain.items()
            if key not in self._read
            for first, *others in [list(found)]
        ]


def of_hints(overrides: Iterable[str]) -> list[str]:
    """Return the overrides of hints."""
    return [one for one in overrides if key_of(one).startswith(_HINTS)]


def unread_hints(overrides: Iterable[str], config: DictConfig) -> Iterator[Unread]:
    """Yield each hint that was set and to which no part that was chosen refers.

    Args:
        overrides: of a job.
        config: what they are composed to.
    """
    asked = [key_of(one) for one in of_hints(overrides)]
    if not asked:
        return
    values: Any = OmegaConf.to_container(config, resolve=False)
    values.pop("hydra", None)
    read = "\n".join(texts(values))
    for key in asked:
        if not _is_read(key, read):
            yield Unread((key,), "no part that was chosen reads it")


def _is_read(key: str, text: str) -> bool:
    """Return whether an interpolation in a text is of a key, of one below or of one above."""
    names = key.split(".")
    above = (".".join(names[:length]) for length in range(1, len(names)))
    return refers_to(text, key) or any(refers_to_whole(text, one) for one in above)


@contextmanager
def without_idle_warnings() -> Iterator[None]:
    """Let a fit or its rehearsal not warn of callbacks without effect: lines tell of keys.

    Nor of the timer of a ``trainer.max_time`` that was taken away.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\w+ has no effect: ")
        warnings.filterwarnings("ignore", message=r".* add the following callbacks: \['Timer'\]\.")
        yield
