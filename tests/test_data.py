"""The data module: when it makes what, the streams it serves, what it tells, saves and closes."""

from __future__ import annotations

import os
import pickle
import random
import signal
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from support.scripted_env import (
    UNEVEN,
    IdentityEnv,
    ScriptedEnv,
    episodes,
    scripted_rows,
    scripted_vector,
    spec_of,
)
from support.scripted_policies import ScriptedLearner
from support.short_fits import OnBatch, callbacks_of, without_target

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.collecting.contract import Collected
from lightning_dqn.collecting.evaluation import Evaluator
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.experience import parts_of_memory
from lightning_dqn.replay import storage
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.replay.samplers.uniform import UniformSampler
from lightning_dqn.replay.storage import ring_bytes
from lightning_dqn.system.seeding import generators_kept
from lightning_dqn.transitions import Episode, Iteration, Rows, Transitions

Make = Callable[..., Any]

SYNC = EnvironmentFactory("CartPole-v1", vectorization="sync")
"""CartPole's own vector environment doesn't tell that it was closed."""


@pytest.fixture
def attach(tmp_path: Path) -> Make:
    """A function that gives a data module what it needs of a Trainer, and a learner."""

    def to(data: ReplayDataModule, learner: Any = None) -> ReplayDataModule:
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            lightning_module=learner or ScriptedLearner(action=1),
            strategy=SimpleNamespace(root_device=torch.device("cpu"), checkpoint_io=None),
            default_root_dir=tmp_path,
            ckpt_path=None,
            state=SimpleNamespace(status="running", fn="fit"),
            callbacks=[],
            received_sigterm=False,
            num_nodes=1,
        )
        return data

    return to


@pytest.fixture
def ready(attach: Make) -> Iterator[Make]:
    """A function that makes data and sets it up for a fit without a Trainer."""
    made = []

    def make(environment: Any = "CartPole-v1", **arguments: Any) -> ReplayDataModule:
        made.append(attach(data_of(environment, **arguments)))
        made[-1].setup("fit")
        return made[-1]

    yield make
    for data in made:
        data.close()


def data_of(environment: Any, *, warmup_env_steps: int = 16, **arguments: Any) -> ReplayDataModule:
    """Return data of 3 iterations of 8 env steps and 4 updates, as ``make_data`` makes them."""
    overlap = arguments.pop("overlap", False)
    tiny: dict[str, Any] = {
        "batch_size": 4,
        "updates_per_iteration": 4,
        "env_steps_per_iteration": 8,
        "env_steps_per_epoch": 24,
        "collection": CollectionConfig(warmup_env_steps=warmup_env_steps, overlap=overlap),
    }
    return ReplayDataModule(environment, **{**tiny, **arguments})


def scripted_environment(*lengths: int, num_envs: int = 3) -> EnvironmentFactory:
    return EnvironmentFactory(
        lambda: ScriptedEnv(episodes(*lengths)), num_envs=num_envs, vectorization="sync"
    )


def parts_of(data: ReplayDataModule) -> list[Any]:
    return [data.source, data.replay, data.sampler]


class Tape(list[str]):
    """What was called, in order."""

    def listen(self, owner: Any, name: str) -> None:
        """Note when a method of ``owner`` is called."""
        method = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            self.append(name)
            return method(*args, **kwargs)

        setattr(owner, name, noted)


class WrittenDown:
    """Rows that were written down before, as a collection and a source at once."""

    warmup_env_steps = 0
    overlap = False
    num_envs = 3

    def __init__(self) -> None:
        self.rows = scripted_rows(UNEVEN, 20, spec_of())
        self.time = 4

    def make(self, environment: EnvironmentFactory, **pace: Any) -> WrittenDown:
        self.pace = pace
        return self

    def warm_up(self, learner: Any) -> Iterator[tuple[Rows, int]]:
        yield self._part(0, 2), 5
        yield self._part(2, 4), 9

    def collect(self, learner: Any) -> Collected:
        self.time += 2
        rows = self._part(self.time - 2, self.time)
        return Collected(rows, 2 * self.time, 4, 1 / self.time, [Episode(7.0, self.time)])

    def prefetch(self, learner: Any) -> None:
        pass

    def upcoming(self) -> Any:
        raise AssertionError("uniform sampling has no use for it")

    def state_dict(self) -> dict[str, Any]:
        return {"time": self.time}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.time = state["time"]

    def close(self) -> None:
        pass

    def _part(self, begin: int, end: int) -> Rows:
        return Rows(*(None if c is None else c[begin:end] for c in self.rows))  # type: ignore[arg-type]


def written_down(**arguments: Any) -> ReplayDataModule:
    """Return data of rows that were written down."""
    sizes: dict[str, Any] = {
        "batch_size": 4,
        "updates_per_iteration": 2,
        "env_steps_per_iteration": 8,
        "env_steps_per_epoch": 24,
        "replay": ReplayConfig(capacity=300),
    }
    environment = EnvironmentFactory(scripted_vector(UNEVEN))
    return ReplayDataModule(environment, collection=WrittenDown(), **{**sizes, **arguments})  # type: ignore[arg-type]


