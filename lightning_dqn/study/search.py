"""What a search is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lightning_dqn.reporting.optuna_study import load_optuna, make_pruner, make_sampler
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SEED
from lightning_dqn.runs.mistakes import near
from lightning_dqn.study.curve import METRIC
from lightning_dqn.study.search_space import FORMS, SearchSpace

MAXIMIZE, MINIMIZE = "maximize", "minimize"
_SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler"}
_PRUNERS = {"median": "MedianPruner", "hyperband": "HyperbandPruner", "none": "NopPruner"}
_LEAST = {"n_trials": 1, "seed": 0, "startup_trials": 0, "warmup_env_steps": 0}


@dataclass(frozen=True)
class Search:
    """What a search is asked for; what isn't explained here is in ``conf/sweep/optuna.yaml``.

    Attributes:
        params: what to search, by keys, as :class:`SearchSpace` reads it.
        fixed: overrides of all trials.
    """

    params: Mapping[str, str]
    fixed: tuple[str, ...]
    n_trials: int
    n_jobs: int | None
    direction: str
    metric: str | None
    sampler: str | Mapping[str, Any]
    seed: int
    pruner: str | Mapping[str, Any]
    startup_trials: int
    warmup_env_steps: int

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Search:
        """Return what a node or a file asks for.

        Raises:
            ConfigError: naming the key at fault and what is expected.
        """
        known = [field.name for field in fields(cls)]
        for key in asked:
            if key not in known:
                raise ConfigError(f"sweep.{key}: no such key; {near(key, known)}")
        if missing := [key for key in known if key not in asked]:
            raise ConfigError(f"sweep.{missing[0]}: is missing")
        search = cls(**{**asked, "fixed": tuple(asked["fixed"])})
        search._check()
        return search

    @property
    def space(self) -> SearchSpace:
        """What to search, read."""
        return SearchSpace.of(self.params)

    @property
    def minimizes(self) -> bool:
        """Whether a lower value is better."""
        return self.direction == MINIMIZE

    @property
    def prunes(self) -> bool:
        """Whether a trial may be stopped early."""
        return self.pruner != "none"

    @property
    def evaluated(self) -> str:
        """The metric of evaluations by which trials are pruned: that of the value, or its like."""
        return METRIC if self.metric is None else f"eval/{self.metric.partition('/')[2]}"

    def sampler_asked(self, at_once: int, num_before: int) -> dict[str, Any]:
        """Return who proposes values, for :func:`make_sampler`.

        Args:
            at_once: trials that run beside each other.
            num_before: trials that there are; a search that goes on doesn't draw the same again.
        """
        if not isinstance(self.sampler, str):
            seed = self.sampler.get("seed")
            own = {"seed": seed + num_before} if isinstance(seed, int) else {}
            return {**self.sampler, **own}
        asked = {"_target_": _target("sampler", self.sampler, _SAMPLERS)}
        more = {"constant_liar": at_once > 1} if self.sampler == "tpe" else {}
        return {**asked, "seed": self.seed + num_before, **more}

    def pruner_asked(self, env_steps_per_epoch: int, epochs: int) -> dict[str, Any]:
        """Return who stops trials, for :func:`make_pruner`.

        Args:
            env_steps_per_epoch: between two evaluations.
            epochs: of a trial.
        """
        if not isinstance(self.pruner, str):
            return dict(self.pruner)
        whole = env_steps_per_epoch * max(1, epochs)
        own = {
            "median": {
                "n_startup_trials": self.startup_trials,
                "n_warmup_steps": self.warmup_env_steps,
            },
            "hyperband": {"min_resource": env_steps_per_epoch, "max_resource": whole},
        }
        asked = {"_target_": _target("pruner", self.pruner, _PRUNERS)}
        return {**asked, **own.get(self.pruner, {})}

    def _check(self) -> None:
        for key, least in _LEAST.items():
            _check_whole(key, getattr(self, key), least)
        if self.n_jobs is not None:
            _check_whole("n_jobs", self.n_jobs, 1)
        if self.direction not in (MAXIMIZE, MINIMIZE):
            raise ConfigError(f"sweep.direction={self.direction}: choose {MAXIMIZE} or {MINIMIZE}")
        if self.metric is not None and not str(self.metric).startswith(("eval/", "test/")):
            raise ConfigError(f"sweep.metric={self.metric}: expected eval/... or test/..., or null")
        if not self.params:
            raise ConfigError(
                f"sweep.params: nothing to search; give a key what to choose from: <key>={FORMS}"
            )
        for key in self.params:
            if key.lstrip("+~").partition(".")[0] in (SEED, "hydra", "sweep", "run_dir"):
                raise ConfigError(f"{key}: can't be searched; it is the same in all trials")
        try:
            load_optuna()
        except ValueError as error:
            raise ConfigError(f"sweep=optuna: {error}") from error
        assert self.space.distributions()
        try:
            make_sampler(self.sampler_asked(1, 0), self.seed)
            make_pruner(self.pruner_asked(1, 1))
        except ValueError as error:
            raise ConfigError(f"sweep.{error}") from error


def _target(key: str, word: str, words: Mapping[str, str]) -> str:
    if word not in words:
        named = ", ".join(words)
        raise ValueError(f"{key}={word}: choose {named}, or _target_ of a class in optuna.{key}s")
    return f"optuna.{key}s.{words[word]}"


def _check_whole(key: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"sweep.{key}={value}: expected a whole number from {least}")
