"""What had another name in 0.1, made from the table by which the old names still work."""

from __future__ import annotations

from generated_pages.tables import code, table
from lightning_dqn.former_names import MOVED, WORDS


def former_names() -> str:
    """Return a table of keys and groups, and one of modules."""
    words = [(code(old), code(new)) for old, new in WORDS.items()]
    modules = [(code(old), ", ".join(map(code, new.split()))) for old, new in MOVED.items()]
    return "\n\n".join(
        [
            "## Keys and groups",
            table(("0.1", "0.2"), words),
            "## Modules of `lightning_dqn`",
            table(("0.1", "0.2"), modules),
        ]
    )
