"""Hyper-parameters that were changed by hand while a run learned: what its folder says of them."""

from __future__ import annotations

from pathlib import Path

from lightning_dqn.runs.json_file import read_json
from lightning_dqn.system.files import CHANGED_BY_HAND


def changed_by_hand(run_dir: Path) -> tuple[str, ...]:
    """Return each change as a line, oldest first; none where nothing was changed.

    Raises:
        ConfigError: the file of them can't be read.
    """
    path = run_dir / CHANGED_BY_HAND
    if not path.is_file():
        return ()
    with read_json(path, "what was changed by hand", "remove the file") as changes:
        return tuple(
            f"{one['name']} {one['value']:.4g} from env step {one['env_steps']:,}"
            for one in changes
        )
