"""Warnings that are silent for a while."""

from __future__ import annotations

import warnings


class Muted:
    """Keeps warnings silent until :meth:`end`, in all threads.

    Unlike ``warnings.catch_warnings`` it doesn't let those that were told once come again, and
    spans calls. What is silent already stays so.

    Args:
        messages: patterns that match their texts from the beginning.
    """

    def __init__(self, *messages: str) -> None:
        before = list(warnings.filters)
        for message in messages:
            warnings.filterwarnings("ignore", message=message)
        self._added = [one for one in warnings.filters if one not in before]

    def end(self) -> None:
        """Let them be told again."""
        for one in self._added:
            if one in warnings.filters:
                warnings.filters.remove(one)  # type: ignore[attr-defined]
        self._added = []
