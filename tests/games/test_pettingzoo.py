"""PettingZoo's games beside our own: the same moves, masks and rewards."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.pettingzoo import PettingZooVectorEnv
from lightning_dqn.games.tictactoe import TicTacToe

pytest.importorskip("pettingzoo")


class TakeOne:
    """Nim as an AECEnv: take 1 or 2 of 5 stones, who takes the last one wins; with faults."""

    possible_agents = ("ann", "bob")

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.seeds: list[int | None] = []
        self.is_closed = False

    def observation_space(self, player: str) -> spaces.Space:
        if self.fault == "discrete observation":
            return spaces.Discrete(6)
        high = 6 if player == "bob" and self.fault == "spaces" else 5
        return spaces.Box(0, high, (1,), np.int64)

    def action_space(self, player: str) -> spaces.Space:
        return spaces.Box(0, 1, (1,)) if self.fault == "box action" else spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.seeds.append(seed)
        self.stones, self.agent_selection = 5, "ann"
        self.rewards = dict.fromkeys(self.possible_agents, 0)
        self.terminations = dict.fromkeys(self.possible_agents, False)
        self.truncations = dict.fromkeys(self.possible_agents, False)
        self._tell_mask()

    def observe(self, player: str) -> np.ndarray:
        return np.array([self.stones])

    def step(self, action: int) -> None:
        self.stones -= action + 1
        mover, other = self.agent_selection, {"ann": "bob", "bob": "ann"}[self.agent_selection]
        if self.fault != "same turn":
            self.agent_selection = other
        if self.stones == 0:
            loss = 0 if self.fault == "gift" else -1
            # Taking the last of them with a 2 is clumsy and loses, by one's own move.
            winner, loser = (other, mover) if self.fault == "own" and action else (mover, other)
            self.rewards = {winner: 1, loser: loss}
            self.terminations = dict.fromkeys(self.possible_agents, True)
        if self.stones == 1 and self.fault == "cut":
            self.truncations = dict.fromkeys(self.possible_agents, True)
        self._tell_mask()

    def _tell_mask(self) -> None:
        mask = np.array([self.stones >= 1, self.stones >= 2], np.int8)
        self.infos = {self.agent_selection: {"action_mask": mask}}

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("id", "game"),
    [
        ("pettingzoo/tictactoe_v3", TicTacToe("planes")),
        ("pettingzoo/connect_four_v3", ConnectFour()),
    ],
)
def test_random_games_go_as_our_own_do(id: str, game: Any) -> None:
    theirs, ours = PettingZooVectorEnv(id, 16), BoardGameVectorEnv(game, 16)
    assert theirs.single_action_space == ours.single_action_space
    observation, info = theirs.reset(seed=0)
    own_observation, own_info = ours.reset(seed=0)
    generator = np.random.default_rng(0)
    endings: list[float] = []
    for _ in range(150):
        planes = np.moveaxis(observation, -1, 1)
        assert (planes == own_observation.reshape(planes.shape)).all()
        assert (info["action_mask"] == own_info["action_mask"]).all()
        mask = info["action_mask"]
        action = random_actions(16, mask.shape[1], mask, generator)
        observation, *ends, info = theirs.step(action)
        own_observation, *own_ends, own_info = ours.step(action)
        for found, expected in zip(ends, own_ends, strict=True):
            assert (found == expected).all()
        endings += ends[0][ends[1]].tolist()
    assert endings.count(1.0) > 20
    if id.endswith("tictactoe_v3"):
        assert endings.count(0.0) > 20
    theirs.close()


def test_the_collector_counts_its_moves_and_results() -> None:
    environment = PettingZooVectorEnv("pettingzoo/tictactoe_v3", 8)
    factory = EnvironmentFactory(environment)
    assert factory.spec.has_action_mask
    assert factory.spec.zero_sum_turns
    assert factory.spec.game == "tictactoe_v3"
    collector = Collector(environment, factory.spec, seed=0)
    collector.collect(None, 1_500)
    returns = [episode.episode_return for episode in collector.take_episodes()]
    assert np.mean(returns) == pytest.approx(0.873, abs=0.07)


def test_the_mover_is_rewarded_and_the_next_call_begins_anew() -> None:
    environment = PettingZooVectorEnv(TakeOne, 2)
    assert environment.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observation, info = environment.reset(seed=7)
    assert [game.seeds for game in environment.games] == [[7], [8]]
    environment.step(np.array([1, 0]))
    environment.step(np.array([1, 1]))
    observation, reward, terminated, truncated, info = environment.step(np.array([0, 1]))
    assert observation.tolist() == [[0], [0]]
    assert reward.tolist() == [1.0, 1.0]
    assert terminated.all()
    assert not truncated.any()
    assert not info["action_mask"].any()
    observation, reward, terminated, _, info = environment.step(np.array([1, 1]))
    assert observation.tolist() == [[5], [5]]
    assert not reward.any()
    assert not terminated.any()
    assert info["action_mask"].all()
    environment.close()
    assert all(game.is_closed for game in environment.games)


def test_who_loses_by_an_own_move_is_punished() -> None:
    environment = PettingZooVectorEnv(TakeOne, 1, fault="own")
    environment.reset()
    rewards = [environment.step(np.array([action]))[1][0] for action in (0, 1, 1)]
    assert rewards == [0.0, 0.0, -1.0]


def test_a_game_cut_off_is_truncated_and_keeps_its_legal_moves() -> None:
    environment = PettingZooVectorEnv(TakeOne, 1, fault="cut")
    environment.reset()
    *_, terminated, truncated, info = [environment.step(np.array([a])) for a in (1, 1)][-1]
    assert (terminated[0], truncated[0]) == (False, True)
    assert info["action_mask"].tolist() == [[True, False]]  # one is left
    assert environment.step(np.array([0]))[0].tolist() == [[5]]


def test_illegal_moves_are_refused() -> None:
    environment = PettingZooVectorEnv("pettingzoo/tictactoe_v3", 1)
    environment.reset()
    environment.step(np.array([4]))
    for action in (4, 9, -1):
        with pytest.raises(ValueError, match=rf"game 0: {action} isn't a legal.*0, 1, 2, 3, 5"):
            environment.step(np.array([action]))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("same turn", "ann has two turns on end"),
        ("gift", "one's gain must be the other's loss"),
    ],
)
def test_games_that_turn_out_otherwise_are_refused(fault: str, message: str) -> None:
    environment = PettingZooVectorEnv(TakeOne, 1, fault=fault)
    environment.reset()
    with pytest.raises(ValueError, match=message):
        [environment.step(np.array([action])) for action in (0, 1, 1)]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("discrete observation", r"observed as Discrete\(6\), but a network needs a Box"),
        ("spaces", "the players' observation spaces differ"),
        ("box action", "not Discrete from 0"),
    ],
)
def test_games_of_another_kind_are_refused(fault: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PettingZooVectorEnv(TakeOne, 1, fault=fault)


def test_more_players_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TakeOne, "possible_agents", ("ann", "bob", "cem"))
    with pytest.raises(ValueError, match="has 3 players: here it must be two"):
        PettingZooVectorEnv(TakeOne, 1)


def test_an_unknown_game_is_named() -> None:
    with pytest.raises(ValueError, match=r"id=pettingzoo/nim_v1: .*not found in registry"):
        PettingZooVectorEnv("pettingzoo/nim_v1")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **how: Any) -> Any:
        if name == "pettingzoo":
            raise ImportError(name)
        return real(name, *arguments, **how)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'lightning-dqn\[pettingzoo\]'"):
        PettingZooVectorEnv("pettingzoo/tictactoe_v3")
