"""What a run's doctor found, as it lies in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from lightning_dqn.runs.build import ConfigError

FINDINGS = "findings.json"
_NAME, _STEP, _ADVICE = ("rule", "name"), ("env_steps", "env_step"), ("remedy", "what to do")
"""Keys of a finding, the newer word first."""


class Finding(NamedTuple):
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


def read_findings(run_dir: Path) -> list[Finding] | None:
    """Return what was found in a run; None where nobody looked.

    Raises:
        ConfigError: the file is damaged.
    """
    path = run_dir / FINDINGS
    if not path.is_file():
        return None
    try:
        saved = json.loads(path.read_text())
        listed = saved["findings"] if isinstance(saved, dict) else saved
        return [_finding(one) for one in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: no findings of a run ({error!r}); remove it") from error


def _finding(saved: dict[str, Any]) -> Finding:
    name, step, advice = (
        next((saved[key] for key in keys if key in saved), None) for keys in (_NAME, _STEP, _ADVICE)
    )
    if name is None:
        raise ValueError(f"a finding without {_NAME[0]}")
    where = None if step is None else int(step)
    return Finding(str(name), where, str(saved["what"]), str(advice or ""))
