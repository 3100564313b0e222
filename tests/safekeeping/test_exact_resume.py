"""A continued run equals the unbroken one bit for bit: all that its checkpoint and its rows hold.

Every row of the array below is broken off in four places, continued by new objects under other
global generators, and held against a run that was never stopped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from support.image_env import LifeShades
from support.resumed_runs import Parts, differences, differences_of_broken_run, fit
from support.shared_chance import SharedChance

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import (
    ClipWeights,
    Diagnostics,
    EMATargetNetwork,
    FreezeLayers,
    PeriodicReset,
    PromotePastSelf,
    ReDo,
    ShrinkAndPerturb,
    WeightAverage,
)
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.learning.augmentation import Augmentation
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.torsos import MLP, Layers, MinAtarCNN, Tabular
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.online import OnlineTransitions
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.schedules import ExponentialSchedule, LinearSchedule, RestartedSchedule

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*evaluation episodes were cut"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]

ITERATIONS_PER_EPOCH = 8
EPOCHS = 3

PLACES: dict[str, dict[str, Any]] = {
    "first iteration": {"iteration": 1},
    "mid-epoch": {"iteration": 11},
    "epoch end": {"iteration": 8},
    "evaluation": {"evaluation": 2},
}


@dataclass
class Case:
    """One row of the array."""

    environment: dict[str, Any] = field(default_factory=dict)
    network: Any = None
    head: Any = None
    target: Any = None
    sampler: Any = None
    n_step: Any = 1
    collection: dict[str, Any] = field(default_factory=dict)
    operations: Callable[[], list[pl.Callback]] = list
    capacity: int = 150
    optimizer: Any = None
    env_steps_per_iteration: int = 16
    gamma: float = 0.99
    lr_scheduler: Any = None
    augmentation: Augmentation | None = None
    sequence_length: int | None = None

    def parts(self) -> Parts:
        """Return a module, a data module and callbacks, all new."""
        given = {"id": "CartPole-v1", "num_envs": 4, **self.environment}
        environment = EnvironmentFactory(**given)
        module = DQN(
            environment,
            network=self.network or MLP(hidden=[8]),
            head=self.head,
            target=self.target,
            augmentation=self.augmentation,
            self_prediction={"weight": 5.0} if self.sequence_length else None,
            optimizer=self.optimizer,
            lr_scheduler=self.lr_scheduler,
            compile=False,
        )
        data = ReplayDataModule(
            environment,
            batch_size=8,
            updates_per_iteration=2,
            env_steps_per_iteration=self.env_steps_per_iteration,
            env_steps_per_epoch=ITERATIONS_PER_EPOCH * self.env_steps_per_iteration,
            sampler=self.sampler,
            replay=ReplayConfig(
                gamma=self.gamma,
                capacity=self.capacity,
                n_step=self.n_step,
                sequence_length=self.sequence_length,
            ),
            collection=CollectionConfig(warmup_env_steps=40, **self.collection),
            evaluation=EvaluationConfig(num_envs=2, max_episode_steps=30),
            seed=5,
        )
        return module, data, self.operations()


def soft() -> list[pl.Callback]:
    return [EMATargetNetwork(tau=0.05)]


def hard(*others: Callable[[], pl.Callback]) -> Callable[[], list[pl.Callback]]:
    return lambda: [EMATargetNetwork(tau=1, every_n_updates=7), *(make() for make in others)]


SELF_PLAY = {
    "id": "lightning_dqn/TicTacToe-v0",
    "kwargs": {"random_plies": 2, "random_symmetry": True},
}

CASES = {
    "plain": Case(operations=soft),
    "per, n-step, double, redo": Case(
        sampler=PrioritizedSampling(beta=LinearSchedule(0.4, 1.0, 300)),
        n_step=3,
        target=Target(double=True),
        operations=hard(lambda: ReDo(every_n_updates=9)),
    ),
    "frames, shifts, a slow network that collects, chains that begin anew": Case(
        environment={"id": "support.frame_env:Frames-v0", "frame_stack": 2},
        network=Layers(layers=[{"AdaptiveMaxPool2d": 6}, "Flatten", {"Linear": 8}, "ReLU"]),
        augmentation=Augmentation(),
        n_step=RestartedSchedule(ExponentialSchedule(4, 1, 60), every=90),
        operations=lambda: [EMATargetNetwork(tau=0.05, collect=True)],
    ),
    "frames, lives, per, latents foretold of shifted frames, reset and shrunk": Case(
        environment={"id": LifeShades, "frame_stack": 2},
        network=Layers(
            layers=[{"Conv2d": [2, 3, 3]}, "ReLU", "Renormalise", "Flatten", {"Linear": 8}, "ReLU"]
        ),
        augmentation=Augmentation(padding=1),
        sampler=PrioritizedSampling(),
        n_step=2,
        sequence_length=3,
        operations=hard(
            lambda: PeriodicReset(
                include="^(head|prediction)",
                networks=["q_network", "self_prediction"],
                every_n_updates=13,
            ),
            lambda: ShrinkAndPerturb(
                include="^transition", networks=["self_prediction"], every_n_updates=11
            ),
        ),
    ),
    "categorical, dueling, noisy, range of steps": Case(
        network=MLP(hidden=[8], dueling=True, noisy=True),
        head=CategoricalHead(num_atoms=11, v_min=-10.0, v_max=50.0),
        sampler=PrioritizedSampling(),
        n_step=[1, 4],
        operations=soft,
    ),
    "quantile, held actions, frame stack, sync": Case(
        environment={"id": "MountainCar-v0", "vectorization": "sync", "frame_stack": 2},
        head=QuantileHead(num_quantiles=7),
        collection={"random_action_max_steps": 4, "epsilon": 0.5},
        operations=hard(lambda: ShrinkAndPerturb(every_n_updates=11)),
    ),
    "lives, frame stack, n-step, per": Case(
        environment={"id": LifeShades, "frame_stack": 2},
        n_step=3,
        sampler=PrioritizedSampling(),
        operations=soft,
    ),
    "implicit quantile, overlap": Case(
        head=ImplicitQuantileHead(num_quantiles=4, num_evaluation_quantiles=4, num_cosines=8),
        collection={"overlap": True},
        operations=soft,
    ),
    "proposed quantile, overlap, noisy, per": Case(
        network=MLP(hidden=[8], noisy=True),
        head=ProposedQuantileHead(num_quantiles=4, num_cosines=8),
        sampler=PrioritizedSampling(),
        collection={"overlap": True},
        operations=hard(),
    ),
    "munchausen, boltzmann, workers": Case(
        environment={"vectorization": "async", "num_envs": 2},
        target=Target(munchausen=Munchausen()),
        collection={"temperature": 0.5, "epsilon": 0.1},
        operations=soft,
    ),
    "lambda-returns, conv": Case(
        environment={"id": "MinAtar/Breakout-v1", "num_envs": 4},
        network=MinAtarCNN(),
        sampler=LambdaReturns(rollout_length=4, epochs=2, minibatches=2),
        target=Target(slow_copy=False, double=False),
    ),
    "conv, frame stack, clipped": Case(
        environment={"id": "MinAtar/Seaquest-v1", "num_envs": 2},
        network=MinAtarCNN(),
        operations=hard(lambda: ClipWeights(max_spectral_norm=1.0)),
    ),
    "self-play with past selves, average": Case(
        environment={**SELF_PLAY, "kwargs": {"opponent": PastSelves(), "random_plies": 1}},
        operations=lambda: [
            EMATargetNetwork(tau=0.1),
            PromotePastSelf(games=20, level=0.99),
            WeightAverage(every_n_updates=5),
        ],
    ),
    "self-play, quantile, range, reset": Case(
        environment=SELF_PLAY,
        gamma=-0.99,
        head=QuantileHead(num_quantiles=5),
        n_step=[1, 3],
        sampler=PrioritizedSampling(),
        operations=hard(lambda: PeriodicReset(every_n_updates=13)),
    ),
    "table, online": Case(
        environment={"id": "FrozenLake-v1", "num_envs": 1},
        network=Tabular(),
        sampler=OnlineTransitions(),
        target=Target(slow_copy=False, double=False),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        env_steps_per_iteration=1,
        collection={"epsilon": 0.5},
    ),
    "table, per, frozen": Case(
        environment={"id": "lightning_dqn/Torus-v0", "num_envs": 3},
        network=Tabular(),
        sampler=PrioritizedSampling(),
        operations=hard(),
    ),
    "frozen layers, adamw, wrappers": Case(
        environment={"id": "Acrobot-v1", "wrappers": [lambda env: sticky(env)]},
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
        operations=hard(lambda: FreezeLayers(include="torso", until=20)),
        collection={"random_action_max_steps": 3},
    ),
}


ALL_AT_ONCE = Case(
    environment={
        "id": "Acrobot-v1",
        "vectorization": "sync",
        "frame_stack": 4,
        "wrappers": [SharedChance],
        "kwargs": {"max_episode_steps": 13},
    },
    network=MLP(hidden=[8], noisy=True),
    sampler=PrioritizedSampling(),
    n_step=[1, 3],
    collection={
        "random_action_max_steps": 4,
        "epsilon": 0.2,
        "random_actions": True,
        "temperature": 0.1,
        "overlap": True,
    },
    lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.7),
    operations=lambda: [
        EMATargetNetwork(tau=0.5, every_n_env_steps=40),
        ReDo(every_n_updates=9),
    ],
)


def sticky(env: Any) -> Any:
    """Return an environment that repeats actions by a chance of its own, and scales rewards."""
    repeated = gym.wrappers.StickyAction(env, 0.3)
    return gym.wrappers.TransformReward(repeated, lambda reward: 0.1 * reward)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CASES)
def test_a_continued_run_equals_the_unbroken_one(name: str, place: str, tmp_path: Path) -> None:
    make = CASES[name].parts
    found = differences_of_broken_run(make, tmp_path, epochs=EPOCHS, **PLACES[place])
    assert found == []


def test_a_run_that_is_stopped_in_its_warm_up_begins_anew(tmp_path: Path) -> None:
    make = CASES["plain"].parts
    assert differences_of_broken_run(make, tmp_path, epochs=1, warmup=True) == []


OF_DIAGNOSTICS = re.compile(
    r"(values|exploration|replay|network)/|eval/(return_p|overestimation|predicted_|discounted_)"
)


def looked_at(name: str) -> Callable[[], Parts]:
    """Return what makes the parts of a case, looked at after every iteration."""

    def make() -> Parts:
        module, data, callbacks = CASES[name].parts()
        return module, data, [*callbacks, Diagnostics(every_n_env_steps=1)]

    return make


def without_diagnostics(rows: list[Any]) -> list[Any]:
    left = [(n, {k: v for k, v in r.items() if not OF_DIAGNOSTICS.match(k)}) for n, r in rows]
    return [(n, row) for n, row in left if row.keys() - {"time/env_steps"}]


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_is_looked_at_learns_the_same(name: str, tmp_path: Path) -> None:
    plain = fit(CASES[name].parts, tmp_path / "plain", epochs=EPOCHS, seed=3)
    watched = fit(looked_at(name), tmp_path / "watched", epochs=EPOCHS, seed=3)
    assert differences(plain.checkpoint, watched.checkpoint) == []
    assert differences(plain.rows, without_diagnostics(watched.rows)) == []
    looks = [row for _, row in watched.rows if "network/weight_norm/" in str(row.keys())]
    assert len(looks) == EPOCHS * ITERATIONS_PER_EPOCH


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "name",
    [
        "per, n-step, double, redo",
        "proposed quantile, overlap, noisy, per",
        "self-play, quantile, range, reset",
        "table, online",
    ],
)
def test_a_continued_run_is_looked_at_as_the_unbroken_one(
    name: str, place: str, tmp_path: Path
) -> None:
    found = differences_of_broken_run(looked_at(name), tmp_path, epochs=EPOCHS, **PLACES[place])
    assert found == []


PROGRAM = """
import sys
from pathlib import Path

