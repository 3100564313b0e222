"""What a command line asked for that nothing in its runs reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.keys import refers_to, texts
from lightning_dqn.system.overrides import key_of

if TYPE_CHECKING:  # it brings torch
    from lightning_dqn.replay.samplers.sampler import Pace

_HINTS = "hints."


def unread_hints(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return a note of each override of a hint to which no part that was chosen refers.

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
    unread = [one for one in asked if not _is_read(key_of(one), read)]
    return [f"{one}: is without effect, no part that was chosen reads it" for one in unread]


def _is_read(key: str, text: str) -> bool:
    """Return whether an interpolation in a text is of a key, of one below or of one above."""
    names = key.split(".")
    above = [".".join(names[:length]) for length in range(2, len(names))]
    return refers_to(text, key) or any(f"${{{one}}}" in text for one in above)


_OF_PACE = {
    "data.batch_size": "batch_size",
    "data.updates_per_iteration": "updates_per_iteration",
    "data.env_steps_per_iteration": "env_steps_per_iteration",
    "data.replay.capacity": "capacity",
    "data.replay.n_step": "n_step",
    "data.collection.warmup_env_steps": "warmup_env_steps",
}
"""Keys that a sampler may set itself -> their fields of a pace."""


def set_by_sampler(overrides: Sequence[str], config: DictConfig, pace: Pace) -> list[str]:
    """Return a note of each override in whose place the sampler sets a value of its own.

    Args:
        overrides: of a job.
        config: what they are composed to.
        pace: that the sampler gave.
    """
    sampler = str(config.data.sampler._target_).rpartition(".")[2]
    notes = []
    for one in overrides:
        if (key := key_of(one)) not in _OF_PACE:
            continue
        value = getattr(pace, _OF_PACE[key])
        if value is None:
            notes.append(f"{one}: is without effect, {sampler} has targets of its own")
        elif isinstance(value, int) and value != OmegaConf.select(config, key):
            notes.append(f"{one}: is without effect, {sampler} sets it to {value}")
    return notes
