"""The first page's commands run, one after the other in one folder, each with a small budget."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.commands import commands_in_blocks, is_ours
from support.pages import ROOT, write_modules
from support.processes import command

PAGE = (ROOT / "docs" / "start.md").read_text().split("\n## In Python")[0]
SHORT = ("test=false", "callbacks.diagnostics=null")
BUDGET = "env_steps=1_500"


def words_of(told: str, folder: Path) -> list[str]:
    """Return what is typed: with the newest run's folder, and a small budget where it trains."""
    _, _, _, *words = shlex.split(told)  # python -m lightning_dqn
    if "<run>" in words:
        newest = max(folder.glob("runs/*/*/summary.json"), key=lambda path: path.stat().st_mtime)
        words[words.index("<run>")] = str(newest.parent.relative_to(folder))
        return [*words, "episodes=1"] if words[0] == "watch" else words
    if "--help" in words:
        return words
    return [*(word for word in words if not word.startswith("env_steps=")), BUDGET, *SHORT]


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_command_of_the_first_page_runs_in_its_order(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_modules(PAGE, tmp_path)
    told = [one for one in commands_in_blocks(PAGE) if is_ours(one)]
    assert len(told) > 8
    for one in told:
        words = words_of(one, tmp_path)
        result = command(*words, cwd=tmp_path, timeout=600)
        assert result.returncode == 0, (one, result.stderr[-2_000:])
        if "--help" not in words:
            assert result.stdout, one
    assert (tmp_path / "policy.onnx").is_file()
