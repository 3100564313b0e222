"""Where a run's numbers come from."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import pytest
import pytorch_lightning as pl
import torch

import lightning_dqn
from lightning_dqn.runs import provenance as module
from lightning_dqn.runs.provenance import provenance

CPU = torch.device("cpu")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the package seems to lie in."""
    (tmp_path / "lightning_dqn").mkdir()
    file = tmp_path / "lightning_dqn" / "__init__.py"
    file.touch()
    package = SimpleNamespace(__file__=str(file), __version__="9.8.7")
    monkeypatch.setattr(module, "lightning_dqn", package)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *author, *arguments]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def test_versions_are_those_of_the_modules() -> None:
    assert provenance(CPU)["versions"] == {
        "lightning_dqn": lightning_dqn.__version__,
        "torch": str(torch.__version__),
        "lightning": pl.__version__,
        "gymnasium": gymnasium.__version__,
    }


def test_the_hardware_is_the_processor_and_the_device_that_learns() -> None:
    hardware = provenance(CPU)["hardware"]
    assert hardware["device"] == "cpu"
    assert hardware["cpu"]
    information = Path("/proc/cpuinfo")
    if information.is_file() and "model name" in information.read_text():
        assert re.search(rf"model name\s*: {re.escape(hardware['cpu'])}", information.read_text())


def test_a_gpu_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"name of {device}")
    hardware = provenance(torch.device("cuda", 1))["hardware"]
    assert hardware["device"] == "name of cuda:1"


def test_the_commit_is_that_of_the_clone_and_tells_of_changes(clone: Path) -> None:
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "-m", "first")
    commit = git(clone, "rev-parse", "HEAD").strip()
    assert provenance(CPU)["commit"] == commit
    (clone / "lightning_dqn" / "__init__.py").write_text("changed = True")
    assert provenance(CPU)["commit"] == f"{commit}-dirty"


def test_an_installed_package_has_no_commit_even_below_a_repository(clone: Path) -> None:
    git(clone.parent, "init", "--quiet")
    assert provenance(CPU)["commit"] is None


@pytest.mark.parametrize("has_git", [True, False])
def test_a_clone_that_git_can_not_read_has_no_commit(
    has_git: bool, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / ".git").mkdir()
    if not has_git:
        monkeypatch.setenv("PATH", str(clone))
    assert provenance(CPU)["commit"] is None