# Counts


@pytest.mark.parametrize(
    "name",
    ["batch_size", "updates_per_iteration", "env_steps_per_iteration", "env_steps_per_epoch"],
)
@pytest.mark.parametrize("count", [0, -3])
def test_a_count_below_one_is_refused_by_name(name, count):
    with pytest.raises(ValueError, match=f"^{name}={count}: at least 1"):
        ReplayDataModule("CartPole-v1", **{name: count})


@pytest.mark.parametrize(
    ("per_epoch", "per_iteration", "iterations"),
    [(24, 8, 3), (25, 8, 4), (31, 8, 4), (1, 8, 1), (8, 8, 1), (5_000, 64, 79), (7, 1, 7)],
)
def test_an_epoch_is_rounded_up_to_whole_iterations(per_epoch, per_iteration, iterations):
    data = ReplayDataModule(
        "CartPole-v1", env_steps_per_epoch=per_epoch, env_steps_per_iteration=per_iteration
    )
    assert data.iterations_per_epoch == iterations
    assert len(data.train_dataloader()) == iterations


def test_what_the_sampler_makes_of_the_counts_is_what_counts(ready):
    sampler = LambdaReturns(rollout_length=3, epochs=2, minibatches=4)
    data = ready(
        scripted_environment(50, num_envs=4),
        sampler=sampler,
        env_steps_per_iteration=999,
        updates_per_iteration=999,
        env_steps_per_epoch=30,
    )
    assert data.updates_per_iteration == 8
    assert data.iterations_per_epoch == 3  # of 12 env steps each
    iterations = list(data.train_dataloader())
    assert np.diff([iteration.env_steps for iteration in iterations]).tolist() == [12, 12]
    assert iterations[0].transitions.action.shape == (8, 3)
    assert data.replay.config.capacity == data.pace.capacity < 100


def test_the_source_gets_the_pace_and_the_seed():
    data = written_down(seed=7, env_steps_per_iteration=8)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=ScriptedLearner(),
        strategy=SimpleNamespace(root_device=torch.device("cpu"), checkpoint_io=None),
        default_root_dir=".",
        callbacks=[],
        num_nodes=1,
    )
    data.setup("fit")
    # Two rows of each environment, so that there is a transition to draw.
    expected = {"warmup_env_steps": 6, "env_steps_per_iteration": 8, "seed": 7}
    assert data.source.pace == expected  # type: ignore[union-attr]


# Setting up


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_other_stages_than_fit_need_neither_source_nor_ring(stage, make_data, attach):
    data = attach(make_data())
    data.setup(stage)
    assert parts_of(data) == [None, None, None]


def test_a_fit_has_a_source_a_ring_and_a_sampler_made_once(ready):
    data = ready(batch_size=4, replay=ReplayConfig(capacity=77, gamma=0.5))
    source, replay, sampler = parts_of(data)
    assert source.num_envs == replay.num_envs == data.environment.num_envs
    assert (replay.gamma, replay.config.capacity) == (0.5, 77)
    assert type(sampler) is UniformSampler
    assert sampler.replay is replay
    data.setup("fit")
    assert [id(part) for part in parts_of(data)] == [id(source), id(replay), id(sampler)]


def test_validation_alone_plays_episodes_and_makes_nothing_to_learn_from(
    make_trainer, make_data, make_module
):
    data = make_data(evaluation=EvaluationConfig(num_envs=2, episodes_per_env=2))
    seen = []

    class Looks(pl.Callback):
        def on_validation_batch_end(self, trainer: Any, module: Any, outputs: Any, *args: Any):
            seen.append(parts_of(data))

    make_trainer(limit_val_batches=1.0, callbacks=[Looks()]).validate(
        make_module(), data, verbose=False
    )
    assert seen == [[None, None, None]] * 4


# The streams


def test_streams_are_sized(make_data):
    evaluation = EvaluationConfig(num_envs=3, episodes_per_env=2, test_episodes_per_env=5)
    data = make_data(env_steps_per_epoch=25, evaluation=evaluation)
    streams = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [len(stream) for stream in streams] == [4, 6, 15]


def test_a_stream_yields_as_many_as_it_says(ready):
    data = ready(evaluation=EvaluationConfig(num_envs=3, episodes_per_env=2))
    assert [type(i) for i in data.train_dataloader()] == [Iteration] * 3
    assert [type(e) for e in data.val_dataloader()] == [Episode] * 6


def test_only_the_first_epoch_warms_up(ready):
    data = ready(scripted_environment(500, num_envs=4), warmup_env_steps=20)
    told: list[int] = []
    data.after_collection.append(told.append)
    for _ in range(2):
        list(data.train_dataloader())
    assert told == [20, 28, 36, 44, 52, 60, 68]


