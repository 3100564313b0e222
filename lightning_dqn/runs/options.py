"""Options of commands, as fields of a dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


def option(
    help: str,
    default: Any = dataclasses.MISSING,
    *,
    is_path: bool = False,
    is_list: bool = False,
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    former: Sequence[str] = (),
) -> Any:
    """Return a field of a command's options.

    Args:
        help: what it means, with its unit.
        default: none: it must be given.
        is_path: it may be given by itself, without its name.
        is_list: it may be given more than once; all that is given makes a tuple of texts.
        least: smallest number that is allowed.
        most: largest.
        choices: texts that are allowed.
        former: names it had, which still work.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "is_path": is_path,
            "is_list": is_list,
            "least": least,
            "most": most,
            "choices": tuple(choices),
            "former": tuple(former),
        },
        kw_only=True,
    )


def trust_option() -> Any:
    """Return what the run's files may name beside what every run needs."""
    return option(
        "modules of your own that the run's files name and that may be imported, such as "
        "my_package,my_module; null: none",
        None,
    )
