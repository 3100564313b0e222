"""Commands for the user to type next, as they are printed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from lightning_dqn.runs.hydra_files import searched
from lightning_dqn.runs.trust import trusted


def evaluate_command(run_dir: Path, trust: Iterable[str] = ()) -> str:
    """Return the command that plays test episodes with a run's policy.

    Args:
        run_dir: of the run.
        trust: modules of the user's own that its configuration names.
    """
    return " ".join([_program(), "evaluate", _quoted(run_dir), *trusted(trust)])


def continue_command(run_dir: Path, trust: Iterable[str] = (), *more: str) -> str:
    """Return the command that goes on with a run.

    Args:
        run_dir: of the run.
        trust: modules of the user's own that its configuration names.
        more: arguments.
    """
    return " ".join([_program(), "resume", _quoted(run_dir), *more, *trusted(trust), *_flags()])


def shown(path: Path) -> Path:
    """Return ``path`` relative to the user's folder where it lies below it."""
    folder = _user_folder()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _quoted(run_dir: Path) -> str:
    return shlex.quote(str(shown(run_dir)))


def _flags() -> list[str]:
    """Return what the configuration was found by; what a folder says of that isn't followed."""
    if not HydraConfig.initialized():
        return []
    hydra = HydraConfig.get()
    folders = [one.path for one in hydra.runtime.config_sources if one.provider == "command-line"]
    flags = [f"--config-dir={shlex.quote(folder)}" for folder in dict.fromkeys(folders)]
    if (name := hydra.job.config_name) not in (None, "config"):
        flags.append(f"--config-name={shlex.quote(str(name))}")
    return flags + [shlex.quote(one) for one in searched(hydra.overrides.hydra)]


def _program() -> str:
    """Return how to call this: by the path of this Python if it lies in the user's folder."""
    executable = Path(sys.executable)
    is_here = executable.is_relative_to(_user_folder())
    return f"{shown(executable) if is_here else 'python'} -m lightning_dqn"


def _user_folder() -> Path:
    """Return where the command was given, which ``hydra.job.chdir`` leaves."""
    return Path(HydraConfig.get().runtime.cwd if HydraConfig.initialized() else Path.cwd())
