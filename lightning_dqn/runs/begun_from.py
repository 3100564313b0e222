"""What a run begins from, as paths that hold in whatever folder its job works."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.resume import quoted
from lightning_dqn.system.overrides import key_of

_KEYS = ("ckpt_path", "weights_from")
_PLAIN = re.compile(r"[\w./-]+")


def place(config: DictConfig) -> None:
    """Make them absolute by the folder that one is in, which ``hydra.job.chdir`` leaves."""
    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict), "a configuration"
    for key in _KEYS:
        value = values.get(key)
        if _is_relative(value):
            config[key] = os.path.abspath(value)


def placed(overrides: Sequence[str]) -> list[str]:
    """Return overrides that name them absolutely: of a run that is continued from elsewhere."""
    return [_placed(one) if key_of(one) in _KEYS else one for one in overrides]


def _placed(line: str) -> str:
    parsed = OverridesParser.create().parse_override(line)
    value = None if parsed.is_delete() or parsed.is_sweep_override() else parsed.value()
    if not _is_relative(value):
        return line
    path = os.path.abspath(value)
    text = path if _PLAIN.fullmatch(path) else quoted(Path(path))
    return f"{line.partition('=')[0]}={text}"


def _is_relative(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and "${" not in value and not os.path.isabs(value)
