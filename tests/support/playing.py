"""What playing needs: the folder of a run that plays tic-tac-toe, and a runtime for the page."""

from __future__ import annotations

import json
from pathlib import Path

from lightning_dqn.formats.saved import save_weights
from lightning_dqn.games.play.runtime import FILES
from support.board_agents import taught_tictactoe


def write_taught_run(folder: Path) -> Path:
    """Write what a finished run leaves of an agent that plays well."""
    save_weights(taught_tictactoe().agent, folder)
    summary = {"env_steps": 12_345, "updates": 678, "tested_env_steps": 12_345}
    (folder / "summary.json").write_text(json.dumps({**summary, "episode_return": 0.9}))
    return folder


def write_runtime(folder: Path) -> Path:
    """Write files of the runtime's names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_bytes(b"\0asm")
    return folder
