"""A run that was made before, named by its folder or by a checkpoint in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.agent import Agent
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.spec import check_same
from lightning_dqn.formats.saved import PUBLISHED, WEIGHTS, Saved, names_in, read_saved
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.past_selves import (
    IN_CHECKPOINT,
    PastSelves,
    pool_of,
    restored,
)
from lightning_dqn.runs.build import ConfigError, build
from lightning_dqn.runs.finished.artifacts import OF_WANDB, fetched
from lightning_dqn.runs.json_file import mapping_in
from lightning_dqn.runs.lengths import register_lengths
from lightning_dqn.runs.resume import CONFIGURATION, read_configuration
from lightning_dqn.runs.trust import NOTHING, Trust, check_saved
from lightning_dqn.safekeeping.checksums import verify
from lightning_dqn.safekeeping.generations import LAST, is_kept
from lightning_dqn.safekeeping.reading import read_checkpoint
from lightning_dqn.system.files import SUMMARY

PUBLISHED_CONFIGURATION = "config.yaml"
"""Of a folder that was written to be published."""

_CHECKPOINTS = ("best.ckpt", LAST)
_BUILT = ("environment", "data.evaluation.environment", "module.network", "module.head")


@dataclass(frozen=True)
class FinishedRun:
    """Where a run's files are; its configuration and weights are read once, when first asked for.

    Attributes:
        folder: of the run; None where a checkpoint lies in no such folder.
        weights: a folder with weights, or a checkpoint.
        trust: what its configuration may name beside what every run needs.
    """

    folder: Path | None
    weights: Path
    trust: Trust = NOTHING

    @classmethod
    def find(cls, path: str | Path, trust: Trust = NOTHING) -> FinishedRun:
        """Find what a path names: the folder of a run or a published one, or a file in it.

        Of a run that was interrupted the best checkpoint stands for its weights, or the last one.

        Args:
            path: of a folder or a file; or ``wandb:entity/project/name:version``, a model that
                W&B keeps.
            trust: see the class.

        Raises:
            ConfigError: there is no run, or none with weights.
        """
        path = fetched(str(path)) if str(path).startswith(OF_WANDB) else Path(path)
        if not (path.exists() or is_kept(path)):
            raise ConfigError(f"run={path}: there is no such file or folder")
        if not path.is_dir():
            folders = [parent for parent in path.absolute().parents[:2] if _is_run(parent)]
            weights = path.parent if path.name in (WEIGHTS, PUBLISHED.weights) else path
            return cls(folders[0] if folders else None, weights, trust)
        if path.name == "checkpoints" and _is_run(path.absolute().parent):
            path = path.parent
        found = [path / "checkpoints" / name for name in _CHECKPOINTS]
        for weights in (path / names_in(path).weights, *found):
            if is_kept(weights):
                folder = path if _is_run(path) else None
                return cls(folder, weights if weights in found else path, trust)
        raise ConfigError(f"run={path}: {_what_it_is(path)}")

    @cached_property
    def saved(self) -> Saved:
        """What its weights' files hold.

        Raises:
            ValueError: they are damaged, or something else.
        """
        return read_saved(self.weights)

    def config(self) -> DictConfig:
        """Return a copy of the run's configuration, after a look at what it names.

        Raises:
            ValueError: it isn't there, is damaged, or names what isn't trusted.
        """
        return self._config.copy()

    @cached_property
    def _config(self) -> DictConfig:
        if self.folder is None:
            raise ConfigError(
                f"run={self.weights}: {CONFIGURATION} is missing beside it, so its environment "
                "isn't known; name the folder of a run, or a checkpoint in it"
            )
        path = _configuration(self.folder)
        verify(path, self.folder / PUBLISHED.description)
        config = read_configuration(path)
        config.pop("logger", None)  # nothing is logged again, and it may name secrets
        config.run_dir = str(self.folder)
        register_lengths()  # whoever tells all values fills in ${total_iterations:} too
        check_saved(config, self.trust, str(path), built=_BUILT)
        return config

    def environment(self) -> EnvironmentFactory:
        """Return the environments that the run was evaluated in.

        Past selves among them are those of the checkpoint that its weights are from.

        Raises:
            ConfigError: they aren't known, or can't be made any more.
        """
        factory = evaluated_in(self.config())
        pool = pool_of(factory)
        if pool is not None:
            self._fill(pool)
        return factory

    def agent(self) -> Agent:
        """Build the agent with its weights, on the CPU.

        A network of the user's own is built anew as the run's configuration says.

        Raises:
            ValueError: the files are damaged, or something else.
        """
        try:
            return self.saved.agent(**self._own_parts()).eval()
        except (RuntimeError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.weights}: its weights don't fit its hyper-parameters: {error}"
            ) from error

    def env_steps(self) -> int | None:
        """Return how long the weights were trained: they know it, or the run's summary does."""
        found = self.saved.counters.get("env_steps")
        return self._summary().get("tested_env_steps") if found is None else found

    def agent_for(self, factory: EnvironmentFactory) -> Agent:
        """Build the agent after a look whether it belongs into an environment.

        Raises:
            ConfigError: it was trained in another kind.
        """
        agent = self.agent()
        try:
            check_same(agent.spec, factory.spec, f"environment {factory.name}")
        except ValueError as error:
            raise ConfigError(f"run={self.weights}: {error}") from error
        return agent

    def game(self) -> Game | None:
        """Build the board game that the configuration describes, None where it describes none.

        Raises:
            ValueError: it names what isn't trusted, or can't be built any more.
        """
        if self.folder is None:
            return None
        config, key = self.config(), "environment.kwargs.game"
        is_described = OmegaConf.is_config(OmegaConf.select(config, key))
        game = build(config, key) if is_described else None
        return game if isinstance(game, Game) else None

    def counters(self) -> Mapping[str, int]:
        """Return ``updates`` and ``env_steps`` of the weights; nothing where they aren't known."""
        if counters := self.saved.counters:
            return counters
        summary = self._summary()
        tested = summary.get("tested_env_steps")
        ends = {name: summary.get(name) for name in ("updates", "env_steps")}
        if tested == ends["env_steps"]:
            return {name: number for name, number in ends.items() if isinstance(number, int)}
        best = self.weights / "checkpoints" / "best.ckpt"
        found = read_saved(best).counters if is_kept(best) else {}
        return found if found.get("env_steps") == tested else {}

    def test_return(self) -> float | None:
        """Return the mean return of the run's own test, where it was of these weights."""
        summary = self._summary()
        is_of_these = self.weights.is_dir() or (
            self.counters().get("env_steps") == summary.get("tested_env_steps")
        )
        return summary.get("episode_return") if is_of_these else None

    def _summary(self) -> Mapping[str, Any]:
        """Return what the run came to; nothing where its folder doesn't tell."""
        return mapping_in((self.folder or self.weights) / SUMMARY)

    def _fill(self, pool: PastSelves) -> None:
        """Fill a pool of past selves, which comes empty from a configuration."""
        found = [self.weights, *(self.weights / "checkpoints" / name for name in _CHECKPOINTS)]
        path = next((one for one in found if is_kept(one)), None)
        if path is None:
            rank_zero_warn(
                f"run={self.weights}: the past selves that it was evaluated against lie in its "
                "checkpoints, which aren't here; their moves are random instead"
            )
            return
        states = read_checkpoint(path).get("callbacks", {}).values()
        weights = [one for state in states for one in state.get(IN_CHECKPOINT, ())]
        for policy in restored(self.agent(), weights):
            pool.add(policy)

    def _own_parts(self) -> dict[str, Any]:
        hyperparameters = self.saved.hyperparameters
        named = [n for n in ("network", "head") if isinstance(hyperparameters[n], str)]
        parts = {}
        for name in named:
            kind = hyperparameters[name]
            if self.folder is None:
                raise ConfigError(
                    f"run={self.weights}: its {name} {kind} is code of your own, which no "
                    f"configuration beside it names; in Python: "
                    f"DQN.load_from_checkpoint(path, {name}={kind}(...))"
                )
            parts[name] = build(self.config(), f"module.{name}")
        return parts


