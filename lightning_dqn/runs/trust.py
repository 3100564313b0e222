"""What a folder that somebody sent may do: nothing that wasn't asked for.

A saved configuration, saved overrides and a study's arguments name classes, environments and
variables of the environment. Those that every run needs are taken; others run code of the
folder's choice, or hand out what is secret, unless the user trusts them by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.places import is_below, why_not, why_not_trusted

PARTS = ("environment", "data", "module", "callbacks", "logger", "trainer")
"""Nodes that objects are built from."""

_ENVIRONMENTS = ("lightning_dqn", "gymnasium")
"""Modules that an environment's ``module:Name-v0`` may name."""

_INTERPOLATION = re.compile(r"\$\{\s*([^:}]*)(:?)")
_RESOLVERS = ("hydra", "now", "total_env_steps", "total_iterations")
_HOST = re.compile(r"[A-Za-z][\w+.-]*://(?:[^/@]*@)?([^/:]+)")
_TYPED = re.compile(r"(?:_target_\s*[=:]\s*['\"]?|\bid=['\"]?(?=[^:]+:))([\w.-]+)")
_RELATIVE = re.compile(r"(^|/)\.\.(/|$)")


@dataclass(frozen=True)
class Trust:
    """What the user lets a folder name, beside what every run needs.

    Args:
        modules: names of modules, each with all that is below it; a resolver as ``oc.env``, or
            the host of an address, is named likewise.
    """

    modules: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str | None) -> Trust:
        """Return what ``trust=mine,yours.part`` says.

        Raises:
            ConfigError: a name isn't one.
        """
        names = tuple(name.strip() for name in (text or "").strip("[]").split(",") if name.strip())
        for name in names:
            if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", name):
                raise ConfigError(f"trust={text}: expected modules, as trust=my_package,my_module")
        return cls(names)

    def covers(self, name: str) -> bool:
        """Return whether a module, or what is in it, is trusted."""
        return is_below(name, *self.modules)


NOTHING = Trust()


def take_trust(arguments: Sequence[str]) -> tuple[Trust, list[str]]:
    """Part ``trust=...`` from a command line's other arguments.

    Returns:
        What is trusted, all that the other arguments name included, for they were typed; and they.

    Raises:
        ConfigError: a name isn't one.
    """
    rest = [text for text in arguments if not text.startswith("trust=")]
    given = [text.removeprefix("trust=") for text in arguments if text not in rest]
    typed = (name for text in rest for name in _TYPED.findall(text))
    return Trust((*Trust.of(",".join(given)).modules, *typed)), rest


class Untrusted(NamedTuple):
    """Something that is named and not taken unasked.

    Attributes:
        key: where.
        value: as it is written.
        reason: why not.
        name: what would have to be trusted.
    """

    key: str
    value: str
    reason: str
    name: str


def check_saved(
    config: DictConfig, trust: Trust, source: str, *, built: Sequence[str] = PARTS
) -> None:
    """Refuse a saved configuration that names what isn't trusted; nothing of it has run then.

    Args:
        config: not yet resolved.
        trust: what the user trusts.
        source: where it is from, for the message.
        built: keys of the nodes that will be built, which are also looked at with their values
            filled in.

    Raises:
        ConfigError: naming the key, and what to trust.
    """
    written: Any = OmegaConf.to_container(config, resolve=False)
    own = {key: value for key, value in written.items() if key != "hydra"}
    # An interpolation may refer to any other key, so all are looked at before any is followed;
    # and what counts a run's iterations builds data.sampler.
    _refuse(_interpolations(own, "", trust), source)
    tops = {key.split(".")[0] for key in (*built, "data.sampler")}
    _refuse(_untrusted({key: own.get(key) for key in sorted(tops)}, "", trust), source)
    for key in built:
        _refuse(_untrusted(_filled_in(config, key, source), key, trust), source)


