"""What an error says, in a line."""

from __future__ import annotations

import pytest

from lightning_dqn.system.faults import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\nb"), "a"),
        (ValueError("\n  a  \nb"), "a"),
        (ValueError(), "ValueError"),
        (OSError(" \n"), "OSError"),
    ],
)
def test_the_first_line_is_never_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line
