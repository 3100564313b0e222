"""Arguments as ``--key=value``, which is how W&B's agent writes them by itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_KEY = re.compile(r"--(\+{0,2}[A-Za-z_][\w./@]*=.*)", re.DOTALL)


def without_dashes(arguments: Sequence[str], flags: Collection[str]) -> list[str]:
    """Return the arguments with ``key=value`` for each ``--key=value``.

    Flags stay what they are, and so does what has a flag's form, as ``--config-dri=x``.

    Args:
        arguments: of a command line.
        flags: that there are, as ``--cfg``.
    """
    found = []
    for argument in arguments:
        key = _KEY.fullmatch(argument)
        is_flag = argument.partition("=")[0] in flags
        found.append(key[1] if key and not is_flag else argument)
    return found
