"""Boards as a vector environment: whose turn it is, what a step means, who is rewarded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from support.nim_game import Nim
from support.scripted_opponent import LowestMove

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.tictactoe import TicTacToe

TOP_ROW_FIRST = [0, 3, 1, 4, 2]
"""Moves of both players after which the one who began has the top row."""
SECOND_WINS = [0, 3, 1, 4, 8, 5]
DRAW = [0, 1, 2, 4, 3, 5, 7, 6, 8]


def one_board(**arguments: Any) -> BoardGameVectorEnv:
    environment = BoardGameVectorEnv(TicTacToe(), 1, **arguments)
    environment.reset(seed=0)
    return environment


def random_steps(environment: BoardGameVectorEnv, steps: int, seed: int = 0) -> Iterator[Any]:
    """Reset, step with random legal moves, and yield moves and what came back."""
    generator = np.random.default_rng(0)
    _, info = environment.reset(seed=seed)
    for _ in range(steps):
        num_actions = environment.game.num_actions
        action = random_actions(environment.num_envs, num_actions, info["action_mask"], generator)
        row = (action, *environment.step(action))
        yield row
        info = row[-1]


def test_it_is_a_vector_environment_in_next_step_mode() -> None:
    environment = BoardGameVectorEnv(ConnectFour(), 3)
    assert environment.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observation, info = environment.reset(seed=0)
    assert environment.observation_space.contains(observation)
    assert environment.action_space.contains(environment.action_space.sample())
    observation, reward, terminated, truncated, info = environment.step(np.array([0, 1, 2]))
    assert environment.observation_space.contains(observation)
    assert (reward.shape, terminated.dtype, truncated.dtype) == ((3,), bool, bool)
    assert info["action_mask"].shape == (3, 7)


def test_what_was_returned_stays_as_it_was() -> None:
    class Bare(Nim):
        def encode(self, state: np.ndarray) -> np.ndarray:
            return state

    environment = BoardGameVectorEnv(Bare(), 2)
    observation, info = environment.reset(seed=0)
    kept = observation.copy()
    info["action_mask"][:] = False  # the caller's own: these moves are legal still
    environment.step(np.array([0, 1]))
    assert np.array_equal(observation, kept)


@pytest.mark.parametrize(
    ("moves", "reward"), [(TOP_ROW_FIRST, 1.0), (SECOND_WINS, 1.0), (DRAW, 0.0)]
)
def test_in_self_play_the_mover_who_ends_the_game_is_rewarded(
    moves: list[int], reward: float
) -> None:
    environment = one_board()
    for number, move in enumerate(moves):
        assert environment._info()["seat"].tolist() == [number % 2]
        observation, found, terminated, _, info = environment.step(np.array([move]))
        is_last = number == len(moves) - 1
        assert terminated.tolist() == [is_last]
        assert found.tolist() == [reward if is_last else 0.0]
        assert info["action_mask"].any() != is_last
        # What is observed is the other's board: the piece just placed is theirs to fear.
        assert observation[0, move] == -1.0


def test_after_the_end_a_step_only_begins_anew_whatever_the_action() -> None:
    environment = one_board()
    for move in TOP_ROW_FIRST:
        environment.step(np.array([move]))
    observation, reward, terminated, _, info = environment.step(np.array([0]))
    assert not observation.any()
    assert (reward.tolist(), terminated.tolist()) == ([0.0], [False])
    assert info["action_mask"].all()
    assert info["seat"].tolist() == [0]


def test_boards_that_end_at_different_times_do_not_touch_each_other() -> None:
    """Each board of many goes as the same moves go on a board alone."""
    together = BoardGameVectorEnv(TicTacToe(), 7)
    alone = [one_board() for _ in range(7)]
    tape = list(random_steps(together, 60))
    assert len({tuple(row[3]) for row in tape}) > 3
    for action, observation, reward, terminated, truncated, info in tape:
        for i, environment in enumerate(alone):
            one = environment.step(action[i : i + 1])
            assert (one[0][0] == observation[i]).all()
            assert (one[1][0], one[2][0], one[3][0]) == (reward[i], terminated[i], truncated[i])
            assert (one[4]["action_mask"][0] == info["action_mask"][i]).all()
            assert one[4]["seat"][0] == info["seat"][i]


def test_what_it_returned_does_not_change_later() -> None:
    environment = BoardGameVectorEnv(TicTacToe(), 2)
    [row] = random_steps(environment, 1)
    kept = [part.copy() for part in row[1:5]]
    mask = row[5]["action_mask"].copy()
    for _ in range(5):
        legal = environment._info()["action_mask"]
        environment.step(legal.argmax(axis=1))
    assert all((a == b).all() for a, b in zip(kept, row[1:5], strict=True))
    assert (mask == row[5]["action_mask"]).all()


def test_as_first_a_step_is_a_move_and_its_answer() -> None:
    opponent = LowestMove()
    environment = one_board(opponent=opponent, seat="first", rewards=(100, -10, -100))
    observation, reward, terminated, _, info = environment.step(np.array([4]))
    assert observation[0].tolist() == [-1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert info["seat"].tolist() == [0]
    assert np.flatnonzero(info["action_mask"][0]).tolist() == [1, 2, 3, 5, 6, 7, 8]
    assert (reward.tolist(), terminated.tolist()) == ([0.0], [False])
    environment.step(np.array([2]))
    # They took 1; taking 6 completes the diagonal 2, 4, 6, and nobody answers.
    seen = len(opponent.seen)
    observation, reward, terminated, _, info = environment.step(np.array([6]))
    assert (reward.tolist(), terminated.tolist()) == ([100.0], [True])
    assert len(opponent.seen) == seen
    assert not info["action_mask"].any()


def test_as_second_the_opponent_begins_every_game() -> None:
    environment = BoardGameVectorEnv(
        TicTacToe(), 1, opponent=LowestMove(), seat="second", rewards=(100, -10, -100)
    )
    observation, info = environment.reset(seed=0)
    assert observation[0].tolist() == [-1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert info["seat"].tolist() == [1]
    environment.step(np.array([8]))
    observation, reward, terminated, _, _ = environment.step(np.array([7]))
    assert (reward.tolist(), terminated.tolist()) == ([-100.0], [True])
    assert observation[0].tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1]
    observation, reward, terminated, _, info = environment.step(np.array([0]))
    assert observation[0].tolist() == [-1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert (reward.tolist(), terminated.tolist()) == ([0.0], [False])
    assert info["seat"].tolist() == [1]


@pytest.mark.parametrize("seat", ["first", "second", "random"])
def test_rewards_against_an_opponent_are_the_learners(seat: Any) -> None:
    """Replay every game from what was observed: who has a line at the end was rewarded so."""
    environment = BoardGameVectorEnv(
        TicTacToe(), 50, opponent=RandomOpponent(), seat=seat, rewards=(100, -10, -100)
    )
    lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
    counts = {100.0: 0, -10.0: 0, -100.0: 0}
    ended = np.zeros(50, bool)
    for _, observation, reward, terminated, _, info in random_steps(environment, 60):
        for i in np.flatnonzero(terminated):
            # When the learner's move ended the game the board is as the opponent sees it.
            own = 1 if info["seat"][i] == environment._learner_seat[i] else -1
            owners = {tuple(observation[i][list(line)] * own) for line in lines}
            expected = 100.0 if (1, 1, 1) in owners else -100.0 if (-1, -1, -1) in owners else -10.0
            assert reward[i] == expected
            counts[expected] += 1
        assert (reward[~terminated] == 0).all()
        assert not (ended & terminated).any()
        ended = terminated
    assert min(counts.values()) > 5


def test_a_random_seat_is_drawn_anew_in_each_game() -> None:
    environment = BoardGameVectorEnv(TicTacToe(), 40, opponent="random", seat="random")
    seats = []
    for _, observation, _, _, _, info in random_steps(environment, 40):
        begins = np.abs(observation).sum(axis=1) <= 1
        seats += info["seat"][begins].tolist()
    assert 0.4 < np.mean(seats) < 0.6
    assert len(seats) > 150


@pytest.mark.parametrize("action", [3, 9, -1])
def test_an_illegal_move_is_refused_and_the_legal_ones_named(action: int) -> None:
    environment = BoardGameVectorEnv(TicTacToe(), 2)
    environment.reset(seed=0)
    environment.step(np.array([0, 3]))
    with pytest.raises(ValueError, match=rf"board 1: {action} isn't a legal.*0, 1, 2, 4, 5"):
        environment.step(np.array([1, action]))


@pytest.mark.parametrize("seed", range(8))
def test_an_illegal_move_of_a_game_shown_mirrored_is_told_as_it_is_shown(seed: int) -> None:
    environment = BoardGameVectorEnv(TicTacToe(), 2, random_symmetry=True)
    environment.reset(seed=seed)
    *_, info = environment.step(np.array([1, 0]))
    mask = info["action_mask"][1]
    assert np.flatnonzero(~mask).tolist() == [0]
    for action in (0, 9, 99, -1):
        with pytest.raises(
            ValueError, match=rf"board 1: {action} isn't a legal move; legal are 1, 2, .*, 7, 8\."
        ):
            environment.step(np.array([0, action]))


@pytest.mark.parametrize("opponent", [None, LowestMove()])
@pytest.mark.parametrize("game", [TicTacToe("planes"), ConnectFour()], ids=lambda game: game.name)
def test_a_game_shown_mirrored_is_the_same_game(game: Any, opponent: Any) -> None:
    """Moves translated by the board's symmetry lead to the same boards, translated."""
    arguments = {"opponent": opponent, "seat": "random" if opponent is None else "first"}
    shown = BoardGameVectorEnv(game, 64, random_symmetry=True, **arguments)
    plain = BoardGameVectorEnv(game, 64, **arguments)
    _, info = shown.reset(seed=0)
    plain.reset(seed=0)
    generator = np.random.default_rng(0)
    kinds = set()
    for _ in range(30):
        moves = game.symmetry_actions[shown._symmetry]
        kinds |= set(shown._symmetry.tolist())
        action = random_actions(64, game.num_actions, info["action_mask"], generator)
        original = (moves == action[:, None]).argmax(axis=1)
        symmetry = shown._symmetry.copy()
        observation, *ends, info = shown.step(action)
        expected, *expected_ends, expected_info = plain.step(original)
        goes_on = (symmetry == shown._symmetry) | ~expected.any(axis=tuple(range(1, expected.ndim)))
        turned = game.encode(game.transform(plain.state, shown._symmetry))
        assert (observation == turned).all()
        assert goes_on.all()
        assert all((a == b).all() for a, b in zip(ends, expected_ends, strict=True))
        moves = game.symmetry_actions[shown._symmetry]
        back = np.take_along_axis(info["action_mask"], moves, axis=1)
        assert (back == expected_info["action_mask"]).all()
    assert kinds == set(range(len(game.symmetry_actions)))