import torch
from support.resumed_runs import fit
from test_exact_resume import CASES, EPOCHS

name, folder, seed, resume, iteration = sys.argv[1:]
at = {"iteration": int(iteration)} if int(iteration) else {}
made = fit(
    CASES[name].parts, Path(folder), epochs=EPOCHS, seed=int(seed), resume=bool(int(resume)), **at
)
torch.save([made.checkpoint, made.rows], Path(folder, f"outcome_{resume}"))
"""


def fit_elsewhere(name: str, folder: Path, *, seed: int, resume: bool, iteration: int) -> Any:
    """Fit a case in a process of its own; return checkpoint and rows."""
    here = Path(__file__).parent
    arguments = [name, str(folder), str(seed), str(int(resume)), str(iteration)]
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [here, here.parent, *sys.path]))},
        capture_output=True,
    )
    return torch.load(folder / f"outcome_{int(resume)}", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_run_is_continued_in_another_process(name: str, tmp_path: Path) -> None:
    whole, rows = fit_elsewhere(name, tmp_path / "whole", seed=3, resume=False, iteration=0)
    broken = tmp_path / "broken"
    _, before = fit_elsewhere(name, broken, seed=3, resume=False, iteration=11)
    found, after = fit_elsewhere(name, broken, seed=77, resume=True, iteration=0)
    assert differences(whole, found) == []
    assert differences(rows, [*before, *after]) == []


@pytest.mark.parametrize("name", ["per, n-step, double, redo", "implicit quantile, overlap"])
@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization")
@pytest.mark.parametrize("iteration", [3, 11])
def test_a_checkpoint_in_the_midst_of_an_epoch_is_as_good(
    name: str, iteration: int, tmp_path: Path
) -> None:
    def make() -> Parts:
        module, data, callbacks = CASES[name].parts()
        saves = ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=iteration, save_top_k=-1
        )
        return module, data, [*callbacks, saves]

    whole = fit(make, tmp_path, epochs=EPOCHS, seed=3)
    (tmp_path / f"step={iteration}.ckpt").rename(tmp_path / "last.ckpt")
    again = fit(make, tmp_path, epochs=EPOCHS, seed=9, resume=True)
    whole.checkpoint.pop("callbacks"), again.checkpoint.pop("callbacks")  # it knows its files
    assert differences(whole.checkpoint, again.checkpoint) == []
    assert differences(whole.rows[-len(again.rows) :], again.rows) == []


WHOLE = (
    "rows",
    "environments",
    "ahead",
    "frames",
    "held",
    "optimizer_states",
    "loops",
    "generator",
)
"""What is dropped as one; of all else each part by itself."""

NOT_MISSED = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",  # for people
    "hyper_parameters",  # the parts are there when a run goes on
    "format_version",
    "state_dict/report.evaluation",  # begun anew by each evaluation
    "callbacks/ReDo{'start': 0}/dormant_fraction",  # overwritten before it is told
    "dqn/continuation/report/seconds",  # of a clock
)


def items(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all that a checkpoint holds, as far as it is dropped by itself."""
    if isinstance(node, dict) and node and not (path and path[-1] in WHOLE):
        for key, value in node.items():
            yield from items(value, (*path, key))
    else:
        yield path


