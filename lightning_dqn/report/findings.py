"""What a run's doctor found, as it lies in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from lightning_dqn.runs.json_file import read_json
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
    with read_json(path, "the findings of a run", "remove it") as saved:
        return [_finding(one) for one in saved["findings"]]


def _finding(saved: dict[str, Any]) -> ReportedFinding:
    return ReportedFinding(saved["rule"], saved["env_steps"], saved["what"], saved["remedy"])
