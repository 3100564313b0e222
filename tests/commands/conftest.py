"""A run by the command line, for all that look at what it left."""

import subprocess
from pathlib import Path

import pytest
from support.processes import SHORT, command


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The folder of a short run with an experiment of the user's own, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("conf", "callbacks"):  # a user's own folders of the shipped ones' names
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a user module')")
    (folder / "conf" / "experiment").mkdir()
    (folder / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\ndata:\n  batch_size: 16\n"
    )
    result = command("+experiment=mine", *SHORT, cwd=folder)
    assert result.returncode == 0, result.stderr
    [run] = (folder / "runs" / "mine").iterdir()
    return run, result
