"""What a command line asked for that nothing in its runs reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.keys import texts
from lightning_dqn.system.overrides import key_of

_HINTS = "hints."


def unread_hints(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of hints to which no part that was chosen refers.

    Args:
        overrides: of a job.
        config: what they are composed to.
    """
    asked = [one for one in overrides if key_of(one).startswith(_HINTS)]
    if not asked:
        return []
    values: Any = OmegaConf.to_container(config, resolve=False)
    values.pop("hydra", None)
    read = "\n".join(texts(values))
    return [one for one in asked if not _is_read(key_of(one), read)]


def _is_read(key: str, text: str) -> bool:
    """Return whether an interpolation in a text is of a key, of one below or of one above."""
    names = key.split(".")
    above = [".".join(names[:length]) for length in range(2, len(names) + 1)]
    return f"${{{key}." in text or any(f"${{{one}}}" in text for one in above)
