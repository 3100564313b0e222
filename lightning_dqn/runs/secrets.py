"""Keys and passwords: named in a configuration, held by the environment, written nowhere."""

from __future__ import annotations

import re
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
_FROM_ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*[A-Za-z_]\w*\s*(,\s*(null)?\s*)?\}")

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


def without_secrets(config: DictConfig) -> dict[str, Any]:
    """Return a configuration's values, to be told: of secrets how they are written, not what.

    A value elsewhere that holds a secret, by an interpolation, is hidden.
    """
    written = dict(leaves(OmegaConf.to_container(config, resolve=False)))
    values: Any = OmegaConf.to_container(config, resolve=True)
    secrets = {
        value
        for key, value in leaves(values, "")
        if isinstance(value, str) and value and _is_secret(key)
    }
    told: dict[str, Any] = _told(values, "", written, secrets)
    return told


def _is_secret(key: str) -> bool:
    return bool(_KEY.search(re.split(r"[.\[]", key.rstrip("]0123456789["))[-1]))


def _told(node: Any, key: str, written: dict[str, Any], secrets: set[str]) -> Any:
    if isinstance(node, dict):
        return {
            name: _told(value, f"{key}.{name}" if key else str(name), written, secrets)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_told(value, f"{key}[{i}]", written, secrets) for i, value in enumerate(node)]
    if isinstance(node, str) and any(secret in node for secret in secrets):
        text = str(written.get(key))
        return text if "${" in text else HIDDEN
    return node
