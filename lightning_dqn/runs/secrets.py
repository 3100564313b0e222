"""Keys and passwords: named in a configuration, held by the environment, written nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.named import leaves

_KEY = re.compile(
    r"(^|_)(api_?key|access_?key|private_?key|\w*token|passw(or)?d|passphrase|secret|"
    r"credentials?)(_|$)",
    re.IGNORECASE,
)
_LOOKS_SECRET = re.compile(
    r"[0-9a-f]{40}|wandb_v\d\w{20,}|(ghp|hf|sk)_\w{20,}|[A-Za-z][\w+.-]*://[^/@\s]+:[^/@\s]+@.*"
)
_OF_THE_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:").search
_REFERENCE = re.compile(r"\$\{\s*(\.*)([\w.\[\]]+)\s*\}")
_FROM_ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*[A-Za-z_]\w*\s*(,\s*(null)?\s*)?\}")

_ASSIGNED = re.compile(
    r"([A-Za-z_]\w*)[\"']?\s*[:=]\s*(?:[\"']([^\s\"']{8,})[\"']|(?=\S*\d)([^\s\"'(){}$]{8,}))"
)
"""A name, and the text in quotes or the word with a digit that it is given."""
_WORDS = re.compile(r"[^\s\"'`,;=(){}\[\]]+")

HIDDEN = "***"


def check_secrets(config: DictConfig) -> None:
    """Refuse a secret that is written out: a run's folder and its loggers would keep it.

    Args:
        config: not yet resolved.

    Raises:
        ConfigError: naming the key, not its value, and how to hand it over.
    """
    for key, value in leaves(OmegaConf.to_container(config, resolve=False)):
        text = "" if value is None or isinstance(value, bool) else str(value)
        is_count = not isinstance(value, str) and "token" in key
        if key.startswith("hydra.") or not text or is_count or _FROM_ENVIRONMENT.fullmatch(text):
            continue
        if _is_secret(key) or (key.startswith("logger.") and _LOOKS_SECRET.fullmatch(text)):
            raise ConfigError(
                f"{key}: a secret that is written out stays in the run's files; put it into the "
                f"environment and write '{key}=${{oc.env:NAME}}'"
            )


def holds_a_secret(text: str) -> bool:
    """Return whether a word of a text looks like a key, or is assigned to a name of one."""
    assigned = (name for name, *value in _ASSIGNED.findall(text) if "${" not in "".join(value))
    words = _WORDS.findall(text)
    return any(map(_is_secret, assigned)) or any(map(_LOOKS_SECRET.fullmatch, words))


def without_secrets(config: DictConfig) -> dict[str, Any]:
    """Return a configuration's values, to be told.

    Of a value that comes from the environment it says how it is written, not what it is. What
    looks like a key is hidden, and what holds a secret of another place.
    """
    written = from_environment(dict(leaves(OmegaConf.to_container(config, resolve=False))))
    values: Any = OmegaConf.to_container(config, resolve=True)
    secrets = {
        value
        for key, value in leaves(values, "")
        if isinstance(value, str) and value and _is_secret(key)
    }
    told: dict[str, Any] = _without_secrets(values, "", written, secrets)
    return told


def _is_secret(key: str) -> bool:
    return bool(_KEY.search(re.split(r"[.\[]", key.rstrip("]0123456789["))[-1]))


def from_environment(written: dict[str, Any]) -> dict[str, str]:
    """Return the values that come from the environment, by whichever keys they get here.

    Args:
        written: values by their whole keys, not resolved.
    """
    found = {k: v for k, v in written.items() if isinstance(v, str) and _OF_THE_ENVIRONMENT(v)}
    while True:
        more = {
            key: value
            for key, value in written.items()
            if key not in found and isinstance(value, str) and _refers(key, value, found)
        }
        if not more:
            return found
        found |= more


def _refers(key: str, value: str, found: Iterable[str]) -> bool:
    """Return whether a value is made of one of those that were found."""
    for dots, name in _REFERENCE.findall(value):
        above = re.split(r"[.\[]", key)[: -len(dots)] if dots else []
        whole = ".".join([*above, name])
        if any(one == whole or re.match(rf"{re.escape(whole)}[.\[]", one) for one in found):
            return True
    return False


def _without_secrets(node: Any, key: str, written: dict[str, str], secrets: set[str]) -> Any:
    if key in written:
        return written[key]
    if isinstance(node, dict):
        return {
            name: _without_secrets(value, f"{key}.{name}" if key else str(name), written, secrets)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [
            _without_secrets(value, f"{key}[{i}]", written, secrets) for i, value in enumerate(node)
        ]
    if not isinstance(node, str):
        return node
    is_hidden = _LOOKS_SECRET.fullmatch(node) or any(secret in node for secret in secrets)
    return HIDDEN if is_hidden else node
