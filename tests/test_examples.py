"""The example programs run as they are, and come to what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PAGE = (EXAMPLES.parent / "docs" / "examples.md").read_text()


def environment(printed: str) -> None:
    assert "actions from left to right: 1 1 1 1 1 1\n" in printed


def network(printed: str) -> None:
    assert returned(printed) > 60  # random play: 22
    assert "the same once loaded: True\n" in printed


def head(printed: str) -> None:
    assert returned(printed) > 60


def callback(printed: str) -> None:
    """It ends where the return is high enough for the first time."""
    *before, last = numbers(r"env steps: return ([\d.]+)\n", printed)
    assert last >= 100
    assert not before or max(before) < 100
    [ended] = numbers(r"ended after epoch (\d+) of 30\n", printed)
    assert ended == len(before) + 1 < 30


def game(printed: str) -> None:
    """The best move leaves a multiple of four."""
    left = numbers(r"of \d+ take \d, which leaves (\d+)\n", printed)
    assert left == [0, 0, 0, 4, 4, 4, 8, 8, 8]


def resume(printed: str) -> None:
    [stopped], [ended] = numbers(r"after (\d+) updates", printed), numbers(r"to (\d+) up", printed)
    assert 0 < stopped == ended / 2
    assert "the same weights, bit for bit: True\n" in printed


def sweep(printed: str) -> None:
    low, high = numbers(r"return ([\d.]+) \(", printed)
    assert high > 1.5 * low
    assert "the best: lr=0.001\n" in printed


CHECKS: dict[str, Callable[[str], None]] = {
    "own_environment": environment,
    "own_network": network,
    "own_head": head,
    "own_callback": callback,
    "own_game": game,
    "resume": resume,
    "sweep": sweep,
}
"""Example -> what must hold of what it prints."""

QUICK = ("own_environment", "resume")


def returned(printed: str) -> float:
    [found] = numbers(r"return in the test: ([\d.]+)\n", printed)
    return found


def numbers(pattern: str, printed: str) -> list[float]:
    return [float(one) for one in re.findall(pattern, printed)]


def test_each_example_is_looked_at_and_stands_on_its_page() -> None:
    found = {path.stem for path in EXAMPLES.glob("*.py")}
    assert found == set(CHECKS)
    assert set(re.findall(r"`python examples/(\w+)\.py`", PAGE)) == found


def test_each_example_is_one_page_that_opens_with_its_command() -> None:
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 90, path
        assert f"``python examples/{path.name}``" in text.partition('"""\n\n')[0], path


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in CHECKS]
)
def test_an_example_runs_as_it_is(name: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 800}
    result = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], cwd=tmp_path, **arguments)
    assert result.returncode == 0, result.stderr
    CHECKS[name](result.stdout)
    assert list(tmp_path.iterdir()) == []