def replaced(checkpoint: Any, path: tuple[str, ...], other: Any) -> Any:
    """Return a checkpoint in which one item is another one's."""
    [key, *rest] = path
    value = replaced(checkpoint[key], tuple(rest), other[key]) if rest else other[key]
    return {**checkpoint, key: value}


def at(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def test_nothing_that_a_checkpoint_holds_can_be_missed(tmp_path: Path) -> None:
    make = ALL_AT_ONCE.parts
    whole = fit(make, tmp_path / "whole", epochs=EPOCHS, seed=3)
    path = {name: tmp_path / name / "last.ckpt" for name in ("early", "late", "mixed")}
    fit(make, tmp_path / "early", epochs=EPOCHS, seed=3, iteration=2)
    first = fit(make, tmp_path / "late", epochs=EPOCHS, seed=3, iteration=11)
    early, late = (torch.load(path[name], weights_only=True) for name in ("early", "late"))
    path["mixed"].parent.mkdir()
    looked_at, unnoticed = 0, []
    for item in items(late):
        name = "/".join(item)
        if name.startswith(NOT_MISSED) or not differences(at(late, item), at(early, item)):
            continue
        torch.save(replaced(late, item, early), path["mixed"])
        looked_at += 1
        try:
            again = fit(make, tmp_path / "mixed", epochs=EPOCHS, seed=9, resume=True)
        except Exception:
            continue
        rows = differences(whole.rows, [*first.rows, *again.rows])
        if not rows and not differences(whole.checkpoint, again.checkpoint):
            unnoticed.append(name)
    assert not unnoticed, unnoticed
    assert looked_at > 40