def test_validation_plays_the_same_episodes_each_time_and_a_test_others(make_data, attach):
    evaluation = EvaluationConfig(num_envs=4, epsilon=0.5, test_episodes_per_env=1)
    data = attach(make_data(evaluation=evaluation))
    first, again = list(data.val_dataloader()), list(data.val_dataloader())
    assert first == again
    assert list(data.test_dataloader()) != first
    assert len({episode.episode_length for episode in first}) > 1
    data.close()


def test_evaluation_has_environments_of_its_own_which_are_made_once(attach):
    made: list[ScriptedEnv] = []

    def train() -> ScriptedEnv:
        raise AssertionError("not needed to evaluate")

    def evaluate() -> ScriptedEnv:
        made.append(ScriptedEnv(episodes(3)))
        return made[-1]

    environment = EnvironmentFactory(train)
    environment.__dict__["spec"] = spec_of()
    evaluated = EnvironmentFactory(evaluate)
    evaluated.__dict__["spec"] = spec_of()
    config = EvaluationConfig(num_envs=2, environment=evaluated)
    data = attach(ReplayDataModule(environment, evaluation=config))
    for _ in range(3):
        assert list(data.val_dataloader()) == [Episode(6.0, 3)] * 2
    assert len(made) == 2
    assert made[0].actions == [1] * 9
    data.close()


def test_observers_look_on_while_episodes_are_played(attach):
    data = attach(
        ReplayDataModule(scripted_environment(2), evaluation=EvaluationConfig(num_envs=2))
    )
    seen: list[tuple[list[float], list[bool]]] = []
    data.observers.append(lambda o, counts: seen.append((o[0].tolist(), counts.tolist())))
    list(data.val_dataloader())
    assert seen == [([0, 0, 0], [True, True]), ([0, 0, 1], [True, True])]
    data.close()


# An iteration


def test_an_iteration_holds_what_was_collected_and_what_is_learned_from_it(attach):
    data = attach(written_down())
    data.setup("fit")
    first, second, third = data.train_dataloader()
    # The source tells env steps of twice its time, 4 new ones, and so on.
    assert [i.env_steps for i in (first, second, third)] == [12, 16, 20]
    assert [i.new_env_steps for i in (first, second, third)] == [4, 4, 4]
    assert [i.epsilon for i in (first, second, third)] == [1 / 6, 1 / 8, 1 / 10]
    assert [i.episodes for i in (first, second)] == [[Episode(7.0, 6)], [Episode(7.0, 8)]]
    assert first.transitions.observation.shape == (2, 4, 3)
    assert first.transitions.action.shape == (2, 4)
    assert data.replay.num_rows == 3 * 10


def test_transitions_are_those_of_the_rows_that_the_source_gave(attach):
    data = attach(written_down(batch_size=500))
    data.setup("fit")
    data.warm_up()
    batch = data.next_iteration().transitions
    places = {tuple(int(number) for number in row) for row in batch.observation.flatten(0, 1)}
    rows = data.source.rows
    # All rows but the newest of each environment and those of final observations.
    expected = {
        tuple(rows.observation[time, env].astype(int).tolist())
        for time in range(5)
        for env in range(3)
        if rows.action[time, env] >= 0
    }
    assert places == expected


def test_rows_are_kept_and_told_of_before_sampling_and_collecting_goes_on_after(attach):
    data = attach(written_down())
    data.setup("fit")
    tape = Tape()
    for owner, name in (
        (data.source, "collect"),
        (data.source, "prefetch"),
        (data.replay, "extend"),
        (data.replay, "follow_schedules"),
        (data.sampler, "sample"),
    ):
        tape.listen(owner, name)
    data.after_collection.append(lambda env_steps: tape.append(f"told {env_steps}"))
    stream = iter(data.train_dataloader())
    next(stream)
    assert tape[:4] == ["extend", "told 5", "extend", "told 9"]
    iteration = ["collect", "extend", "told 12", "follow_schedules", "sample", "prefetch"]
    assert tape[4:] == iteration
    next(stream)
    assert tape[10:] == [*iteration[:2], "told 16", *iteration[3:]]


def test_everyone_is_told_of_every_collection(ready):
    data = ready(scripted_environment(500, num_envs=4), warmup_env_steps=2_500)
    told: dict[str, list[int]] = {"one": [], "other": []}
    data.after_collection += [told["one"].append, told["other"].append]
    list(data.train_dataloader())
    # The warm-up's parts reach their counts of real steps; episodes of 500 end in it.
    assert told["one"] == told["other"] == [1_000, 2_000, 2_500, 2_508, 2_516, 2_524]


def test_schedules_of_the_ring_follow_the_env_steps(attach):
    data = attach(written_down(replay=ReplayConfig(capacity=300, gamma=lambda n: 1 - n / 100)))
    data.setup("fit")
    gammas = [data.replay.gamma]
    for _ in data.train_dataloader():
        gammas.append(data.replay.gamma)
    assert gammas == pytest.approx([1.0, 0.88, 0.84, 0.80])


