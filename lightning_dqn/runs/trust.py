"""What a folder that somebody sent may do: nothing that wasn't asked for.

A saved configuration, saved overrides and a study's arguments name classes, environments and
variables of the environment. Those that every run needs are taken; others run code of the
folder's choice, or hand out what is secret, unless the user trusts them by name. They name places
to write, too: those in the folder itself are taken, others where their key is trusted or typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.named import PARTS, WRAPPER, Untrusted, interpolations, leaves, untrusted
from lightning_dqn.runs.places import is_below
from lightning_dqn.runs.written import PLACES, is_in, strays, without_numbers
from lightning_dqn.system.faults import first_line

_RELATIVE = re.compile(r"(^|/)\.\.(/|$)")
_TYPED = re.compile(r"(?:_target_\s*[=:]\s*['\"]?|\bid=['\"]?(?=[^:]+:))([\w.-]+)")


@dataclass(frozen=True)
class Trust:
    """What the user lets a folder name, beside what every run needs.

    Args:
        modules: names of modules, each with all that is below it; a resolver as ``oc.env``, the
            host of an address, or the key of a place to write is named likewise.
        keys: of values that were typed again.
    """

    modules: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

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

    def covers_place(self, key: str) -> bool:
        """Return whether the place that a key names is trusted; a module above it isn't meant."""
        return key in self.modules or key in self.keys


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
    typed = [name for text in rest for name in _TYPED.findall(text)]
    values = list(_typed_values(rest))
    typed += [str(value) for key, value in values if WRAPPER.fullmatch(key)]
    keys = tuple(without_numbers(key) for key, _ in values)
    return Trust((*Trust.of(",".join(given)).modules, *typed), keys), rest


def _typed_values(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for text in arguments:
        with suppress(HydraException):  # a flag, or a mistake that is told elsewhere
            override = OverridesParser.create().parse_override(text)
            yield from leaves(override.value(), str(override.key_or_group))


def trusted(modules: Iterable[str]) -> list[str]:
    """Return the argument that trusts modules, if there are any."""
    named = ",".join(modules)
    return [f"trust={named}"] if named else []


def check_saved(
    config: DictConfig,
    trust: Trust,
    source: str,
    *,
    built: Sequence[str] = PARTS,
    folder: Path | None = None,
) -> None:
    """Refuse a saved configuration that names what isn't trusted; nothing of it has run then.

    Args:
        config: not yet resolved.
        trust: what the user trusts.
        source: where it is from, for the message.
        built: keys of the nodes that will be built, which are also looked at with their values
            filled in.
        folder: of the run, in which alone it may write; None: its ``run_dir``.

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
    run_dir = str(_filled_in(config, "run_dir", source))
    if folder is not None and not (is_in(run_dir, folder) or trust.covers_place("run_dir")):
        raise _refusal(source, f"run_dir={run_dir}: isn't the run's folder {folder}; type it again")
    _refuse(_strays(config, built, Path(run_dir), trust, source), source)


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
            reason = f"{text}: what Hydra itself does isn't taken from a folder; type it again"
            raise _refusal(source, reason)
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
    run_dir = Path(str(_filled_in(config, "run_dir", "config")))
    found += _strays(config, PARTS, run_dir, NOTHING, "config")
    return list(dict.fromkeys(one.name for one in found if one.name))


def _strays(
    config: DictConfig, built: Sequence[str], folder: Path, trust: Trust, source: str
) -> Iterator[Untrusted]:
    for key in built:
        if key.split(".")[0] in PLACES:
            node = OmegaConf.select(config, key)
            written = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
            filled_in = _filled_in(config, key, source)
            yield from strays(written, filled_in, key, folder, trust.covers_place)


def _refuse(found: Iterator[Untrusted], source: str) -> None:
    for one in found:
        remedy = f"; trust={one.name} takes it, if you know what it does" if one.name else ""
        raise _refusal(source, f"{one.key}={one.value}: {one.reason}{remedy}")


def _refusal(source: str, text: str) -> ConfigError:
    """Return the error in one line."""
    return ConfigError(f"{source}: {printable(text)}")


def printable(text: str) -> str:
    """Return what a folder says without what might move a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _filled_in(config: DictConfig, key: str, source: str) -> Any:
    try:
        node = OmegaConf.select(config, key)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{source}: {key}: {first_line(error)}") from error
