"""Every legal combination of switches learns: a covering array of their pairs, on solved games.

Each row of the array learns an engine to be run (a Markov decision process with truncation) and
Nim against itself (legal moves, a negative discount), and is judged by the exact solutions.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.scripted_env import IdentityEnv
from support.solved_games import Game, GameEnv, engine, nim
from support.switches import switched_dqn

from lightning_dqn import (
    DQN,
    CollectionConfig,
    LinearSchedule,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.runs.build import build
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import prepare

CONF = Path(__file__).resolve().parents[2] / "conf"

UPDATES_PER_ITERATION = 8
UPDATES = 768
ENVIRONMENTS = 32
ROLLOUT_LENGTH = 4

# What is asked of every row.
SHARE_OF_OPTIMAL = 0.98  # of what the best policy gains over random play, in each state
Q_VALUE_ERROR = 0.06  # mean over states and actions, as a share of the range of exact values

HEADS = {
    "huber": ScalarHead(error="huber"),
    "mse": ScalarHead(error="mse"),
    "categorical": CategoricalHead(num_atoms=21, v_min=-2.5, v_max=2.5),
    "quantile": QuantileHead(num_quantiles=16, huber_threshold=0.2),
    "implicit_quantile": ImplicitQuantileHead(
        num_quantiles=16, huber_threshold=0.2, num_evaluation_quantiles=16, num_cosines=32
    ),
    "proposed_quantile": ProposedQuantileHead(
        num_quantiles=16, huber_threshold=0.2, num_cosines=32
    ),
}
MUNCHAUSEN = {
    "none": None,
    "soft": Munchausen(alpha=0.0, temperature=0.2),
    "munchausen": Munchausen(alpha=0.5, temperature=0.1),
}
N_STEP = {"one": 1, "three": 3, "range": [1, 3], "annealed": LinearSchedule(4, 1, 2_000)}
SAMPLERS = {
    "uniform": None,
    "prioritized": PrioritizedSampling(beta=LinearSchedule(0.4, 1.0, 3_000)),
    "lambda_returns": LambdaReturns(
        rollout_length=ROLLOUT_LENGTH, epochs=2, minibatches=UPDATES_PER_ITERATION // 2
    ),
}
SWITCHES: dict[str, tuple[Any, ...]] = {
    "head": tuple(HEADS),
    "double": (False, True),
    "dueling": (False, True),
    "noisy": (False, True),
    "layer_norm": (False, True),
    "munchausen": tuple(MUNCHAUSEN),
    "n_step": tuple(N_STEP),
    "sampler": tuple(SAMPLERS),
    "target": ("soft", "hard", "none"),
    "overlap": (False, True),
}
REFUSED = {
    # the two settings that don't go together: what the message says
    (("double", True), ("target", "none")): "double=True: without a target network",
    (("double", True), ("sampler", "lambda_returns")): "double=True: lambda-returns hold",
    (("munchausen", "soft"), ("sampler", "lambda_returns")): "munchausen=.*: lambda-returns hold",
    (("munchausen", "munchausen"), ("sampler", "lambda_returns")): "munchausen=.*: lambda-returns",
    (("sampler", "lambda_returns"), ("overlap", True)): "overlap=True: lambda-returns need rows",
}
PLAIN = {name: values[0] for name, values in SWITCHES.items()}
GAMES = {"engine": engine(), "nim": nim()}

Row = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]


def pairs_of(row: Row) -> set[Pair]:
    """Return the pairs of settings that a row, or a part of one, holds, in order of SWITCHES."""
    settings = [(name, row[name]) for name in SWITCHES if name in row]
    return set(itertools.combinations(settings, 2))


def legal_pairs() -> set[Pair]:
    """Return every pair of settings of two switches that isn't refused."""
    settings = [[(name, value) for value in values] for name, values in SWITCHES.items()]
    pairs = (itertools.product(*two) for two in itertools.combinations(settings, 2))
    return set(itertools.chain.from_iterable(pairs)) - set(REFUSED)


