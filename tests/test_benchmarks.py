"""Benchmarks and proofs, which no test runs: what they import is there, what they keep is right."""

from __future__ import annotations

import ast
import csv
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.short_runs import small_run

from lightning_dqn.replay import archive
from lightning_dqn.reporting.metrics_file import METRICS, read_rows

RETURN = "rollout/episode_return"
ROOT = Path(__file__).parent.parent
PROGRAMS = sorted(
    path for folder in ("benchmarks", "tests/proofs") for path in (ROOT / folder).rglob("*.py")
)


def imported(program: str) -> list[tuple[str, str | None]]:
    """Return the modules of this project that a program imports, and the names out of each."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, name.name) for name in node.names]
        elif isinstance(node, ast.Import):
            found += [(name.name, None) for name in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] == "lightning_dqn"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_it_imports_is_there(program: Path) -> None:
    for module, name in imported(program.read_text()):
        found = importlib.import_module(module)
        if name is not None and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")


def test_imports_are_found_wherever_they_stand() -> None:
    program = (
        "import torch\ndef f():\n    from lightning_dqn.data import a, b\nimport lightning_dqn.dqn"
    )
    assert sorted(imported(program), key=str) == [
        ("lightning_dqn.data", "a"),
        ("lightning_dqn.data", "b"),
        ("lightning_dqn.dqn", None),
    ]


def test_the_curve_of_a_run_is_of_the_episodes_in_its_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    suite_record = importlib.import_module("suite_record")
    monkeypatch.setattr(suite_record, "SPAN", 1_000)
    monkeypatch.setattr(archive, "MOST_BYTES_INSIDE", 0)
    small_run(tmp_path / "run", "environment.num_envs=1")
    summary = {"overrides": ["environment.game=Pong"], "seed": 3}
    [point] = suite_record.curve_of(tmp_path / "run", summary)
    rows = [row.values for row in read_rows(tmp_path / "run" / METRICS)]
    *_, told = (row[RETURN] for row in rows if row.get(RETURN) is not None)
    assert float(point.pop("episode_return")) == pytest.approx(told, rel=1e-3)
    assert point == {"game": "Pong", "seed": "3", "env_steps": 1_000}


def test_a_run_is_kept_once_and_again_where_it_came_to_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    suite_record = importlib.import_module("suite_record")
    read: list[str] = []

    def curve_of(folder: Path, summary: dict[str, Any]) -> list[dict[str, Any]]:
        read.append(folder.name)
        seed = str(summary["seed"])
        return [{"game": "Pong", "seed": seed, "env_steps": 5_000, "episode_return": "-21"}]

    monkeypatch.setattr(suite_record, "curve_of", curve_of)
    suite, record = tmp_path / "suite", tmp_path / "der"
    monkeypatch.setattr("sys.argv", ["suite_record.py", str(suite), str(record)])

    def kept(seed: int, episode_return: float) -> list[str]:
        summary = {
            **dict.fromkeys(suite_record.FACTS, 100),
            **{"overrides": ["environment.game=Pong"], "seed": seed, "tested_env_steps": 100},
            "evaluation": {"epsilon": 0.001, "max_episode_steps": 10_000},
            **{"seconds": 90.0, "commit": "0123456", "versions": {"torch": "2.13.0"}},
            "episode_return": episode_return,
        }
        (suite / str(seed)).mkdir(parents=True, exist_ok=True)
        (suite / str(seed) / "summary.json").write_text(json.dumps(summary))
        suite_record.main()
        with record.with_name("der.csv").open(newline="") as file:
            return [row["episode_return"] for row in csv.DictReader(file)]

    assert kept(0, -20.125) == ["-20.125"]
    assert kept(1, -19.0) == ["-20.125", "-19.0"]
    assert kept(0, -18.0) == ["-18.0", "-19.0"]
    assert read == ["0", "1", "0"]
    assert "Alien" in capsys.readouterr().out
    assert len(record.with_name("der_curves.csv").read_text().splitlines()) == 1 + 2