@pytest.mark.parametrize("opponent", [None, "random"])
def test_the_same_seed_gives_the_same_games(opponent: Any) -> None:
    environment = BoardGameVectorEnv(
        TicTacToe(), 6, opponent=opponent, seat="random", random_symmetry=True
    )
    runs = [list(random_steps(environment, 20, seed)) for seed in (3, 3, 4)]
    same = [
        all(
            (a == b).all()
            for row, its in zip(run, runs[0], strict=True)
            for a, b in zip(row[:5], its[:5], strict=True)
        )
        for run in runs
    ]
    # In self-play chance only turns the boards, which nobody who looks at them can tell.
    assert same == [True, True, opponent is None]


@pytest.mark.parametrize("opponent", [None, "random"])
def test_the_collector_counts_moves_and_results(opponent: Any) -> None:
    seat = "random" if opponent is None else "second"
    environment = BoardGameVectorEnv(TicTacToe(), 20, opponent=opponent, seat=seat)
    spec = EnvironmentFactory(environment).spec
    assert spec.has_action_mask
    assert spec.num_actions == 9
    collector = Collector(environment, spec, seed=0)
    rows = collector.collect(None, 2_000)
    episodes = collector.take_episodes()
    ended = rows.terminated.sum()
    assert len(episodes) == ended
    lengths = {episode.episode_length for episode in episodes}
    assert lengths <= (set(range(5, 10)) if opponent is None else set(range(2, 5)))
    assert collector.env_steps == (rows.action >= 0).sum() >= 2_000
    mean = np.mean([episode.episode_return for episode in episodes])
    # Random play: .585 + .288 of the games are decided by the mover; as second .288 - .585.
    expected = 0.873 if opponent is None else -0.297
    assert mean == pytest.approx(expected, abs=0.12)