def covering_array(candidates: int = 40) -> list[Row]:
    """Return rows that hold every legal pair, found greedily and always the same."""
    generator = random.Random(0)
    missing = legal_pairs()
    rows: list[Row] = []
    while missing:
        tries = [_greedy_row(missing, generator) for _ in range(candidates)]
        rows.append(max(tries, key=lambda row: len(pairs_of(row) & missing)))
        missing -= pairs_of(rows[-1])
    return rows


def _greedy_row(missing: set[Pair], generator: random.Random) -> Row:
    """Begin with a missing pair, then set one switch after another to what covers most."""
    row: Row = dict(generator.choice(sorted(missing, key=str)))
    others = [name for name in SWITCHES if name not in row]
    for name in generator.sample(others, len(others)):
        options = [{**row, name: value} for value in SWITCHES[name]]
        legal = [option for option in options if not pairs_of(option) & set(REFUSED)]
        generator.shuffle(legal)
        row = max(legal, key=lambda option: len(pairs_of(option) & missing))
    return {name: row[name] for name in SWITCHES}


def name_of(row: Row) -> str:
    switches = [name for name, value in row.items() if value is True]
    return "-".join([str(v) for v in row.values() if not isinstance(v, bool)] + switches)


def make_module(row: Row, environment: GameEnv) -> DQN:
    return switched_dqn(
        environment,
        network=[{"Linear": 32}, "ReLU", {"Linear": 32}, "ReLU"],
        head=HEADS[row["head"]],
        double=row["double"],
        dueling=row["dueling"],
        noisy=row["noisy"],
        noisy_sigma=0.1,  # as data-efficient Rainbow: few updates have no time for more
        layer_norm=row["layer_norm"],
        munchausen=MUNCHAUSEN[row["munchausen"]],
        slow_copy=row["target"] != "none",
        optimizer=partial(torch.optim.Adam, lr=1e-2, fused=True),
        lr_scheduler=partial(
            torch.optim.lr_scheduler.LinearLR,
            start_factor=1.0,
            end_factor=0.05,
            total_iters=UPDATES // UPDATES_PER_ITERATION,
        ),
        compile=False,
    )