def evaluated_in(config: DictConfig) -> EnvironmentFactory:
    """Build the environments that a configuration evaluates in.

    Raises:
        ConfigError: they can't be made.
    """
    other = build(config, "data.evaluation.environment")
    return EnvironmentFactory.of(build(config, "environment") if other is None else other)


def _configuration(folder: Path) -> Path:
    """Return where a folder's configuration lies, or would lie."""
    is_published = names_in(folder) is PUBLISHED and not (folder / CONFIGURATION).is_file()
    return folder / (PUBLISHED_CONFIGURATION if is_published else CONFIGURATION)


def _is_run(folder: Path) -> bool:
    return _configuration(folder).is_file()


def _what_it_is(folder: Path) -> str:
    """Return why a folder is none of a run, and which below it may be meant."""
    missing = [name for name in PUBLISHED if not (folder / name).is_file()]
    if len(missing) == 1 and (folder / PUBLISHED_CONFIGURATION).is_file():
        return f"{missing[0]} is missing in this published folder; take all of its files"
    if _is_run(folder):
        return f"this run has neither {WEIGHTS} nor a checkpoint yet"
    below = sorted(path.parent.parent for path in folder.glob("*/" + str(CONFIGURATION)))
    if below:
        return f"this folder holds several runs; name one, as {below[0]}"
    return f"{folder / CONFIGURATION} is missing, so this is not the folder of a run"
