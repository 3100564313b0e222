"""A mistake of the user's, told in one line that names it and what to do."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from lightning_dqn.former_names import WORDS
from lightning_dqn.runs.elsewhere import ELSEWHERE
from lightning_dqn.system.faults import RunFault

RUN_FAULT = 1
USAGE_ERROR = 2
INTERRUPTED = 130
"""Exit statuses."""

MISTAKES = (ValueError, HydraException, OmegaConfBaseException, yaml.YAMLError, OSError)

INSTEAD = {
    "data.replay.size": "data.replay.capacity",
    "environment.name": "environment.id",
    "trainer.gradient_clip_val": "module.max_gradient_norm",
    "trainer.accumulate_grad_batches": "data.updates_per_iteration, or a larger data.batch_size",
}
"""Keys that one guesses, and Lightning's that a module which steps its optimizer itself can't have
-> ours."""

_MOST_NAMESAKES = 3


EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/ray": "ray-launcher",
    "hydra/launcher/ray_aws": "ray-launcher",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
}
"""Options of Hydra's that a plugin brings -> the extra that brings the plugin."""


@contextmanager
def exit_on_mistake(explain: Callable[[Exception], str] = str) -> Iterator[None]:
    """Tell a mistake in one line and exit with 2, a run's fault likewise and exit with 1.

    ``HYDRA_FULL_ERROR=1`` raises it instead.

    Args:
        explain: from the error to the line.
    """
    try:
        yield
    except RunFault as fault:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"lightning-dqn: {fault}", file=sys.stderr)
        sys.exit(RUN_FAULT)
    except MISTAKES as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"lightning-dqn: {explain(error)}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def tell(notes: Iterable[str]) -> None:
    """Tell what the user should know before anything begins, a line each."""
    for note in notes:
        print(f"lightning-dqn: {note}", file=sys.stderr)