def make_data(row: Row, environment: GameEnv, seed: int) -> ReplayDataModule:
    times = ROLLOUT_LENGTH if row["sampler"] == "lambda_returns" else 2
    env_steps = times * ENVIRONMENTS
    in_all = env_steps * UPDATES // UPDATES_PER_ITERATION
    return ReplayDataModule(
        environment,
        batch_size=32,
        updates_per_iteration=UPDATES_PER_ITERATION,
        env_steps_per_iteration=env_steps,
        env_steps_per_epoch=in_all,
        replay=ReplayConfig(
            capacity=2_000, gamma=environment.game.gamma, n_step=N_STEP[row["n_step"]]
        ),
        sampler=SAMPLERS[row["sampler"]],
        collection=CollectionConfig(
            500,
            epsilon=LinearSchedule(1.0, 0.05, in_all * 2 // 5),
            random_actions=True,  # also of noisy networks: few updates leave no time to explore
            overlap=row["overlap"],
        ),
        seed=seed,
    )


def make_callbacks(row: Row) -> list[EMATargetNetwork]:
    if row["target"] == "none":
        return []
    if row["target"] == "hard":
        return [EMATargetNetwork(tau=1.0, every_n_updates=8)]
    return [EMATargetNetwork(tau=0.15)]


def learned_q_values(row: Row, game: Game, seed: int, make_trainer: Any) -> np.ndarray:
    """Train on a game and return the values that the module gives its states, float64[S, A]."""
    torch.manual_seed(seed)
    environment = GameEnv(game, ENVIRONMENTS)
    module = make_module(row, environment)
    trainer = make_trainer(callbacks=make_callbacks(row))
    trainer.fit(module, make_data(row, environment, seed))
    assert module.updates == UPDATES
    states = np.arange(len(game.reward))
    legal = game.legal[game.playable]
    action = module.act(game.playable, legal)
    assert legal[np.arange(len(action)), action].all()
    q_values = module.q_values(states).double().numpy()
    assert (action == game.greedy(q_values)[game.playable]).all()
    return q_values


def share_of_optimal(game: Game, q_values: np.ndarray) -> np.ndarray:
    """Return what the greedy policy gains over random play, 1 for the best, float64[<= S]."""
    random_value = game.random_value()
    best = game.greedy_value(game.optimal_q_values()) - random_value
    gained = game.policy_value(game.greedy(q_values)) - random_value
    return gained[game.playable] / best[game.playable]


def regret(game: Game, q_values: np.ndarray) -> np.ndarray:
    """Return what one greedy move loses against the best, float64[<= S]."""
    exact = game.optimal_q_values()
    taken = np.take_along_axis(exact, game.greedy(q_values)[:, None], axis=1)[:, 0]
    return (game.greedy_value(exact) - taken)[game.playable]


def q_value_error(row: Row, game: Game, q_values: np.ndarray) -> float:
    """Return the mean distance from the exact values as a share of their range."""
    munchausen = MUNCHAUSEN[row["munchausen"]]
    exact = game.munchausen_q_values(munchausen) if munchausen else game.optimal_q_values()
    error = np.abs(q_values - exact)[game.legal].mean()
    return float(error / np.ptp(exact[game.legal]))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ROWS = covering_array()
BY_NAME = pytest.mark.parametrize("row", [pytest.param(row, id=name_of(row)) for row in ROWS])
BY_GAME = pytest.mark.parametrize("game", [pytest.param(g, id=name) for name, g in GAMES.items()])


def test_a_winning_move_of_nim_leaves_one_more_than_a_multiple_of_four():
    game = GAMES["nim"]
    exact = game.optimal_q_values()
    left = np.arange(len(exact)) - game.greedy(exact) - 1
    wins = game.greedy_value(exact) > 0
    assert (np.flatnonzero(wins) == [2, 3, 4, 6, 7, 8]).all()
    assert (left[wins] % 4 == 1).all()
    assert exact[9] == pytest.approx([-(0.95**4)] * 3)  # four moves before the last object


def test_the_engine_is_run_only_if_the_future_counts():
    game = GAMES["engine"]
    exact = game.optimal_q_values()
    runs = game.greedy(exact)
    assert share_of_optimal(game, exact) == pytest.approx(1.0)
    assert game.time_limit == 4
    for gamma in (
        0.9 * (1 - 1 / game.time_limit),
        0.99,
    ):  # the first: as if truncation were the end
        other = dataclasses.replace(game, gamma=gamma)
        assert (other.greedy(other.optimal_q_values()) != runs).any()


@BY_GAME
def test_exact_values_agree_with_each_other(game):
    exact = game.optimal_q_values()
    assert game.policy_value(game.greedy(exact)) == pytest.approx(game.greedy_value(exact))
    cold = game.munchausen_q_values(Munchausen(alpha=0.0, temperature=1e-4))
    assert cold == pytest.approx(exact, abs=1e-3)
    for munchausen in (MUNCHAUSEN["soft"], MUNCHAUSEN["munchausen"]):
        assert regret(game, game.munchausen_q_values(munchausen)).max() < 1e-9


def test_the_games_are_played_as_their_tables_say():
    game = GAMES["engine"]
    environment = GameEnv(game, 8)
    state, _ = environment.reset(seed=0)
    counts = np.zeros_like(game.probability)
    generator = np.random.default_rng(0)
    ended = np.zeros(8, bool)
    for _ in range(6_000):
        action = generator.integers(3, size=8)
        following, reward, terminated, truncated, _ = environment.step(action)
        going = ~ended
        assert (reward[going] == game.reward[state, action][going]).all()
        assert (terminated[going] == (following[going] == 6)).all()
        np.add.at(counts, (state[going], action[going], following[going]), 1)
        state, ended = following, terminated | truncated
    frequency = counts[game.playable] / counts[game.playable].sum(axis=2, keepdims=True)
    assert frequency == pytest.approx(game.probability[game.playable], abs=0.03)


def test_the_array_holds_every_legal_pair_and_no_refused_one():
    covered = set().union(*map(pairs_of, ROWS))
    assert covered == legal_pairs()
    assert covering_array() == ROWS
    assert len(HEADS) * len(N_STEP) <= len(ROWS) <= 30


@pytest.mark.parametrize(("pair", "reason"), REFUSED.items(), ids=str)
def test_what_does_not_go_together_is_refused_with_its_reason(pair, reason, make_trainer):
    row = {**PLAIN, **dict(pair)}
    with pytest.raises(ValueError, match=reason):
        learned_q_values(row, GAMES["engine"], 0, make_trainer)


def check_row(
    row: Row, game: Game, seed: int, make_trainer: Any, *, otherwise: tuple[int, ...] = ()
) -> None:
    """Check policy and values; values that one seed misses must be those of all ``otherwise``.

    Kinds of processor round otherwise, and one run in many then ends with values out of bounds.
    """
    q_values = learned_q_values(row, game, seed, make_trainer)
    if game.gamma > 0:
        assert share_of_optimal(game, q_values).min() >= SHARE_OF_OPTIMAL
    assert regret(game, q_values).max() < 1e-6
    if row["n_step"] == "one" and row["sampler"] != "lambda_returns":
        # Longer chains see the exploring policy's actions, so their values are others.
        error = q_value_error(row, game, q_values)
        if not error < Q_VALUE_ERROR:
            assert otherwise, f"values are off by {error}"
            for other in otherwise:
                check_row(row, game, other, make_trainer)


@BY_GAME
@BY_NAME
def test_a_combination_learns_the_best_policy(row, game, make_trainer):
    check_row(row, game, 0, make_trainer, otherwise=(1, 2))


@pytest.mark.slow
@BY_GAME
@BY_NAME
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_combination_learns_the_best_policy_from_other_seeds(row, game, seed, make_trainer):
    check_row(row, game, seed, make_trainer)


@BY_GAME
@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns_the_exact_values(head, game, make_trainer):
    check_row({**PLAIN, "head": head}, game, 0, make_trainer, otherwise=(1, 2))


IDENTITY_LENGTH = 4
IDENTITY = (
    "environment.num_envs=8",
    "module.network.hidden=[32]",
    "module.compile=false",
    "value_range={min: -1.0, max: 3.0}",
    "data.batch_size=32",
    "data.env_steps_per_iteration=16",
    "data.env_steps_per_epoch=1_200",
    "data.replay.gamma=0.5",
    "data.collection.warmup_env_steps=200",
    "data.evaluation.test_episodes_per_env=5",
    "callbacks.target_network.tau=0.05",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
)
PRESETS = sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))


@pytest.fixture
def identity():
    """Registers ``IdentityEnv``, so that a configuration can name it."""
    name = "IdentityOfTheTests-v0"
    gym.register(name, IdentityEnv, kwargs={"episode_length": IDENTITY_LENGTH})
    yield name
    del gym.registry[name]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_learns_identity_without_a_mistake(preset, identity, make_trainer):
    overrides = [f"algorithm={preset}", f"environment.id={identity}", *IDENTITY]
    if preset == "q_learning":
        # What is observed are no discrete states.
        overrides += ["module/network=mlp", "hints.step_size=0.05"]
    else:
        overrides += ["module.optimizer.lr=5e-3"]
    if preset == "pqn":
        overrides += ["data.sampler.rollout_length=4", "data.sampler.minibatches=4"]
    if preset not in ("noisy_dqn", "rainbow", "der"):
        overrides += ["data.collection.epsilon.duration=600"]
    experiment = prepare(compose(overrides))
    callbacks = [build(experiment.config, "callbacks.target_network")]
    trainer = make_trainer(callbacks=callbacks)
    trainer.fit(experiment.module, experiment.data)
    [result] = trainer.test(experiment.module, experiment.data, verbose=False)
    assert result["test/episode_return"] == IDENTITY_LENGTH