def test_rewards_that_are_not_zero_sum_are_refused_in_self_play() -> None:
    for rewards in itertools.product((1.0, 2.0), (0.0, 0.5), (-1.0,)):
        if rewards == (1.0, 0.0, -1.0):
            BoardGameVectorEnv(TicTacToe(), 1, rewards=rewards)
        else:
            with pytest.raises(ValueError, match="in self-play"):
                BoardGameVectorEnv(TicTacToe(), 1, rewards=rewards)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seat": "third"}, "seat='third': choose first, second or random"),
        ({"seat": "first"}, "seat=first: in self-play the learner has both sides; choose an opp"),
        ({"seat": "second"}, "seat=second: in self-play the learner has both sides"),
        ({"render_mode": "human"}, "render_mode='human': choose ansi or rgb_array"),
        ({"opponent": "strong"}, "opponent='strong': choose random, perfect, search"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoardGameVectorEnv(TicTacToe(), 1, **arguments)


def test_the_picture_does_not_turn_with_the_mover() -> None:
    environment = one_board(render_mode="ansi")
    environment.step(np.array([0]))
    environment.step(np.array([4]))
    assert environment.render()[0] == "X . .\n. O .\n. . ."
    environment.step(np.array([1]))
    assert environment.render()[0] == "X X .\n. O .\n. . ."


def pieces(environment: BoardGameVectorEnv) -> np.ndarray:
    return (environment.game.board(environment.state) != 0).sum(axis=(1, 2))


def test_random_openings_are_of_every_length_up_to_the_longest() -> None:
    environment = BoardGameVectorEnv(TicTacToe(), 4_000, random_plies=3)
    _, info = environment.reset(seed=0)
    counts = np.bincount(pieces(environment), minlength=4)
    np.testing.assert_allclose(counts / 4_000, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 4_000))
    assert (info["seat"] == pieces(environment) % 2).all()
    assert len(np.unique(environment.state, axis=0)) > 300