def test_a_transfer_moves_the_transitions_and_nothing_that_is_there_already(make_data):
    data = make_data()
    columns = [torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64), *[torch.zeros(2, 3)] * 3]
    iteration = Iteration(Transitions(*columns, None), 8, 8, 0.5, [Episode(1.0, 2)])
    assert data.transfer_batch_to_device(iteration, torch.device("cpu"), 0) is iteration
    moved = data.transfer_batch_to_device(iteration, torch.device("meta"), 0)
    devices = {None if c is None else c.device.type for c in moved.transitions}
    assert devices == {"meta", None}
    assert moved.transitions.next_action_mask is None
    assert moved[1:] == iteration[1:]
    episode = Episode(1.0, 2)
    assert data.transfer_batch_to_device(episode, torch.device("meta"), 0) is episode


# State


def test_before_a_fit_there_is_no_state(make_data):
    assert make_data().state_dict() == {}


def test_the_state_is_that_of_source_and_ring(attach):
    data = attach(written_down())
    data.setup("fit")
    list(data.train_dataloader())
    state = data.state_dict()
    assert state.keys() == {"collector", "replay", "sampler"}
    assert state["collector"] == {"time": 10}
    assert len(state["replay"]["rows"]["action"]) == 10


@pytest.mark.parametrize("loads_first", [True, False])
def test_a_state_may_come_before_the_parts_it_belongs_to(loads_first, attach):
    data = attach(written_down())
    data.setup("fit")
    list(data.train_dataloader())
    state = data.state_dict()
    expected = data.replay.sample(1, 50).action
    again = attach(written_down())
    if loads_first:
        again.load_state_dict(state)
        again.setup("fit")
    else:
        again.setup("fit")
        again.load_state_dict(state)
    assert again.source.time == 10
    assert again.replay.num_rows == data.replay.num_rows
    assert torch.equal(again.replay.sample(1, 50).action, expected)