def explain(
    error: Exception,
    keys: Mapping[str, Any] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return what is wrong with a configuration, and what to do.

    Args:
        error: of composing or of building.
        keys: that there are, with their values, for a near one.
        groups: likewise, with their options.
    """
    keys, groups = keys or {}, groups or {}
    if isinstance(error, MissingConfigException):
        return _missing_option(error, groups)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: can't be read: {one_line(error)}"
    if isinstance(error, ConfigAttributeError | ConfigKeyError) and error.full_key:
        return f"{error.full_key}: is missing; a run needs it, so set it to something"
    text = str(error)
    if unknown := re.match(r"Could not override '([^']+)'", text):
        inside = _unknown_inside(error, unknown[1], keys, groups)
        return inside or _unknown_key(unknown[1], keys, groups, added=_as_added(error))
    if deleted := re.match(r"Could not delete .*?'([^'=]+)", text):
        return _unknown_key(deleted[1], keys, groups, sign="~")
    if several := re.match(r"Ambiguous value for argument '([^']+)'", text):
        key, _, values = several[1].partition("=")
        return f"{several[1]}: to sweep over it add -m; as a list write {key}=[{values}]"
    if twice := re.match(r"Multiple values for (\S+)\. To override .*: (\S+)'$", text):
        group, option = twice.groups()
        return f"+{group}={option}: {group} is chosen already; without the plus: {group}={option}"
    return one_line(error)


def near(word: str, known: Sequence[str]) -> str:
    """Return ``did you mean ...?`` of the nearest of what is known, or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else ""


def hint_of(
    key: str,
    keys: Iterable[str],
    groups: Iterable[str] = (),
    alike: Sequence[str] | None = None,
) -> str:
    """Return what was meant by a key that doesn't exist, or nothing.

    Those come first that have just its last name elsewhere, then what another library calls so,
    then what is spelt alike.

    Args:
        key: that was asked for.
        keys: that there are.
        groups: likewise.
        alike: of which one may be spelt alike; None: of all these.
    """
    keys, groups = list(keys), list(groups)
    name = re.split(r"[./]", key)[-1]
    if namesakes := _namesakes(key, name, keys, groups):
        return f"did you mean {' or '.join(namesakes)}?"
    if name in ELSEWHERE:
        words = (f"{one}=<option>" if one in groups else one for one in ELSEWHERE[name].split())
        return f"here that is {' and '.join(words)}"
    written = [one for one in keys if name.startswith("_") or "._" not in one]
    return near(key, [*groups, *written] if alike is None else alike)


def _namesakes(key: str, name: str, keys: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return what has that last name, the shortest paths and the same part first."""
    nodes = dict.fromkeys(
        key[:end] for key in keys for end in (*(m.start() for m in re.finditer(r"\.", key)), None)
    )
    chosen = [group for group in groups if group.rpartition("/")[2] == name]
    as_keys = {group.replace("/", ".") for group in chosen}
    found = chosen + [n for n in nodes if n.rpartition(".")[2] == name and n not in {key, *as_keys}]

    def distance(path: str) -> tuple[int, bool]:
        parts = re.split(r"[./]", path)
        return len(parts), parts[0] != key.split(".")[0]

    return sorted(found, key=distance)[:_MOST_NAMESAKES]


def _missing_option(error: MissingConfigException, groups: Mapping[str, Sequence[str]]) -> str:
    name = str(error.missing_cfg_file).removesuffix(".yaml")
    if name == "hydra/sweeper/optuna":
        return "hydra/sweeper=optuna: take sweep=optuna, whose trials can be pruned and go on"
    if name in EXTRAS:
        group, _, option = name.rpartition("/")
        return f"{group}={option}: isn't installed: pip install 'lightning-dqn[{EXTRAS[name]}]'"
    group, _, option = name.rpartition("/")
    if not group:
        return f"--config-name {name}: there is no such file"
    options = sorted(error.options or groups.get(group, ()))
    listed = f"there are {', '.join(options)}" if options else "there is no such group"
    hint = near(option, options)
    return f"{group}={option}: no such option; {hint + ' ' if hint else ''}{listed}"


def own_option(group: str, target: str) -> str:
    """Return how a class of the user's own takes the place of what a group has."""
    return f"write {target} with its own keys into ./conf/{group}/mine.yaml and choose {group}=mine"


def _unknown_inside(
    error: Exception, key: str, keys: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> str:
    """Return what is wrong in the mapping that a key was set to; nothing if it is the key."""
    inner = str(getattr(error.__cause__, "full_key", None) or "")
    if not inner.startswith(f"{key}."):
        return ""
    given: Any = OverridesParser.create().parse_override(_as_added(error)).value()
    for name in inner.removeprefix(f"{key}.").split(".")[:-1]:
        given = given[name]
    node = inner.rpartition(".")[0]
    group, target = node.replace(".", "/"), given.get("_target_", keys.get(f"{node}._target_"))
    if keys.get(node) == {} and "_target_" in given:
        return f"{node}: nothing is there yet, so it takes a plus: {_as_added(error)}"
    if group in groups and target != keys.get(f"{node}._target_"):
        reason = "a mapping is laid over what is there, whose other keys would stay"
        return f"{inner}: no such key; {reason}; {own_option(group, target)}"
    added = [f"{node}.{name}" for name in given if f"{node}.{name}" not in keys]
    values = (_typed(given[one.removeprefix(f"{node}.")]) for one in added)
    pairs = (f"+{one}={value}" for one, value in zip(added, values, strict=True))
    return _unknown_key(inner, keys, groups, added=" ".join(pairs))


def _as_added(error: Exception) -> str:
    """Return what was asked for with the plus that it would take."""
    return str(error).partition("To append to your config use ")[2]


def _typed(value: Any) -> str:
    """Return a value as one would type it; dots where that takes quotes."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value) if re.fullmatch(r"[\w.+:/-]+", str(value)) else "..."


def _unknown_key(
    key: str,
    keys: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    *,
    sign: str = "",
    added: str = "",
) -> str:
    node = key.rpartition(".")[0]
    if sign:
        hint = hint_of(key, keys, groups) or "there is nothing to take away"
        return f"{sign}{key}: no such key; {hint}"
    if key in WORDS:
        return f"{key}: no such key; it is now {WORDS[key]}"
    if key in INSTEAD:
        return f"{key}: no such key; take {INSTEAD[key]}"
    if key in groups:
        return f"{key}: not chosen yet, so it takes a plus: +{key}=<option>"
    if keys.get(node) == {} and node.replace(".", "/") in groups:
        return f"{key}: no such key; choose what has it: {node.replace('.', '/')}=<option>"
    if keys.get(node) == {}:
        return f"{key}: not there yet, so it takes a plus: {added}"
    if key in keys:
        group = key.rpartition(".")[0].replace(".", "/")
        hint = f"it belongs to another choice of {group}, which other arguments made"
    else:
        hint = hint_of(key, keys, groups) or "--help lists them all"
    return f"{key}: no such key; {hint} (a new key of your own takes a plus: +{key}=...)"


def one_line(error: BaseException) -> str:
    """Return an error's text without line breaks; its class where it has none."""
    text = str(error) or (str(error.__cause__) if error.__cause__ else "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:3]) if lines else type(error).__name__
