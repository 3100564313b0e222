"""From Hydra's configuration to objects, with mistakes named by their key.

Each node with a ``_target_`` is built from its own keys, its inner nodes first. Before that the
plain values are held against the annotations of what they go to, so that ``data.batch_size=abc``
is refused as such.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import pydoc
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.runs.keys import choices, targets_of
from lightning_dqn.runs.mistakes import near, own_option
from lightning_dqn.runs.named import leaves
from lightning_dqn.system.faults import first_line

_MAPPINGS = (dict, collections.abc.Mapping)
_SEVERAL = (list, tuple, collections.abc.Sequence, *_MAPPINGS)

_PACKAGES = {
    "CometLogger": "comet-ml",
    "MLFlowLogger": "mlflow",
    "TensorBoardLogger": "'lightning-dqn[tensorboard]'",
}
"""Logger of Lightning's -> what brings the package that it wants."""

_WRAPPER = re.compile(r"(.+\.)?environment\.wrappers\[\d+\]")


class ConfigError(ValueError):
    """A mistake in the configuration, told in one message that names the key and the remedy."""


def build(config: DictConfig, key: str, **kwargs: Any) -> Any:
    """Build the object that the node ``key`` describes, None for an empty node.

    Args:
        config: the whole configuration.
        key: the node's path, as ``data``.
        kwargs: further arguments of the target that the configuration doesn't hold.

    Raises:
        ConfigError: naming the key at fault.
    """
    try:
        selected = OmegaConf.select(config, key)
        node = None if selected is None else OmegaConf.to_container(selected, resolve=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise unresolved(key, error) from error
    for where, value in leaves(node, key):
        if value == MISSING:
            raise ConfigError(f"{where}=???: a value has to be given")
    return _build(check_types(node, key), key, **kwargs)


def build_several(config: DictConfig, key: str) -> list[Any]:
    """Build what each key of a node describes; null takes one away, as ``callbacks.doctor=null``.

    Raises:
        ConfigError: naming the key at fault.
    """
    built = [build(config, f"{key}.{name}") for name in config[key] or {}]
    return [one for one in built if one is not None]


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
    hints = {}
    if "_target_" in node:
        _refuse_unknown_arguments(node, key)
        hints = _annotations(node["_target_"], key)
    checked = {}
    for name, value in node.items():
        path = f"{key}.{name}"
        if isinstance(value, Mapping | list):
            checked[name] = check_types(value, path)
        else:
            checked[name] = as_type(value, hints[name], path) if name in hints else value
    return checked


def default_of(node: Mapping[str, Any], argument: str, key: str) -> Any:
    """Return what an argument of a node's target is by default; None where it has none."""
    parameters = inspect.signature(_locate(node["_target_"], key)).parameters
    default = parameters[argument].default if argument in parameters else None
    return None if default is inspect.Parameter.empty else default


def unresolved(key: str, error: BaseException) -> ConfigError:
    """Return why the values of a node can't be filled in; of a mistake elsewhere, that one."""
    found: BaseException | None = error
    while found is not None:  # OmegaConf wraps it, without naming it as the cause
        if isinstance(found, ConfigError):
            return found
        found = found.__context__
    return ConfigError(f"{key}: {first_line(error)}")


def invalid(prefix: str, error: Exception) -> ConfigError:
    """Return ``error`` as one of the configuration, its argument's name turned into a key."""
    text = first_line(error)
    if re.match(r"[a-z_.]+=", text):  # our own errors begin with the argument and its value
        return ConfigError(f"{prefix}.{text}")
    if isinstance(error, ModuleNotFoundError):
        return ConfigError(f"{prefix}: {text}; pip install what is missing")
    # Lightning's own of what it refuses; not imported, for it brings torch.
    is_told = isinstance(error, ValueError) or type(error).__name__ == "MisconfigurationException"
    kind = "" if is_told else f"{type(error).__name__}: "
    where = "" if is_told else " (HYDRA_FULL_ERROR=1 shows where)"
    return ConfigError(f"{prefix}: {kind}{text}{where}")


def _build(node: Any, key: str, **kwargs: Any) -> Any:
    if isinstance(node, list):
        return [_build(entry, f"{key}[{index}]") for index, entry in enumerate(node)]
    if not isinstance(node, Mapping):
        if isinstance(node, str) and _WRAPPER.fullmatch(key):  # which the factory imports
            _refuse_blocked(node, key)
        return node
    inner = {name: _build(value, f"{key}.{name}") for name, value in node.items()}
    if "_target_" not in inner:
        return inner or None
    target, is_partial = _locate(inner.pop("_target_"), key), inner.pop("_partial_", False)
    try:
        if is_partial:
            inspect.signature(target).bind_partial(**inner)
            return functools.partial(target, **inner, **kwargs)
        return target(**inner, **kwargs)
    except Exception as error:  # whatever a constructor of the user's own may raise
        package = _PACKAGES.get(getattr(target, "__name__", ""))
        if package is not None and isinstance(error, ModuleNotFoundError):
            raise ConfigError(f"{key}: isn't installed: pip install {package}") from error
        raise invalid(key, error) from error


def _refuse_unknown_arguments(node: Mapping[str, Any], key: str) -> None:
    target = _locate(node["_target_"], key)
    try:
        parameters = inspect.signature(target).parameters
    except (ValueError, TypeError):  # some written in C have none
        return
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    surplus = [str(n) for n in node if n not in parameters and not str(n).startswith("_")]
    if surplus:
        raise ConfigError(_about_surplus(surplus, list(parameters), node["_target_"], key))


def _about_surplus(surplus: list[str], parameters: list[str], target: str, key: str) -> str:
    """Return which keys a target has no arguments for, and what to do with them."""
    names, takes = ", ".join(surplus), f"it takes {', '.join(parameters) or 'none'};"
    if len(surplus) == 1:
        hint = near(names, parameters) or takes
        return (
            f"{key}.{names}: {target} has no such argument; {hint} ~{key}.{names} takes the key "
            "away"
        )
    group = key.replace(".", "/")
    if group in choices() and target not in targets_of(group):
        remedy = own_option(group, target)
    else:
        remedy = " ".join(f"~{key}.{name}" for name in surplus) + " take them away"
    return f"{key}: {target} has no arguments {names}; {takes} {remedy}"


def _locate(target: str, key: str) -> Callable[..., Any]:
    try:
        found = pydoc.locate(target)
    except pydoc.ErrorDuringImport as error:
        if error.exc is KeyboardInterrupt:
            raise KeyboardInterrupt from error
        raise ConfigError(f"{key}._target_={target}: {error}") from error
    if callable(found):
        _refuse_blocked(target, f"{key}._target_")
    else:
        raise ConfigError(f"{key}._target_={target}: there is nothing of that name to call")
    return found


@functools.cache
def _refuse_blocked(target: str, where: str) -> None:
    """Refuse what Hydra refuses to call by a name in a configuration, as ``os.system``."""
    dotted = target if "." in target else f"builtins.{target}"
    try:
        instantiate({"_target_": dotted, "_partial_": True})
    except InstantiationException as error:
        if "blocklisted" not in str(error):
            return  # building it says what is wrong
        raise ConfigError(f"{where}={target}: Hydra never calls it by its name") from error


def _annotations(target: str, key: str) -> dict[str, Any]:
    function = _locate(target, key)
    function = function.__init__ if inspect.isclass(function) else function
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}
    unpacked = [name for name, hint in hints.items() if get_origin(hint) is typing.Unpack]
    for name in unpacked:  # of ``**period: Unpack[PeriodArguments]``: its keys are arguments
        [arguments] = get_args(hints.pop(name))
        hints |= typing.get_type_hints(arguments)
    return hints


def as_type(value: Any, hint: Any, key: str) -> Any:
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
        numbers = int if hint is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint in (None, types.NoneType):
        return value is None
    # Where a function or an object of ours is expected, a number can't stand for it. What other
    # libraries mean by their annotations (as NumPy's kinds of numbers) is left to them.
    if getattr(hint, "__module__", "") == "torch" and hint.__name__ == "Tensor":
        return False
    if get_origin(hint) in _SEVERAL:
        return False  # lists and mappings don't come here
    is_ours = getattr(hint, "__module__", "").startswith("lightning_dqn")
    is_function = get_origin(hint) is collections.abc.Callable
    return not ((is_ours or is_function) and isinstance(value, int | float))


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(str(option) for option in get_args(hint))
    if get_origin(hint) in _SEVERAL:
        return "a list" if get_origin(hint) not in _MAPPINGS else "a mapping"
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        types.NoneType: "null",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))
