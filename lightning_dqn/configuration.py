"""From Hydra's configuration to objects, with mistakes named by their key.

Each node with a ``_target_`` is built from its own keys; before that the plain values are held
against the annotations of what they go to, so that ``data.batch_size=abc`` is refused as such.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


class ConfigError(ValueError):
    """A mistake in the configuration, told in one message that names the key and the remedy."""


def build(config: DictConfig, key: str, *args: Any, **kwargs: Any) -> Any:
    """Build the object that the node ``key`` describes.

    Args:
        config: the whole configuration.
        key: the node's path, as ``data``.
        args: further positional arguments of the target.
        kwargs: further arguments that the configuration doesn't hold.

    Raises:
        ConfigError: naming the key at fault.
    """
    try:
        node = OmegaConf.to_container(OmegaConf.select(config, key), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from error
    if not node:
        return None
    node = check_types(node, key)
    try:
        return instantiate(node, *args, _convert_="all", **kwargs)
    except (HydraException, ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"{key}: {_cause(error)}") from error


def check_types(node: Any, key: str) -> Any:
    """Hold a node's plain values against the annotations of its ``_target_``.

    Returns:
        The node, with whole floats (``1e5``) as ints where an int is asked for.

    Raises:
        ConfigError: naming the key, its value and the type that is expected.
    """
    if isinstance(node, list):
        return [check_types(entry, f"{key}[{index}]") for index, entry in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    hints = _annotations(node["_target_"], key) if "_target_" in node else {}
    checked = {}
    for name, value in node.items():
        path = f"{key}.{name}"
        if isinstance(value, Mapping) and not value:
            value = None if _allows_none(hints.get(name)) else value
        if isinstance(value, Mapping | list):
            checked[name] = check_types(value, path)
        else:
            checked[name] = _as_type(value, hints[name], path) if name in hints else value
    return checked


def _annotations(target: str, key: str) -> dict[str, Any]:
    try:
        function = get_method(target) if isinstance(target, str) else target
    except (HydraException, ValueError, ImportError) as error:
        raise ConfigError(f"{key}._target_={target}: {_cause(error)}") from error
    function = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}


def _as_type(value: Any, hint: Any, key: str) -> Any:
    """Return ``value`` if ``hint`` allows it, or as an int where a whole float stands for one."""
    if _allows(value, hint):
        return value
    if isinstance(value, float) and value.is_integer() and _allows(int(value), hint):
        return int(value)
    raise ConfigError(f"{key}={value!r}: expected {_describe(hint)}")


def _allows(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_allows(value, option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return any(value == option and type(value) is type(option) for option in get_args(hint))
    if hint in (int, float):
        return (
            isinstance(value, int if hint is int else int | float)
            and value is not True
            and (value is not False)
        )
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint in (None, types.NoneType):
        return value is None
    # A plain value where an object is expected is wrong, unless a string or None may stand for it.
    return hint is Any or not isinstance(value, int | float | bool)


def _allows_none(hint: Any) -> bool:
    return hint is not None and _allows(None, hint) and types.NoneType in get_args(hint)


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(str(option) for option in get_args(hint))
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        type(None): "null",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _cause(error: BaseException) -> str:
    """Return the text of what went wrong below Hydra's own words."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    text = _first_line(error)
    return (
        text if isinstance(error, ConfigError | ValueError) else f"{type(error).__name__}: {text}"
    )


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