def test_an_empty_state_is_taken(ready, make_data):
    data = ready()
    data.load_state_dict(make_data().state_dict())
    assert data.source.collector.env_steps == 0


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_a_checkpoint_that_was_evaluated_leaves_the_next_fit_nothing(
    stage, make_trainer, make_data, make_module, tmp_path
):
    data, trainer = make_data(), make_trainer(limit_val_batches=1)
    trainer.fit(without_target(make_module), data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    evaluate = getattr(trainer, stage)
    evaluate(without_target(make_module), data, ckpt_path=tmp_path / "a.ckpt", verbose=False)
    told: list[int] = []
    data.after_collection.append(told.append)
    make_trainer().fit(without_target(make_module), data)
    assert told == [16, 24, 32, 40]


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_state_that_is_taken_by_hand_after_an_evaluation_is_gone_on_with(
    make_trainer, make_data, make_module
):
    data = make_data()
    make_trainer().fit(without_target(make_module), data)
    state = data.state_dict()
    again, trainer = make_data(), make_trainer()
    trainer.test(without_target(make_module), again, verbose=False)
    again.load_state_dict(state)
    told: list[int] = []
    again.after_collection.append(told.append)
    make_trainer().fit(without_target(make_module), again)
    assert told == [56, 64, 72, 80]


def test_a_continued_run_needs_no_warm_up_and_goes_on_counting(
    make_trainer, make_data, make_module, tmp_path
):
    told: list[int] = []
    asked: list[int] = []

    class Asked(DQN):
        def behaviour_policy(self) -> Any:
            asked.append(len(told))
            return super().behaviour_policy()

    class Saves(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    def fit(max_epochs: int, **arguments: Any) -> None:
        data, module = make_data(), without_target(make_module, kind=Asked)
        data.after_collection.append(told.append)
        trainer = make_trainer(max_epochs=max_epochs, callbacks=[Saves()])
        trainer.fit(module, data, **arguments)

    fit(1)
    assert told == [16, 24, 32, 40]
    fit(2, ckpt_path=tmp_path / "0.ckpt")
    assert told[4:] == [48, 56, 64]
    assert asked == [1, 2, 3, 4, 5, 6], "the warm-up is random"


def saved_by(data: Any, make_trainer: Any, make_module: Any, folder: Path) -> Path:
    """Return the checkpoint of an epoch's end, by which data collected 40 env steps."""
    path = folder / "a.ckpt"

    class Saves(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
            trainer.save_checkpoint(path)

    make_trainer(callbacks=[Saves()]).fit(without_target(make_module), data)
    return path


def gone_on(data: Any, make_trainer: Any, make_module: Any, path: Path) -> list[int]:
    """Return what is told of collections where a fit goes on from a checkpoint."""
    told: list[int] = []
    data.after_collection.append(told.append)
    make_trainer(max_epochs=2).fit(without_target(make_module), data, ckpt_path=path)
    return told


def test_a_run_goes_on_with_a_data_module_of_another_name(
    make_trainer, make_data, make_module, tmp_path
):
    class Renamed(ReplayDataModule):
        """Is found in no checkpoint by its name."""

    path = saved_by(make_data(), make_trainer, make_module, tmp_path)
    data = make_data()
    data.__class__ = Renamed
    assert gone_on(data, make_trainer, make_module, path) == [48, 56, 64], "without a warm-up"


def test_a_run_of_whose_data_nothing_was_saved_goes_on_counting(
    make_trainer, make_data, make_module, tmp_path
):
    class Silent(ReplayDataModule):
        def state_dict(self) -> dict[str, Any]:
            super().state_dict()
            return {}

    def silent() -> ReplayDataModule:
        data = make_data()
        data.__class__ = Silent
        return data

    path = saved_by(silent(), make_trainer, make_module, tmp_path)
    with pytest.warns(UserWarning, match="Silent fills its replay ring anew"):
        told = gone_on(silent(), make_trainer, make_module, path)
    assert told == [56, 64, 72, 80]


def test_parts_of_several_ranks_are_refused_to_a_data_module_of_another_name(
    make_trainer, make_data, make_module, tmp_path
):
    class Renamed(ReplayDataModule):
        """Is found in no checkpoint by its name."""

    path = saved_by(make_data(), make_trainer, make_module, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    torch.save({**checkpoint, "ranks": {"size": 2, "token": "0"}}, path)
    data = make_data()
    data.__class__ = Renamed
    with pytest.raises(ValueError, match=r"Renamed: several ranks .* with a ReplayDataModule"):
        gone_on(data, make_trainer, make_module, path)


# Priorities


def test_priorities_are_taken_before_any_other_callback_acts_and_only_in_a_fit(
    make_trainer, make_data, make_module
):
    found = []
    looks = OnBatch(before=lambda data, _: found.append(data.trainer.callbacks[0]))
    data = make_data(sampler=PrioritizedSampling())
    trainer = make_trainer(callbacks=[looks])
    before = list(trainer.callbacks)
    trainer.fit(without_target(make_module), data)
    assert found == [data._priorities] * 3
    assert callbacks_of(trainer) == before


def test_uniform_sampling_adds_no_callback(make_trainer, make_data, make_module):
    looks = OnBatch(before=lambda data, _: found.append(callbacks_of(data.trainer)))
    found: list[Any] = []
    trainer = make_trainer(callbacks=[looks])
    before = list(trainer.callbacks)
    trainer.fit(without_target(make_module), make_data())
    assert found == [before] * 3


def test_a_module_that_returns_no_priority_is_named(make_trainer, make_data, make_module):
    class Silent(DQN):
        def training_step(self, iteration: Iteration, batch_idx: int) -> Any:
            super().training_step(iteration, batch_idx)
            return {"loss of another kind": torch.zeros(())}

    module = without_target(make_module, kind=Silent)
    with pytest.raises(ValueError, match=r"Silent\.training_step returned no 'priority'"):
        make_trainer().fit(module, make_data(sampler=PrioritizedSampling()))
    make_trainer().fit(without_target(make_module, kind=Silent), make_data())


# Closing


def collecting_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("collector")]


def test_closing_twice_is_closing_once(ready):
    data = ready(SYNC, overlap=True, evaluation=EvaluationConfig(num_envs=2))
    list(data.train_dataloader())
    list(data.val_dataloader())
    environments = [data.source.collector.actor.environment, data._evaluator._environment]
    assert len(collecting_threads()) == 1
    for _ in range(2):
        data.close()
        assert all(environment.closed for environment in environments)
        assert collecting_threads() == []
        assert parts_of(data) == [None, None, None]


@pytest.mark.parametrize("copied", [deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_a_copy_serves_a_fit_of_its_own(copied, make_trainer, make_data, make_module):
    data = make_data()
    for original in (data, copied(data)):
        again = copied(original)
        told: list[int] = []
        again.after_collection.append(told.append)
        make_trainer().fit(without_target(make_module), again)
        assert told == [16, 24, 32, 40]
        make_trainer().fit(without_target(make_module), original)
    assert copied(data).pace == data.pace, "also of one that was used"


def test_what_was_never_set_up_can_be_closed(make_data):
    data = make_data()
    data.close()
    assert parts_of(data) == [None, None, None]


def test_a_closed_data_module_can_be_set_up_anew(ready):
    data = ready()
    list(data.train_dataloader())
    data.close()
    data.setup("fit")
    assert [iteration.env_steps for iteration in data.train_dataloader()] == [24, 32, 40]


@pytest.mark.parametrize("is_the_users", [False, True])
def test_a_fit_closes_what_it_made_but_not_the_users_vector_env(
    make_trainer, make_module, is_the_users
):
    used = []
    note = OnBatch(after=lambda data, _: used.append(data.source.collector.actor.environment))
    data = data_of(SYNC.make() if is_the_users else SYNC)
    make_trainer(callbacks=[note]).fit(without_target(make_module), data)
    assert [environment.closed for environment in used] == [not is_the_users] * 3
    assert parts_of(data) == [None, None, None]


def test_an_exception_closes_all_and_ends_the_thread(make_trainer, make_module):
    seen = []

    def fail(data: ReplayDataModule, iteration: Iteration) -> None:
        seen.append(data.source.collector.actor.environment)
        assert len(collecting_threads()) == 1
        raise RuntimeError("on purpose")

    data = data_of(SYNC, overlap=True, sampler=PrioritizedSampling())
    trainer = make_trainer(callbacks=[OnBatch(after=fail)])
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer.fit(without_target(make_module), data)
    assert [environment.closed for environment in seen] == [True]
    assert collecting_threads() == []
    assert parts_of(data) == [None, None, None]
    assert data._priorities not in trainer.callbacks


def test_the_same_data_module_serves_two_fits_alike(make_trainer, make_data, make_module):
    data = make_data()
    told: list[int] = []
    data.after_collection.append(told.append)
    weights = []
    for _ in range(2):
        module = without_target(make_module)
        make_trainer().fit(module, data)
        weights.append(torch.nn.utils.parameters_to_vector(module.q_network.parameters()))
    assert told == [16, 24, 32, 40] * 2
    assert torch.equal(*weights)


def test_a_second_fit_goes_on_counting(make_trainer, make_data, make_module):
    data, module = make_data(), without_target(make_module)
    told: list[int] = []
    policies: list[int] = []
    data.after_collection.append(told.append)
    policy = module.behaviour_policy
    module.behaviour_policy = lambda: policies.append(len(told)) or policy()  # type: ignore[method-assign,func-returns-value]
    for _ in range(2):
        make_trainer().fit(module, data)
    assert told == [16, 24, 32, 40, 56, 64, 72, 80]
    assert policies == [1, 2, 3, 4, 5, 6, 7], "the second warm-up is the policy's"
    assert (module.env_steps, module.updates) == (80, 24)


def test_a_new_data_module_goes_on_where_the_module_is(make_trainer, make_data, make_module):
    module = without_target(make_module)
    make_trainer().fit(module, make_data())
    told: list[int] = []
    data = make_data(batch_size=7)
    data.after_collection.append(told.append)
    make_trainer().fit(module, data)
    assert told == [56, 64, 72, 80]
    assert module.env_steps == 80


def test_a_fit_after_one_that_was_interrupted_goes_on_where_it_was(
    make_trainer, make_data, make_module
):
    def interrupt(data: ReplayDataModule, iteration: Iteration) -> None:
        if iteration.env_steps == 64:
            raise KeyboardInterrupt

    data, module = make_data(), without_target(make_module)
    told: list[int] = []
    data.after_collection.append(told.append)
    make_trainer().fit(module, data)
    with pytest.raises(SystemExit):
        make_trainer(callbacks=[OnBatch(after=interrupt)]).fit(module, data)
    assert data.state_dict() == {}, "where it stood is not known to the last step"
    make_trainer().fit(module, data)
    assert told == [16, 24, 32, 40, 56, 64, 80, 88, 96, 104]


def test_a_checkpoint_saved_after_a_fit_counts_on_and_tells_of_the_ring_that_is_gone(
    make_trainer, make_data, make_module, tmp_path
):
    data, module, trainer = make_data(), without_target(make_module), make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "after.ckpt")
    told: list[int] = []
    again = make_data()
    again.after_collection.append(told.append)
    with pytest.warns(UserWarning, match="saved after its fit, which ended with its replay ring"):
        make_trainer(max_epochs=2).fit(
            without_target(make_module), again, ckpt_path=tmp_path / "after.ckpt"
        )
    assert told == [56, 64, 72, 80]


# Parts that belong together


def of_shape(num_actions: int = 2, dtype: Any = np.float32, **more: Any) -> EnvironmentFactory:
    class Other(gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(0, 200, more.get("shape", (2,)), dtype)
        action_space = gym.spaces.Discrete(num_actions, start=more.get("start", 0))

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            mask = {"action_mask": np.ones(num_actions, np.int8)} if more.get("masked") else {}
            return self.observation_space.sample(), mask

    return EnvironmentFactory(Other, frame_stack=more.get("frame_stack", 1))


def test_what_is_no_environment_of_evaluation_is_named_as_such() -> None:
    with pytest.raises(ValueError, match=r"^evaluation\.environment\.id={'id': .*}: a mapping"):
        ReplayDataModule(
            "CartPole-v1", evaluation=EvaluationConfig(environment={"id": "CartPole-v1"})
        )


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("place", ["training", "evaluation"])
@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"num_actions": 3}, "num_actions"),
        ({"shape": (3,)}, "observation_shape"),
        ({"dtype": np.uint8}, "observation_dtype"),
        ({"masked": True}, "has_action_mask"),
        ({"frame_stack": 2}, "frame_stack"),
        ({"start": 5}, "action_start"),
    ],
)
def test_a_module_of_another_environment_is_refused_by_the_field_that_differs(
    attach, stage, place, other, field
):
    here, there = of_shape(), of_shape(**other)
    environment, evaluated = (there, None) if place == "training" else (here, there)
    data = ReplayDataModule(environment, evaluation=EvaluationConfig(environment=evaluated))
    attach(data, DQN(here, network=["Flatten"]))
    with pytest.raises(ValueError, match=f"^{field}: the module was made for {field}=") as caught:
        data.setup(stage)
    assert ("of evaluation" in str(caught.value)) == (place == "evaluation" or stage != "fit")
    assert data.source is None, "nothing was made"


@pytest.mark.parametrize(("opponent", "gamma"), [(None, 0.9), ("random", -0.9)])
def test_a_fit_whose_discount_has_the_wrong_sign_is_refused(attach, opponent, gamma):
    environment = EnvironmentFactory("lightning_dqn/TicTacToe-v0", kwargs={"opponent": opponent})
    data = ReplayDataModule(environment, replay=ReplayConfig(gamma=gamma))
    attach(data)
    with pytest.raises(ValueError, match=rf"^gamma={gamma}: .*set gamma={-gamma}"):
        data.setup("fit")
    assert data.source is None, "nothing was made"


def test_evaluation_against_an_opponent_may_follow_self_play(attach):
    data = ReplayDataModule(
        EnvironmentFactory("lightning_dqn/TicTacToe-v0"),
        replay=ReplayConfig(gamma=-0.9),
        evaluation=EvaluationConfig(
            environment=EnvironmentFactory(
                "lightning_dqn/TicTacToe-v0", kwargs={"opponent": "random"}
            )
        ),
    )
    attach(data, DQN("lightning_dqn/TicTacToe-v0"))
    data.setup("fit")
    assert data.source is not None, "it was let through, and all is made"
    data.close()


# Signals


@pytest.mark.parametrize("where", ["warm-up", "evaluation"])
def test_a_sigterm_is_obeyed_where_lightning_does_not_look(
    make_trainer, make_module, make_data, where
):
    data = make_data(warmup_env_steps=100_000 if where == "warm-up" else 16)
    told: list[int] = []

    def terminate(*_: Any) -> None:
        told.append(1)
        os.kill(os.getpid(), signal.SIGTERM)

    (data.after_collection if where == "warm-up" else data.observers).append(terminate)
    trainer = make_trainer(limit_val_batches=1.0)
    with pytest.raises(SIGTERMException):
        trainer.fit(without_target(make_module), data)
    assert len(told) == 1, "at once"
    assert data.source is None, "and all is closed"


# Seeds


def test_the_seed_is_that_of_environments_exploration_and_sampling(attach):
    def run(seed: int) -> list[torch.Tensor]:
        data = attach(
            ReplayDataModule(
                EnvironmentFactory(IdentityEnv, num_envs=2, vectorization="sync"),
                batch_size=50,
                updates_per_iteration=1,
                env_steps_per_epoch=64,
                collection=CollectionConfig(warmup_env_steps=40),
                seed=seed,
            )
        )
        data.setup("fit")
        (iteration,) = data.train_dataloader()
        found = [iteration.transitions.observation, iteration.transitions.action]
        copies = [column.clone() for column in found]
        data.close()
        return copies

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_ring_draws_by_the_seed(ready):
    def draws(seed: int) -> torch.Tensor:
        replay = ready(seed=seed).replay
        assert isinstance(replay, ReplayBuffer)
        return torch.randint(1_000, (20,), generator=replay.generator)

    assert torch.equal(draws(3), draws(3))
    assert not torch.equal(draws(3), draws(4))


def of_two(data: Any, rank: int) -> Any:
    """Return attached data as those of one of two ranks."""
    data.trainer.world_size, data.trainer.global_rank = 2, rank
    return data


def test_each_rank_plays_other_episodes_and_the_first_those_of_the_seed(attach, monkeypatch):
    monkeypatch.setattr("lightning_dqn.data.episodes_of_all", lambda episodes, ranks: episodes)
    seeds = []
    for rank in (0, 1):
        data = of_two(attach(data_of("CartPole-v1")), rank)
        with monkeypatch.context() as noting:
            noting.setattr(Evaluator, "play", lambda *_, seed, **how: seeds.append(seed) or [])
            assert list(data.evaluation_episodes(7, 1)) == []
        data.close()
    assert seeds[0] == 7
    assert seeds[1] != 7


def test_environments_of_each_rank_draw_otherwise_and_learning_alike(attach):
    drawn = []
    for rank in (0, 1):
        data = of_two(attach(data_of("CartPole-v1")), rank)
        with generators_kept():
            random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
            data._make_experience().close()
            drawn.append((random.random(), np.random.random(), float(torch.rand(()))))  # noqa: NPY002
    first, second = drawn
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert first[2] == second[2]


# Sizes


@pytest.mark.parametrize(
    ("capacity", "num_envs", "frame_stack", "least"), [(2, 1, 1, 3), (11, 4, 1, 12), (9, 2, 3, 10)]
)
def test_a_ring_in_which_there_may_be_no_transition_is_refused(
    capacity: int, num_envs: int, frame_stack: int, least: int
) -> None:
    factory = EnvironmentFactory("CartPole-v1", num_envs=num_envs, frame_stack=frame_stack)
    with pytest.raises(ValueError, match=rf"replay.capacity={capacity}: .* at least {least} rows"):
        ReplayDataModule(factory, replay=ReplayConfig(capacity))
    ReplayDataModule(factory, replay=ReplayConfig(least))


@pytest.mark.parametrize("sampler", [None, LambdaReturns()])
def test_initial_priorities_need_a_sampler_that_goes_by_them(sampler: Any) -> None:
    environment = EnvironmentFactory("CartPole-v1", num_envs=2)
    asked = {"initial_priorities": True, "synchronous": True}
    with pytest.raises(ValueError, match=r"^collection.initial_priorities=True: sampler=.*choose"):
        ReplayDataModule(environment, sampler=sampler, collection=RayCollectionConfig(**asked))
    ReplayDataModule(
        environment, sampler=PrioritizedSampling(), collection=RayCollectionConfig(**asked)
    )


@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_smallest_ring_trains_however_short_the_episodes_are(
    length: int, make_trainer: Any, make_module: Any
) -> None:
    factory = EnvironmentFactory(lambda: ScriptedEnv(episodes(length)), num_envs=1)
    data = ReplayDataModule(
        factory,
        batch_size=4,
        updates_per_iteration=1,
        env_steps_per_iteration=1,
        env_steps_per_epoch=20,
        replay=ReplayConfig(capacity=3),
        collection=CollectionConfig(0),
    )
    module = DQN(factory, network=["Flatten", {"Linear": 4}], compile=False)
    make_trainer(callbacks=[EMATargetNetwork(tau=1)]).fit(module, data)
    assert module.updates == 20


def test_what_a_sampler_keeps_counts_with_the_ring(make_data, make_trainer, monkeypatch):
    replay = ReplayConfig(capacity=1_000)
    uniform = make_data(replay=replay)
    prioritized = make_data(replay=replay, sampler=PrioritizedSampling())
    needed = ring_bytes(uniform.environment.spec, 8, 1_000)
    monkeypatch.setattr(storage, "available_bytes", lambda _: int(needed / 0.8) + 100_000)
    uniform.check_memory()
    prioritized.check_memory()
    monkeypatch.setattr(storage, "available_bytes", lambda _: int((needed + 8_000) / 0.8))
    uniform.check_memory()
    with pytest.raises(ValueError, match=r"with what its sampler keeps takes"):
        prioritized.check_memory()
    with pytest.raises(ValueError, match=r"with what its sampler keeps takes"):
        make_trainer().fit(DQN("CartPole-v1"), prioritized)


def test_of_a_ring_in_several_memories_a_part_must_fit(make_data, monkeypatch):
    data = make_data(replay=ReplayConfig(capacity=1_000))
    needed = ring_bytes(data.environment.spec, 8, 1_000)
    monkeypatch.setattr(storage, "available_bytes", lambda _: int(needed / 0.8 * 0.75))
    with pytest.raises(ValueError, match=r"replay\.capacity=1000: the replay ring"):
        data.check_memory()
    data.check_memory(parts=2)


@pytest.mark.parametrize(
    ("kept", "device", "parts"),
    [
        ("cpu", "cuda", 2),
        ("memmap", "cuda", 2),
        ("accelerator", "cuda", 8),
        ("accelerator", "cpu", 2),
    ],
)
def test_a_ring_lies_in_the_memories_of_machines_or_of_devices(
    kept: Any, device: str, parts: int
) -> None:
    strategy = SimpleNamespace(root_device=torch.device(device))
    trainer = SimpleNamespace(strategy=strategy, num_nodes=2, world_size=8)
    assert parts_of_memory(trainer, ReplayConfig(storage=kept)) == parts


def test_it_is_printed_by_what_it_plays_and_in_what_steps(make_data: Any) -> None:
    data = make_data()
    text = "ReplayDataModule('CartPole-v1', num_envs="
    assert str(data).startswith(text)
    assert repr(data) == f"{data}"
    for name in ("batch_size", "updates_per_iteration", "env_steps_per_iteration", "capacity"):
        assert f"{name}={getattr(data.pace, name)}" in str(data)