def check_overrides(overrides: Sequence[str], trust: Trust, source: str) -> None:
    """Refuse saved arguments that would do what isn't trusted; before they are composed.

    What they come to is looked at by :func:`check_saved` afterwards.

    Args:
        overrides: as they were saved; a flag is none.
        trust: what the user trusts.
        source: where they are from, for the message.

    Raises:
        ConfigError: naming the override and what to do.
    """
    for text in overrides:
        if not isinstance(text, str) or text.startswith("-"):
            raise ConfigError(f"{source}: {text}: no flag is taken from a folder; type it again")
        try:
            override = OverridesParser.create().parse_override(text)
            value = override.value()
        except HydraException as error:
            raise ConfigError(f"{source}: {text}: an override that can't be read") from error
        key = str(override.key_or_group)
        if re.match(r"hydra\b", key) or override.is_sweep_override():
            raise ConfigError(
                f"{source}: {key}: what Hydra itself does isn't taken from a folder; type it again"
            )
        for _, leaf in _leaves(value, key):
            if "." not in key and isinstance(leaf, str) and _RELATIVE.search(leaf):
                raise ConfigError(f"{source}: {text}: leads out of its folder; type it again")
        _refuse(_interpolations(value, key, trust), source)
        _refuse(_untrusted(value, key, trust), source)


def needed_trust(config: DictConfig) -> list[str]:
    """Return what has to be trusted for a run of this configuration to be read again."""
    written: Any = OmegaConf.to_container(config, resolve=False)
    own = {key: value for key, value in written.items() if key != "hydra"}
    found = [*_interpolations(own, "", NOTHING), *_untrusted(own, "", NOTHING)]
    for key in PARTS:
        found += _untrusted(_filled_in(config, key, "config"), key, NOTHING)
    return list(dict.fromkeys(one.name for one in found if one.name))


def _refuse(found: Iterator[Untrusted], source: str) -> None:
    for one in found:
        remedy = f"; trust={one.name} takes it, if you know what it does" if one.name else ""
        raise ConfigError(f"{source}: {one.key}={one.value}: {one.reason}{remedy}")


def _filled_in(config: DictConfig, key: str, source: str) -> Any:
    try:
        node = OmegaConf.select(config, key)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{source}: {key}: {str(error).splitlines()[0]}") from error


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _leaves(value, f"{key}[{number}]")
    else:
        yield key, node


def _interpolations(node: Any, key: str, trust: Trust) -> Iterator[Untrusted]:
    """Yield the interpolations that do more than refer to another key."""
    for where, value in _leaves(node, key):
        for name, colon in _INTERPOLATION.findall(value) if isinstance(value, str) else ():
            is_taken = name in _RESOLVERS if colon else re.fullmatch(r"[\w.\[\]/@]+", name)
            if not is_taken and not trust.covers(name):
                known = name if re.fullmatch(r"[\w.]+", name) else ""
                yield Untrusted(where, value, "expected a value, or ${another.key}", known)


def _untrusted(node: Any, key: str, trust: Trust) -> Iterator[Untrusted]:
    """Yield the classes, environments and hosts that are named and not taken."""
    for where, value in _leaves(node, key):
        part, name = where.split(".")[0], where.rpartition(".")[2]
        if name == "_target_":
            yield from _untrusted_target(where, value, trust)
        elif part not in PARTS or not isinstance(value, str):
            continue
        elif name in ("id", "environment") and ":" in value and part != "logger":
            module = value.partition(":")[0]
            if not is_below(module, *_ENVIRONMENTS) and not trust.covers(module):
                yield Untrusted(where, value, f"imports {module}", module.split(".")[0])
        elif (host := _HOST.match(value)) and not trust.covers(host[1]):
            yield Untrusted(where, host[0], "a host of the folder's choice", host[1])


def _untrusted_target(key: str, target: Any, trust: Trust) -> Iterator[Untrusted]:
    place = key.removesuffix("._target_")
    if not isinstance(target, str) or "${" in target:
        reason = "expected the name of a class, written out"
        yield Untrusted(key, str(target), reason, "")
    elif reason := why_not(target, place):
        if not trust.covers(target):
            yield Untrusted(key, target, reason, target.split(".")[0])
        elif reason := why_not_trusted(target, trust.covers):
            yield Untrusted(key, target, reason, reason.removeprefix("it is of "))
