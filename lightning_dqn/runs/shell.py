"""Commands for the user to type next, as they are printed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig


def evaluate_command(run_dir: Path) -> str:
    """Return the command that plays test episodes with a run's policy."""
    return f"{_program()} evaluate {shlex.quote(str(shown(run_dir)))}"


def continue_command(run_dir: Path, *more: str) -> str:
    """Return the command that goes on with a run."""
    return " ".join([f"{_program()} resume {shlex.quote(str(shown(run_dir)))}", *more])


def shown(path: Path) -> Path:
    """Return ``path`` relative to the user's folder where it lies below it."""
    folder = _user_folder()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _program() -> str:
    """Return how to call this: by the path of this Python if it lies in the user's folder."""
    executable = Path(sys.executable)
    is_here = executable.is_relative_to(_user_folder())
    return f"{shown(executable) if is_here else 'python'} -m lightning_dqn"


def _user_folder() -> Path:
    """Return where the command was given, which ``hydra.job.chdir`` leaves."""
    return Path(HydraConfig.get().runtime.cwd if HydraConfig.initialized() else Path.cwd())
