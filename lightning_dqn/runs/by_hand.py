"""Hyper-parameters that were changed by hand while a run learned: what its folder says of them."""

from __future__ import annotations

import json
from pathlib import Path

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.files import CHANGED_BY_HAND


def changed_by_hand(run_dir: Path) -> tuple[str, ...]:
    """Return each change as a line, oldest first; none where nothing was changed.

    Raises:
        ConfigError: the file of them can't be read.
    """
    path = run_dir / CHANGED_BY_HAND
    if not path.is_file():
        return ()
    try:
        changes = json.loads(path.read_text())
        return tuple(
            f"{one['name']} {one['value']:.4g} from env step {one['env_steps']:,}"
            for one in changes
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: not what was changed by hand ({error!r}); remove the file"
        ) from error
