"""``resume=<run folder>`` and ``resume=auto``: which run a command line goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.mistakes import MISTAKES
from lightning_dqn.runs.resume import CHECKPOINT, CONFIGURATION, Resumed
from lightning_dqn.runs.trust import NOTHING, Trust
from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.system.overrides import unquoted

_AUTO = "auto"


def find_resumed(arguments: Sequence[str], trust: Trust = NOTHING) -> Resumed | None:
    """Return the run that ``resume=`` among arguments names; None where none is named.

    ``resume=auto`` names the run in the folder that the arguments begin one in, if it is there.

    Raises:
        ConfigError: see :meth:`Resumed.of`; or the folder of ``resume=auto`` isn't known, or
            another checkpoint than the last is named.
    """
    named = [one.partition("=")[2] for one in arguments if one.startswith("resume=")]
    if not named:
        return None
    path, rest = unquoted(named[-1]), without_resume(arguments)
    if path == _AUTO:
        return _begun_before(rest, trust)
    folder = Path(path)
    if folder.name == CHECKPOINT.name:
        folder = folder.absolute().parents[1]
    elif folder.suffix == ".ckpt" and is_kept(folder):
        raise ConfigError(
            f"resume={path}: a run continues from its {CHECKPOINT.name}; name its folder, or begin "
            f"another with what this one has learned: ckpt_path={path}, or with its network alone: "
            f"weights_from={path}"
        )
    return Resumed.of(folder, rest, trust)


def without_resume(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a run that begins, though it would have gone on: ``resume=auto``."""
    return [argument for argument in arguments if not argument.startswith("resume=")]


def _begun_before(arguments: list[str], trust: Trust) -> Resumed | None:
    """Return the run that the same arguments began before; None where they begin it now."""
    folder = _folder_of_run(arguments)
    if not (folder / CONFIGURATION).is_file():
        return None
    if is_kept(folder / CHECKPOINT):  # what it was begun from is typed each time
        arguments = [one for one in arguments if not one.startswith("ckpt_path=")]
    return Resumed.of(folder, arguments, trust)


def _folder_of_run(arguments: Sequence[str]) -> Path:
    composer = Composer(arguments)
    with composer:
        try:
            folder = None if composer.is_sweep else composer.lasting_folder()
        except MISTAKES as error:
            raise ConfigError(composer.explain(error)) from error
    if folder is None:
        raise ConfigError(
            "resume=auto: continues the run in a folder if there is one; name it by "
            "hydra.run.dir=<folder>, the same each time"
        )
    return folder
