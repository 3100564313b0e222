"""Everyone a learner may play against."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.scripted_opponent import LowestMove

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.choice import opponent_name, opponent_of
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.policy import CheckpointOpponent, PolicyOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.opponents.search import SearchOpponent, search_values
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


@pytest.fixture(scope="module")
def tree() -> GameTree:
    return GameTree.of(GAME)


class Always:
    """A policy that prefers the move of a fixed number."""

    def __init__(self, favourite: int) -> None:
        self.favourite = favourite
        self.observations: list[np.ndarray] = []

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        assert action_mask is not None
        self.observations.append(observation)
        favoured = action_mask[:, self.favourite]
        return np.where(favoured, self.favourite, action_mask.argmax(axis=1))


def tictactoe_agent(**other: Any) -> DQN:
    torch.manual_seed(0)
    fields: dict[str, Any] = {"game": "tictactoe", "has_action_mask": True, **other}
    spec = EnvironmentSpec(
        **{"observation_shape": (9,), "observation_dtype": "float32", "num_actions": 9, **fields}
    )
    return DQN(spec, network=[{"Linear": 16}, "ReLU"])


def minimax(game: Game, state: np.ndarray, depth: int) -> dict[int, int]:
    """Return the worth of each move by plain recursion, one board at a time."""
    worth = {}
    for action in np.flatnonzero(game.legal_moves(state)[0]):
        child = game.apply(state, np.array([action]))
        is_over, score = (int(part[0]) for part in game.outcome(child))
        if is_over:
            worth[int(action)] = -score * depth
        else:
            answers = minimax(game, child, depth - 1) if depth > 1 else {0: 0}
            worth[int(action)] = -max(answers.values())
    return worth


def some_positions(game: Game, count: int, plies: int) -> np.ndarray:
    generator, player = np.random.default_rng(plies), RandomOpponent()
    state = game.initial_state(count)
    for _ in range(plies):
        state = game.apply(state, player.act(game, state, generator))
        state = state[~game.outcome(state).is_over]
    return state


def test_random_moves_are_legal_and_equally_likely() -> None:
    state = np.repeat(np.array([[0b000010001, 0b100000010]]), 6_000, axis=0)
    action = RandomOpponent().act(GAME, state, np.random.default_rng(0))
    found = np.bincount(action, minlength=9)
    assert (found[[0, 1, 4, 8]] == 0).all()
    assert found[[2, 3, 5, 6, 7]] == pytest.approx(1_200, abs=130)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("game", [GAME, ConnectFour()], ids=lambda game: game.name)
def test_search_finds_what_plain_recursion_finds(game: Game, depth: int) -> None:
    few = 12 if depth > 2 else 40
    plies = 4 if game is GAME else 18
    state = some_positions(game, few, plies)
    found = search_values(game, state, depth)
    differences = 0
    for i in range(len(state)):
        expected = minimax(game, state[i : i + 1], depth)
        best = max(expected.values())
        best_moves = [action for action, value in expected.items() if value == best]
        assert found[i].max() == best
        assert np.flatnonzero(found[i] == best).tolist() == best_moves
        differences += len(best_moves) < len(expected)
    assert differences > 0


def test_search_wins_sooner_and_loses_later(tree: GameTree) -> None:
    going = tree.state[~tree.is_over]
    values = search_values(GAME, going, 4)
    best = values.max(axis=1)
    action = SearchOpponent(4).act(GAME, going, np.random.default_rng(0))
    made = values[np.arange(len(going)), action]
    assert (made == best).all()
    wins_later = ((values == 2).any(axis=1) & (best == 4)).sum()
    loses_later = ((values == -3).any(axis=1) & (best == -1)).sum()
    # A win at once ends the search of that board, so later wins aren't even looked for.
    assert wins_later == 0
    assert loses_later > 0
    assert set(best.tolist()) == {4, 2, 0, -1, -3}


def test_search_is_random_where_it_sees_no_difference() -> None:
    state = GAME.initial_state(5_000)
    action = SearchOpponent(2).act(GAME, state, np.random.default_rng(0))
    assert np.bincount(action, minlength=9) == pytest.approx(5_000 / 9, abs=100)


def test_search_in_pieces_is_search_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    state = some_positions(ConnectFour(), 30, 14)
    whole = search_values(ConnectFour(), state, 3)
    monkeypatch.setattr("lightning_dqn.games.opponents.search.BOARDS_AT_ONCE", 5)
    assert (search_values(ConnectFour(), state, 3) == whole).all()


def test_search_is_quick_enough_to_train_against() -> None:
    state = some_positions(ConnectFour(), 200, 6)
    began = time.process_time()
    SearchOpponent(4).act(ConnectFour(), state, np.random.default_rng(0))
    assert len(state) / (time.process_time() - began) > 200


def test_the_perfect_player_makes_every_best_move_and_no_other(tree: GameTree) -> None:
    perfect = PerfectOpponent(GAME)
    q_values = np.where(tree.legal, tree.self_play_values(), -np.inf)
    best = q_values == q_values.max(axis=1, keepdims=True)
    going = np.flatnonzero(~tree.is_over)
    generator = np.random.default_rng(0)
    made = np.zeros_like(best)
    for _ in range(80):
        action = perfect.act(GAME, tree.state[going], generator)
        assert best[going, action].all()
        made[going, action] = True
    assert (made[going] == best[going]).mean() > 0.999


def test_the_perfect_player_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"connect_four has more than .*choose search:4"):
        PerfectOpponent(ConnectFour())
    with pytest.raises(ValueError, match="no legal moves of tictactoe lead to"):
        PerfectOpponent(GAME).act(GAME, np.array([[0b111, 0]]), np.random.default_rng(0))


def test_a_policy_sees_what_a_learner_would_see() -> None:
    game, policy = TicTacToe("planes"), Always(4)
    state = some_positions(game, 10, 2)
    action = PolicyOpponent(policy).act(game, state, np.random.default_rng(0))
    assert (policy.observations[0] == game.encode(state)).all()
    assert game.legal_moves(state)[np.arange(10), action].all()
    assert (action[game.legal_moves(state)[:, 4]] == 4).all()


def test_epsilon_makes_a_policy_random_that_often() -> None:
    state = GAME.initial_state(8_000)
    action = PolicyOpponent(Always(4), epsilon=0.36).act(GAME, state, np.random.default_rng(0))
    assert (action == 4).mean() == pytest.approx(0.64 + 0.04, abs=0.02)
    with pytest.raises(ValueError, match=r"epsilon=1\.5: a probability"):
        PolicyOpponent(Always(4), epsilon=1.5)


def test_a_run_folder_and_a_checkpoint_play_as_the_agent_did(
    tmp_path: Path, make_trainer: Any
) -> None:
    agent = tictactoe_agent()
    save_weights(agent.agent, tmp_path)
    trainer = make_trainer()
    trainer.strategy.connect(agent)
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    state = some_positions(GAME, 50, 3)
    expected = agent.act(GAME.encode(state), GAME.legal_moves(state))
    for place in (tmp_path, path, str(path)):
        found = CheckpointOpponent(place).act(GAME, state, np.random.default_rng(0))
        assert (found == expected).all()
        by_name = opponent_of(str(place), GAME)
        assert (by_name.act(GAME, state, np.random.default_rng(0)) == expected).all()


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ({"game": "connect_four"}, "learned to play connect_four, not tictactoe"),
        ({"num_actions": 7, "game": None}, "chooses among 7 actions, but tictactoe has 9"),
        ({"observation_shape": (18,)}, r"of the shape \(18,\).*observed as \(9,\).*encoding"),
    ],
)
def test_an_agent_of_another_game_is_refused(
    tmp_path: Path, agent: dict[str, Any], message: str
) -> None:
    save_weights(tictactoe_agent(**agent).agent, tmp_path)
    with pytest.raises(ValueError, match=message):
        BoardGameVectorEnv(GAME, 1, opponent=str(tmp_path))
    with pytest.raises(ValueError, match=message):
        CheckpointOpponent(tmp_path).act(GAME, GAME.initial_state(1), np.random.default_rng(0))


def test_past_selves_are_drawn_by_board_and_the_newest_most() -> None:
    pool = PastSelves(p_latest=0.4, epsilon=0.0, capacity=3)
    state = GAME.initial_state(6_000)
    generator = np.random.default_rng(0)
    at_random = np.bincount(pool.act(GAME, state, generator), minlength=9)
    assert at_random == pytest.approx(6_000 / 9, abs=110)
    for favourite in (8, 2, 4, 6):
        pool.add(Always(favourite))
    shares = np.bincount(pool.act(GAME, state, generator), minlength=9) / 6_000
    assert shares[[2, 4, 6]] == pytest.approx([0.2, 0.2, 0.6], abs=0.03)
    assert shares.sum() == pytest.approx(shares[[2, 4, 6]].sum())
    pool.clear()
    assert len(set(pool.act(GAME, state, generator).tolist())) == 9


def test_past_selves_make_mistakes() -> None:
    pool = PastSelves(epsilon=0.45)
    pool.add(Always(4))
    action = pool.act(GAME, GAME.initial_state(8_000), np.random.default_rng(0))
    assert (action == 4).mean() == pytest.approx(0.55 + 0.05, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_latest": -0.1}, "p_latest=-0.1"),
        ({"epsilon": 2}, "epsilon=2"),
        ({"capacity": 0}, "capacity=0: at least 1"),
    ],
)
def test_wrong_sizes_of_a_pool_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PastSelves(**arguments)


def test_names_stand_for_opponents(tmp_path: Path) -> None:
    assert isinstance(opponent_of("random", GAME), RandomOpponent)
    assert isinstance(opponent_of("perfect", GAME), PerfectOpponent)
    search = opponent_of("search:3", GAME)
    assert isinstance(search, SearchOpponent)
    assert search.depth == 3
    own = LowestMove()
    assert opponent_of(own, GAME) is own
    for name in ("search", "search:", "Random", "no/such/run"):
        with pytest.raises(ValueError, match=f"opponent='{name}': choose random, perfect"):
            opponent_of(name, GAME)
    with pytest.raises(ValueError, match="depth=0: at least 1"):
        opponent_of("search:0", GAME)
    with pytest.raises(ValueError, match="there is no such file"):
        CheckpointOpponent(tmp_path / "missing")


@pytest.mark.parametrize(
    ("opponent", "name"),
    [
        ("random", "random"),
        ("search:4", "search_4"),
        ("runs/mine/best-1.ckpt", "best_1"),
        ("runs/tictactoe", "tictactoe"),
        (SearchOpponent(2), "search_2"),
        (RandomOpponent(), "random"),
        (PastSelves(), "past_selves"),
        (LowestMove(), "lowest_move"),
    ],
)
def test_metrics_call_opponents_by_short_names(opponent: Any, name: str) -> None:
    assert opponent_name(opponent) == name
