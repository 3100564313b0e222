"""A W&B run is started: online where that can be, else offline, with the reason in one line."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dqn.reporting.wandb_connection import address, api_key, can_connect
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.files import write_text

if TYPE_CHECKING:
    import wandb

_logger = logging.getLogger(__name__)

_ID = re.compile(r"[\w.-]{1,128}")
_INIT_SECONDS = 3.0
_FINISH_SECONDS = 60.0
_FINISH_SECONDS_OF_FILES = 600.0  # with checkpoints to upload


@dataclass(frozen=True)
class WandbStart:
    """How a run is to be started.

    Attributes:
        arguments: of ``wandb.init``; those that are None are left to W&B's variables.
        folder: that gets W&B's ``wandb`` folder; made if it does not exist.
        id_path: file that keeps the run's id: where it lies from before, that run goes on.
        commit: of the code that runs, all that W&B is told of it.
        uploads: checkpoints are to be uploaded, which can't be offline.
    """

    arguments: Mapping[str, Any]
    folder: Path
    id_path: Path | None
    commit: str | None
    uploads: bool

    def run(self) -> wandb.Run:
        """Start the run in the mode asked for, or else online if possible."""
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.setup().settings
        mode = self.arguments.get("mode") or settings.mode
        if "disabled" in (mode, settings.mode):
            return self._init(mode="disabled")
        if mode in ("offline", "dryrun"):
            return self._offline("as asked", logging.INFO)
        return self._online(settings)

    def _online(self, settings: wandb.Settings) -> wandb.Run:
        """Start the run online, or offline if there is no key, no host or an error."""
        import wandb

        key = api_key(settings)
        if not key and not settings.identity_token_file:
            return self._offline("no API key was found")
        if not can_connect(address(settings)):
            return self._offline(f"{settings.base_url} cannot be reached")
        try:
            # With the key in hand W&B has nothing left to ask for.
            return self._init(api_key=key) if key else self._init()
        except (wandb.Error, TimeoutError) as error:
            why = first_line(error)
            return self._offline(f"W&B failed: {why}")

    def _offline(self, reason: str, level: int = logging.WARNING) -> wandb.Run:
        """Start the run offline and say why, where, and how to upload it later."""
        run = self._init(mode="offline", silent=True)
        if self.uploads:
            reason, level = f"{reason}; log_model is off", logging.WARNING
        directory = shlex.quote(str(Path(run.dir).resolve().parent))
        text = "W&B is offline (%s): recording in %s; upload with: wandb sync %s"
        _logger.log(level, text, reason, directory, directory)
        return run

    def _init(self, mode: str | None = None, **settings: Any) -> wandb.Run:
        """Call ``wandb.init`` with few words and a short patience."""
        import wandb

        arguments = {key: value for key, value in self.arguments.items() if value is not None}
        is_named = "id" in arguments or os.environ.get("WANDB_RUN_ID")
        if not is_named and self.id_path is not None and self.id_path.is_file():
            arguments |= {"id": _id_in(self.id_path), "resume": "allow"}
        theirs = arguments.pop("settings", {})
        arguments["mode"] = mode or arguments.get("mode")
        ours = self._settings() | settings
        if not isinstance(theirs, wandb.Settings):
            theirs = wandb.Settings(**ours | theirs)
        run = wandb.init(**arguments, settings=theirs)
        if self.id_path is not None and _ID.fullmatch(run.id):
            self.id_path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.id_path, f"{run.id}\n")
        return run

    def _settings(self) -> dict[str, Any]:
        """Return what W&B is to be like here.

        Of a repository it would tell the address too, which may hold a key as its user.
        """
        patience = _FINISH_SECONDS_OF_FILES if self.uploads else _FINISH_SECONDS
        quiet = {"quiet": True, "console": "off", "init_timeout": _INIT_SECONDS}
        code = {"disable_git": True, "git_commit": self.commit}
        return {**quiet, **code, "finish_timeout": patience}


def _id_in(path: Path) -> str:
    """Return the id of a run that a file keeps.

    Raises:
        ValueError: it holds something else, which nobody is to be told.
    """
    with path.open(errors="replace") as file:
        text = file.read(200).strip()
    if not _ID.fullmatch(text):
        raise ValueError(f"{path}: holds no id of a W&B run; delete it, and a new run begins there")
    return text
