"""Tab completion: Hydra's for a configuration's keys, and ours for commands and their options."""

from __future__ import annotations

import dataclasses
import importlib
import os
import typing
from collections.abc import Collection, Iterator

from lightning_dqn.commands.command import part_arguments
from lightning_dqn.runs.keys import typed

OPTIONS = {
    "dashboard": "DashboardOptions",
    "doctor": "DoctorOptions",
    "evaluate": "EvaluateOptions",
    "export": "ExportOptions",
    "import": "ImportOptions",
    "play": "PlayOptions",
    "record": "RecordOptions",
    "report": "ReportOptions",
    "resume": "ResumeOptions",
    "study": "StudyOptions",
    "suite": "SuiteOptions",
    "watch": "WatchOptions",
}
"""Command -> the options it takes, a dataclass in its module."""

_LINE = "COMP_LINE"


def prepare_query(commands: dict[str, str], with_configuration: Collection[str]) -> bool:
    """Print what may be typed of ours, and leave to Hydra the line as it knows it.

    Args:
        commands: name -> module.
        with_configuration: those that take the keys of training too.

    Returns:
        Whether Hydra has something to say, of the line in the environment.
    """
    line = os.environ.get(_LINE, "")
    program, *words = line.split(" ")
    words = [word for word in words[:-1] if word] + words[-1:]
    typed_so_far, last = words[:-1], (words[-1] if words else "")
    if not typed_so_far:
        print("\n".join(name for name in commands if name.startswith(last)))
        return True
    command = typed_so_far[0]
    if command not in commands:
        return True
    rest = typed_so_far[1:]
    if command in OPTIONS:
        kind = _options(commands[command], OPTIONS[command])
        print("\n".join(_of_options(kind, last)))
        _, rest = part_arguments(rest, kind)  # Hydra would not know the others
    os.environ[_LINE] = " ".join([program, *rest, last])
    return command in with_configuration


def _options(module: str, name: str) -> type:
    kind: type = getattr(importlib.import_module(f"lightning_dqn.commands.{module}"), name)
    return kind


def _of_options(kind: type, word: str) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for one in dataclasses.fields(kind):
        if word.startswith(f"{one.name}="):
            values = [*one.metadata["choices"], *_values(hints[one.name])]
            yield from (text for v in values if (text := f"{one.name}={v}").startswith(word))
        elif f"{one.name}=".startswith(word):
            yield f"{one.name}="


def _values(hint: object) -> Iterator[str]:
    """Yield the values of a type that can be counted."""
    for part in typing.get_args(hint) or (hint,):
        if part is bool:
            yield from ("true", "false")
        elif part is type(None):
            yield "null"
        elif typing.get_origin(part) is typing.Literal:
            yield from map(typed, typing.get_args(part))
        elif isinstance(part, str):
            yield part
