"""Hydra's loader, that composes fast and lets what is chosen win over an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from lightning_dqn.runs.begun_from import place, placed
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.hydra_files import EXPERIMENT, SEARCH_PATH, Files, copies_of
from lightning_dqn.runs.keys import flat
from lightning_dqn.system.overrides import is_of, key_of


class Loader(ConfigLoaderImpl):
    """Hydra's loader; it reads each file once, and lets what is chosen win over an experiment.

    Choices decide what is composed; values are then set in a copy of it, so that jobs which
    differ in values alone cost a copy each. An option that the choices of the command line bring
    in, and the experiment by itself would not, is laid over the experiment: its values hold.

    Attributes:
        notes: what happened so that the user couldn't see it, a line each.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.notes: list[str] = []
        self._files: dict[tuple[str | None, ...], Files] = {}
        self._overrides: dict[str, Override] = {}
        self._composed: dict[tuple[Any, ...], tuple[Callable[[], DictConfig], dict[str, str]]] = {}
        self._alone: dict[tuple[Any, ...], DefaultsList] = {}
        self._later: Callable[[ResultDefault], bool] = lambda option: False
        self._replaced: dict[str, str] = {}

    def __getstate__(self) -> Mapping[str, Any]:
        """Leave behind what is remembered, for launchers that start processes."""
        return {"config_search_path": self.config_search_path}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Begin anew."""
        self.__init__(**state)  # type: ignore[misc]

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], Files]:
        parsed = [self._parse(line) for line in overrides]
        key = (config_name, *(o.input_line for o in parsed if o.key_or_group == SEARCH_PATH))
        if key not in self._files:
            self._files[key] = Files(self.repository)
            self._process_config_searchpath(config_name, parsed, self._files[key])
        return parsed, self._files[key]

    def _parse(self, line: str) -> Override:
        if line not in self._overrides:
            [self._overrides[line]] = OverridesParser.create().parse_overrides([line])
        return self._overrides[line]

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        parsed, read = self._parse_overrides_and_create_caching_repo(config_name, overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        values = [one for one in parsed if _sets_a_value(one, read)]
        choices = [str(one.input_line) for one in parsed if one not in values]
        key = (config_name, run_mode, *choices)
        if key not in self._composed:
            self._later = self._beside_experiments(config_name, choices, run_mode)
            try:
                composed = super()._load_configuration_impl(config_name, choices, run_mode)
            except (AttributeError, AssertionError) as error:  # a mapping laid over null
                _refuse_params(choices, error)
                raise
            self._look_for_doubles(composed, read)
            self._composed[key] = copies_of(composed), self._replaced
        copies, replaced = self._composed[key]
        set_anew = {one.key_or_group for one in values}
        self._note(*(text for key, text in replaced.items() if key not in set_anew))
        config = copies()
        for one in values:
            if not one.is_sweep_override() and not _take_null_away(one, config):
                self._apply_overrides_to_config([one], config)
        place(config)
        own = [one for one in parsed if not one.is_hydra_override()]
        config.hydra.overrides.task = placed([str(one.input_line) for one in own])
        form = config.hydra.job.config.override_dirname
        config.hydra.job.override_dirname = get_overrides_dirname(
            own, list(form.exclude_keys), form.item_sep, form.kv_sep
        )
        return config

    def _beside_experiments(
        self, config_name: str | None, choices: list[str], run_mode: RunMode
    ) -> Callable[[ResultDefault], bool]:
        """Return which options the choices bring in that the experiments alone would not."""
        experiments = [one for one in choices if one.lstrip("+").startswith(f"{EXPERIMENT}=")]
        others = [one for one in choices if not one.lstrip("+").startswith("hydra")]
        if not experiments or len(experiments) == len(others):
            return lambda option: False
        kept = [one for one in choices if one in experiments or one not in others]
        key = (config_name, run_mode, *kept)
        if key not in self._alone:
            self._alone[key] = self.compute_defaults_list(config_name, kept, run_mode)
        alone = self._alone[key]
        known = {one.config_path for one in alone.defaults}

        def is_brought_in(option: ResultDefault) -> bool:
            path = str(option.config_path)
            group = path.rpartition("/")[0]
            is_inherited = str(option.parent).rpartition("/")[0] == group
            if group.startswith("hydra") or (is_inherited and option.config_path in known):
                return False
            return bool(group) and not _is_chosen(path, alone.overrides.known_choices)

        return is_brought_in

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        later = [one for one in defaults if self._later(one)]
        others = [one for one in defaults if not self._later(one)]
        config = super()._compose_config_from_defaults_list([*others, *later], repo)
        self._replaced = {}
        if later:
            experiments = [one for one in others if _is_experiment(one)]
            given, chosen = (self._values(some, repo) for some in (experiments, later))
            self._replaced = {
                key: f"{key}={chosen[key]} by a choice on the command line; "
                f"the experiment has {value}"
                for key, value in given.items()
                if chosen.get(key, value) != value
            }
        return config

    def _values(self, defaults: list[ResultDefault], repo: IConfigRepository) -> dict[str, Any]:
        """Return the values that files set, by their keys; of a later one over an earlier."""
        loaded = (self._load_single_config(one, repo).config for one in defaults)
        nodes = (OmegaConf.to_container(one) for one in loaded if isinstance(one, DictConfig))
        return {key: value for node in nodes for key, value in flat(node)}

    def _look_for_doubles(self, config: DictConfig, read: Files) -> None:
        """Tell of an experiment that takes a shipped one's place; refuse other such files.

        Raises:
            ConfigError: a file of the user's own has the name of a shipped one, which hides it.
        """
        sources = [s for s in read.get_sources() if s.provider not in ("hydra", "schema")]
        for group, option in config.hydra.runtime.choices.items():
            name = f"{group}/{option}"
            found = [source for source in sources if source.is_config(name)]
            if not any(source.provider == "main" for source in found):
                continue
            if found[0].provider != "main":
                own = Path(found[0].path, f"{name}.yaml")
                self._note(f"{group}={option} is {own}, not the shipped {option}")
            elif len(found) > 1:
                own = Path(found[1].path, f"{name}.yaml")
                raise ConfigError(
                    f"{own}: has the name of a shipped file, which is the one that is read; "
                    f"rename it and choose it: {group}=<new name>"
                )

    def _note(self, *lines: str) -> None:
        self.notes += [line for line in lines if line not in self.notes]


def _refuse_params(choices: Sequence[str], error: Exception) -> None:
    """Tell of values to sweep that are typed for a sweeper which has none."""
    for one in choices:
        if is_of(key_of(one), ("hydra.sweeper.params",)):
            raise ConfigError(f"{one}: type what to sweep as overrides, as seed=1,2") from error


def _is_chosen(path: str, choices: Mapping[str, str | None]) -> bool:
    """Tell whether a file is an option that was chosen, also as ``atari/dqn`` of ``algorithm``."""
    parts = path.split("/")
    places = range(1, len(parts))
    return any(choices.get("/".join(parts[:i])) == "/".join(parts[i:]) for i in places)


def _take_null_away(override: Override, config: DictConfig) -> bool:
    """Take a key away that holds null, which Hydra takes for one that isn't there.

    Returns:
        Whether that is what the override asks for.
    """
    parent, _, name = override.key_or_group.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not override.is_delete() or not isinstance(node, DictConfig):
        return False
    held: Any = OmegaConf.to_container(node, resolve=False)
    if held.get(name, ...) is not None or override.value() is not None:
        return False
    with open_dict(node):
        del node[name]
    return True


def _is_experiment(option: ResultDefault) -> bool:
    return str(option.config_path).startswith(f"{EXPERIMENT}/")


def _sets_a_value(override: Override, read: Files) -> bool:
    """Return whether an override sets a value of what is composed, by Hydra's rules."""
    if override.is_hydra_override():
        return False
    return not read.group_exists(override.key_or_group) or isinstance(override.value(), dict)
