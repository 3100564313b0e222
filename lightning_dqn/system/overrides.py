"""What a run was asked for on its command lines: keys and their values, in Hydra's words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

OVERRIDES = Path(".hydra", "overrides.yaml")
"""Of a run, in its folder."""

_OF_ITS_PLACE = ("ckpt_path", "run_dir", "hydra")


def own_overrides(run_dir: Path) -> tuple[str, ...] | None:
    """Return what makes a run anew elsewhere; None where its folder doesn't tell."""
    try:
        said = yaml.safe_load((run_dir / OVERRIDES).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return without_place([str(one) for one in said]) if isinstance(said, list) else None


def without_place(overrides: Sequence[str]) -> tuple[str, ...]:
    """Leave out where a run lies and what it went on from, and values that others took over."""
    kept = [one for one in last_of_each_key(overrides) if not is_of(path_of(one), _OF_ITS_PLACE)]
    return tuple(kept)


def last_of_each_key(overrides: Sequence[str]) -> list[str]:
    """Keep the last value of each key alone, and what they are composed to as it is.

    Where that can't be said for sure, both stay: of mappings, which are laid over each other, of a
    key that is taken away, and where a key above or below was set in between.
    """
    kept: list[str] = []
    for one in overrides:
        touching = [n for n, other in enumerate(kept) if _touch(one, other)]
        if touching and _takes_over(one, before := kept[touching[-1]]):
            # What the first had to add, and the next found there, the last has to add.
            sign = "" if one.startswith("+") else before[: len(before) - len(before.lstrip("+"))]
            kept[touching[-1]] = sign + one
        else:
            kept.append(one)
    return kept


def key_of(override: str) -> str:
    """Return the key or the group that an override sets, without its sign."""
    return override.lstrip("+~").partition("=")[0]


def unquoted(text: str) -> str:
    """Return a path that may stand in quotes, as in Hydra's words; those of its own name stay."""
    is_in_quotes = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_in_quotes and not Path(text).exists() else text


def path_of(override: str) -> str:
    """Return the key of what an override sets, of a group the key that its options are below."""
    return key_of(override).partition("@")[0].replace("/", ".")


def is_of(key: str, places: Sequence[str]) -> bool:
    """Return whether a key is one of these, or lies below one."""
    return any(key == place or key.startswith(f"{place}.") for place in places)


def _touch(one: str, other: str) -> bool:
    first, second = path_of(one), path_of(other)
    return is_of(first, [second]) or is_of(second, [first])


def _takes_over(one: str, before: str) -> bool:
    return key_of(one) == key_of(before) and all(map(_sets_a_whole, (one, before)))


def _sets_a_whole(override: str) -> bool:
    """Return whether a value takes the place of all that was there."""
    _, equals, value = override.partition("=")
    return bool(equals) and override[0] not in "-~" and not value.lstrip().startswith("{")
