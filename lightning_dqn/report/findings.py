"""What a run's doctor found, as it lies in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.files import FINDINGS


class ReportedFinding(NamedTuple):
    """Something that looks wrong in a run.

    Attributes:
        name: of the kind.
        env_step: at which it was seen; None: it isn't of one.
        what: was seen.
        advice: what to do.
    """

    name: str
    env_step: int | None
    what: str
    advice: str


def read_findings(run_dir: Path) -> list[ReportedFinding] | None:
    """Return what was found in a run; None where nobody looked.

    Raises:
        ConfigError: the file is damaged.
    """
    path = run_dir / FINDINGS
    if not path.is_file():
        return None
    try:
        return [_finding(one) for one in json.loads(path.read_text())["findings"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: no findings of a run ({error!r}); remove it") from error


def _finding(saved: dict[str, Any]) -> ReportedFinding:
    return ReportedFinding(saved["rule"], saved["env_steps"], saved["what"], saved["remedy"])
