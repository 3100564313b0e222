"""What the code differs in from its commit: told, unless it holds a key."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from lightning_dqn.runs import changes as module
from lightning_dqn.runs.changes import changes

KEY = "0123456789abcdef" * 2 + "deadbeef"


def _git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=n", "-c", "user.email=e")
    command = ["git", "-C", str(folder), *names, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a commit of the clone that the code runs from."""
    path = tmp_path / "code.py"
    path.write_text("x = 1\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(module, "clone", lambda: tmp_path)
    return path


def test_the_changes_bring_a_commit_to_the_code_that_ran(code: Path) -> None:
    assert changes() == ""
    code.write_text("x = 2\n")
    (code.parent / "untracked.py").write_text("y = 1\n")
    patch = changes()
    assert "untracked" not in patch
    code.write_text("x = 1\n")
    subprocess.run(["git", "apply"], cwd=code.parent, input=patch, text=True, check=True)
    assert code.read_text() == "x = 2\n"


@pytest.mark.parametrize(
    "line",
    [
        f"x = '{KEY}'",
        "api_key = 'hunter2hunter2'",
        "DB_PASSWORD: hunter2hunter2",
        '{"access_key": "abcdefgh"}',
        "address = 'https://user:word@mlflow.example'",
    ],
)
def test_changes_with_what_looks_like_a_key_are_not_told(
    line: str, code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code.write_text(f"x = 1\n{line}\n")
    assert changes() == ""
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "looks like a key" in record.getMessage()
    assert line not in record.getMessage()


def test_code_that_only_handles_keys_is_told(code: Path) -> None:
    code.write_text("def login(api_key: str) -> None:\n    api_key = settings.api_key\n")
    assert "settings.api_key" in changes()


def test_changes_that_are_too_large_are_not_told(
    code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code.write_text("y = 2\n" * 200_000)
    assert changes() == ""
    assert "larger than 1 MB" in caplog.text


def test_without_a_clone_or_git_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "clone", lambda: None)
    assert changes() == ""
    monkeypatch.setattr(module, "clone", lambda: tmp_path)
    assert changes() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert changes() == ""
