"""What all commands have in common: options as a dataclass, with their help and their checks."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import re
import textwrap
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lightning_dqn.runs.build import ConfigError, as_type
from lightning_dqn.runs.hydra_flags import in_one_word
from lightning_dqn.runs.keys import typed
from lightning_dqn.runs.mistakes import exit_on_mistake, near
from lightning_dqn.system.faults import first_line

Options = TypeVar("Options")

_REQUIRED = dataclasses.MISSING


def run_command(
    arguments: Sequence[str], kind: type[Options], act: Callable[[Options], None]
) -> None:
    """Run a command; tell a mistake in one line and exit with 2.

    Args:
        arguments: of the command.
        kind: a dataclass whose fields are by ``runs.options.option``; its docstring is the help's
            beginning. The help is printed where it is asked for, or where nothing is given though
            something must be.
        act: takes the options.
    """
    is_wanting = not arguments and any(one.default is _REQUIRED for one in dataclasses.fields(kind))  # type: ignore[arg-type]
    if is_wanting or "--help" in arguments or "-h" in arguments:
        print(usage(kind))
        return
    with exit_on_mistake():
        act(read_options(arguments, kind))


def read_options(arguments: Sequence[str], kind: type[Options]) -> Options:
    """Return the options that arguments give: ``key=value``, a path by itself, ``--flag``.

    Raises:
        ConfigError: a key doesn't exist or is missing, or a value isn't one for it.
    """
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    formerly = []
    for argument in arguments:
        name, text = _parted(argument, fields)
        if fields[name].metadata["is_list"]:
            if not text:
                raise ConfigError(f"{name}=: a value is missing")
            values[name] = (*values.get(name, ()), text)
            continue
        is_former = argument.split("=")[0] in fields[name].metadata["former"]
        if name in values and not (is_former or name in formerly):
            raise ConfigError(f"{argument}: {name} is given already")
        if is_former or name not in values:  # a checkpoint says more than its run's folder
            values[name] = _value(name, text, fields[name], hints[name])
        formerly += [name] if is_former else []
    for name, one in fields.items():
        if name not in values and one.default is _REQUIRED:
            what = f"name {one.metadata['help']}"
            raise ConfigError(f"{name}=: {what}, as {name}=... (--help lists all)")
    return kind(**values)


def refuse_unread(options: Any, names: Sequence[str], why: str) -> None:
    """Refuse options that others switch off.

    Args:
        options: of a command.
        names: of those that nothing reads beside the others.
        why: and what to do, in words behind "nothing reads it".

    Raises:
        ConfigError: one of them isn't as it is by default.
    """
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if one.name in names and value != one.default:
            raise ConfigError(f"{one.name}={typed(value)}: nothing reads it {why}")


def part_arguments(arguments: Sequence[str], kind: type) -> tuple[list[str], list[str]]:
    """Part a command's own arguments from those of the configuration that it takes too.

    A flag and its value are one word then.
    """
    names = {
        name
        for one in dataclasses.fields(kind)
        for name in (one.name, f"--{one.name}", *one.metadata["former"])
    }
    has_path = any(one.metadata["is_path"] for one in dataclasses.fields(kind))
    own: list[str] = []
    rest: list[str] = []
    for argument in in_one_word(arguments):
        is_own = argument.partition("=")[0] in names or (has_path and _is_path(argument))
        (own if is_own else rest).append(argument)
    return own, rest


def folders_of(text: str) -> list[Path]:
    """Return the folders of ``report=``, a list parted by commas; their names may have some, too.

    Raises:
        ConfigError: one of them doesn't exist.
    """
    parts = text.split(",")
    found = []
    while parts:
        lengths = range(len(parts), 0, -1)  # the longest name first
        folders = ((length, ",".join(parts[:length])) for length in lengths)
        length, folder = next((one for one in folders if one[1] and Path(one[1]).is_dir()), (0, ""))
        if not length:
            raise ConfigError(f"report={parts[0]}: there is no such folder")
        found.append(Path(folder))
        del parts[:length]
    return found


def usage(kind: type) -> str:
    """Return a command's help."""
    text = inspect.cleandoc(kind.__doc__ or "")
    fields = dataclasses.fields(kind)
    shown = {one.name: _shown(one) for one in fields}
    width = max(map(len, shown.values())) + 2
    lines = []
    for one in fields:
        first, *more = textwrap.wrap(one.metadata["help"], 98 - width)
        lines.append(f"  {shown[one.name]:<{width}}{first}")
        lines += [" " * (width + 2) + line for line in more]
    return "\n".join([text, "", *lines])


def _shown(one: dataclasses.Field[Any]) -> str:
    if one.default is _REQUIRED:
        return one.name
    if one.default is False and one.metadata["help"].startswith("flag"):
        return f"--{one.name}"
    return f"{one.name}={typed(one.default)}"


def _is_path(argument: str) -> bool:
    """Tell a path by itself from ``key=value``: folders of jobs are named by their keys, too."""
    if argument[:1] in ("", "-", "+", "~"):
        return False
    key, equals, _ = argument.partition("=")
    return not equals or os.path.isabs(key) or key.startswith(".") or os.path.exists(argument)


def _parted(argument: str, fields: dict[str, dataclasses.Field[Any]]) -> tuple[str, str]:
    """Return the option that an argument sets, and the text of its value."""
    key, equals, text = argument.partition("=")
    if key.startswith("--") and key[2:] in fields:
        return key[2:], text if equals else "true"
    if _is_path(argument) or not re.fullmatch(r"[a-z_]+", key):
        paths = [name for name, one in fields.items() if one.metadata["is_path"]]
        if argument.startswith("-") or not paths:
            raise ConfigError(f"{argument}: not an option; {_there_are(fields, argument)}")
        return paths[0], argument
    for name, one in fields.items():
        if key == name or key in one.metadata["former"]:
            return name, text
    raise ConfigError(f"{key}: no such key; {_there_are(fields, key)}")


def _value(name: str, text: str, one: dataclasses.Field[Any], hint: Any) -> Any:
    if not text:
        raise ConfigError(f"{name}=: a value is missing")
    if hint is str or (str in typing.get_args(hint) and text != "null"):
        value: Any = text
    else:
        value = as_type(_read(name, text), hint, name)
    choices, least, most = (one.metadata[key] for key in ("choices", "least", "most"))
    if choices and value is not None and value not in choices:
        *others, last = choices
        listed = f"{', '.join(others)} or {last}" if others else last
        raise ConfigError(f"{name}={text}: choose {listed}")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
    if is_number and not low <= value <= high:
        bounds = f"from {low:g}" + (f" to {high:g}" if most is not None else "")
        raise ConfigError(f"{name}={text}: expected a number {bounds}")
    return value


def _read(name: str, text: str) -> Any:
    """Return the value of a text, by the grammar that training's keys have."""
    try:
        override = OverridesParser.create().parse_override(f"{name}={text}")
    except HydraException as error:
        reason = first_line(error)
        raise ConfigError(f"{name}={text}: can't be read: {reason}") from error
    if override.is_sweep_override():
        raise ConfigError(f"{name}={text}: expected one value")
    return override.value()


def _there_are(fields: dict[str, dataclasses.Field[Any]], word: str) -> str:
    hint = near(word.strip("-"), list(fields))
    return f"{hint + ' ' if hint else ''}there are {', '.join(fields)}"