@pytest.mark.parametrize(("seat", "parities"), [("first", {0}), ("second", {1})])
def test_after_a_random_opening_it_is_the_learners_turn(seat: Any, parities: set[int]) -> None:
    environment = BoardGameVectorEnv(
        TicTacToe(), 2_000, opponent="random", seat=seat, random_plies=6
    )
    _, info = environment.reset(seed=0)
    assert set(pieces(environment) % 2) == parities
    assert set(info["seat"]) == parities
    assert not environment.game.outcome(environment.state).is_over.any()
    assert info["action_mask"].any(axis=1).all()
    assert len(set(pieces(environment))) == 4


def test_an_opening_never_finishes_a_game() -> None:
    environment = BoardGameVectorEnv(Nim(), 500, random_plies=10)
    environment.reset(seed=0)
    assert set(environment.state[:, 0]) == {1, 2, 3, 4}


def test_a_negative_number_of_random_plies_is_refused() -> None:
    with pytest.raises(ValueError, match="random_plies=-1: at least 0"):
        BoardGameVectorEnv(TicTacToe(), random_plies=-1)


# --- games of others


class KeepsItsStart(Nim):
    """Hands out the same boards again and again, which nobody may write to."""

    start = np.broadcast_to(np.full(1, 4), (64, 1))

    def initial_state(self, num_boards: int) -> np.ndarray:
        return self.start[:num_boards]


@pytest.mark.parametrize("random_plies", [0, 1])
def test_the_boards_that_a_game_hands_out_are_left_alone(random_plies: int) -> None:
    game = KeepsItsStart()
    for opponent in (None, "random"):
        boards = BoardGameVectorEnv(game, 3, opponent=opponent, random_plies=random_plies)
        for _ in random_steps(boards, 20):
            assert (game.initial_state(3) == 4).all()


class Grows(Nim):
    """Boards that the first move makes another type of, which holds more."""

    def initial_state(self, num_boards: int) -> np.ndarray:
        return np.full((num_boards, 1), 4, np.int8)

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return (state.astype(np.int64) - action[:, None] - 1) + 0.0


@pytest.mark.parametrize("random_plies", [0, 2])
def test_boards_have_the_type_that_moves_make_of_them(random_plies: int) -> None:
    boards = BoardGameVectorEnv(Grows(), 4, opponent="perfect", random_plies=random_plies)
    for _ in random_steps(boards, 30):
        assert boards.state.dtype == np.float64
