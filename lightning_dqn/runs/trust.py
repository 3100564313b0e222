"""What a folder that somebody sent may do: nothing that wasn't asked for.

A saved configuration, saved overrides and a study's arguments name classes, environments and
variables of the environment. Those that every run needs are taken; others run code of the
folder's choice, or hand out what is secret, unless the user trusts them by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.named import PARTS, Untrusted, interpolations, leaves, untrusted
from lightning_dqn.runs.places import is_below

_RELATIVE = re.compile(r"(^|/)\.\.(/|$)")
_TYPED = re.compile(r"(?:_target_\s*[=:]\s*['\"]?|\bid=['\"]?(?=[^:]+:))([\w.-]+)")


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


def trusted(modules: Iterable[str]) -> list[str]:
    """Return the argument that trusts modules, if there are any."""
    named = ",".join(modules)
    return [f"trust={named}"] if named else []


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
    _refuse(interpolations(own, "", trust.covers), source)
    tops = {key.split(".")[0] for key in (*built, "data.sampler")}
    _refuse(untrusted({key: own.get(key) for key in sorted(tops)}, "", trust.covers), source)
    for key in built:
        _refuse(untrusted(_filled_in(config, key, source), key, trust.covers), source)


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
            raise _refusal(source, f"{text}: no flag is taken from a folder; type it again")
        try:
            override = OverridesParser.create().parse_override(text)
            value = override.value()
        except HydraException as error:
            raise _refusal(source, f"{text}: an override that can't be read") from error
        key = str(override.key_or_group)
        if re.match(r"hydra\b", key) or override.is_sweep_override():
            told = f"{key}: what Hydra itself does isn't taken from a folder; type it again"
            raise _refusal(source, told)
        for _, leaf in leaves(value, key):
            if "." not in key and isinstance(leaf, str) and _RELATIVE.search(leaf):
                raise _refusal(source, f"{text}: leads out of its folder; type it again")
        _refuse(interpolations(value, key, trust.covers), source)
        _refuse(untrusted(value, key, trust.covers), source)


def trust_of_overrides(overrides: Sequence[str]) -> list[str]:
    """Return what has to be trusted for these overrides to be taken from a folder."""
    found: list[Untrusted] = []
    for text in overrides:
        override = OverridesParser.create().parse_override(text)
        key, value = str(override.key_or_group), override.value()
        found += [
            *interpolations(value, key, NOTHING.covers),
            *untrusted(value, key, NOTHING.covers),
        ]
    return list(dict.fromkeys(one.name for one in found if one.name))


def needed_trust(config: DictConfig) -> list[str]:
    """Return what has to be trusted for a run of this configuration to be read again."""
    written: Any = OmegaConf.to_container(config, resolve=False)
    own = {key: value for key, value in written.items() if key != "hydra"}
    found = [*interpolations(own, "", NOTHING.covers), *untrusted(own, "", NOTHING.covers)]
    for key in PARTS:
        found += untrusted(_filled_in(config, key, "config"), key, NOTHING.covers)
    return list(dict.fromkeys(one.name for one in found if one.name))


def _refuse(found: Iterator[Untrusted], source: str) -> None:
    for one in found:
        remedy = f"; trust={one.name} takes it, if you know what it does" if one.name else ""
        raise _refusal(source, f"{one.key}={one.value}: {one.reason}{remedy}")


def _refusal(source: str, text: str) -> ConfigError:
    """Return the error in one line; what a folder says might else move a terminal's cursor."""
    return ConfigError(f"{source}: {''.join(c if c.isprintable() else '?' for c in text)}")


def _filled_in(config: DictConfig, key: str, source: str) -> Any:
    try:
        node = OmegaConf.select(config, key)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{source}: {key}: {str(error).splitlines()[0]}") from error
