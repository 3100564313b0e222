"""Paths of this machine among what is told of a run: a folder that is published tells of none."""

from __future__ import annotations

import os
import re
from pathlib import PurePath

from omegaconf import MISSING, DictConfig, OmegaConf

from lightning_dqn.runs.named import leaves
from lightning_dqn.system.overrides import is_of

_INTERPOLATION = re.compile(r"\$\{[^{}]*\}")
_WORDS = re.compile(r"[^\s,;='\"\[\]{}()]+")
_ABSOLUTE = re.compile(r"(^|:)(~\w*)?/(?=[^/])|(^|:)[A-Za-z]:[\\/](?=[^\\/])|^file:|:/{3,}").search


_IDS = ("environment.id", "data.evaluation.environment.id")
"""Keys of names that look like paths, and that a folder may have too: runs are sorted by them."""


def holds_a_path(text: str) -> bool:
    """Return whether a text or a word of it is a path of this machine: absolute, or there.

    A word alone, as ``small``, is taken for a name, whatever else is called so; one that begins
    with an interpolation is of another place.
    """
    while _INTERPOLATION.search(text):
        text = _INTERPOLATION.sub("$", text)
    return _is_there(text.strip("'\"")) or any(
        _ABSOLUTE(word) or _is_there(word.rpartition(":")[2]) for word in _WORDS.findall(text)
    )


def has_a_path(key: str, value: str) -> bool:
    """Return whether the value of a key holds a path of this machine, see :func:`holds_a_path`."""
    return not is_of(key, _IDS) and holds_a_path(value)


def take_paths(config: DictConfig) -> list[str]:
    """Put ``???``, which has to be given, in place of values that hold a path; return their keys.

    Args:
        config: it is changed in place.
    """
    written = OmegaConf.to_container(config, resolve=False)
    texts = [(key, value) for key, value in leaves(written) if isinstance(value, str)]
    keys = [key for key, value in texts if has_a_path(key, value)]
    for key in keys:
        OmegaConf.update(config, key, MISSING)
    return keys


def _is_there(word: str) -> bool:
    path = PurePath(word)
    return (len(path.parts) > 1 or bool(path.suffix)) and os.path.exists(word)
