"""The strength dial: what a temperature is worth, and the temperature that a score asks for."""

import math

import numpy as np
import pytest
import torch
from support.board_agents import TREE, taught_tictactoe, untrained, untrained_connect_four

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.play.strength import (
    SampledGames,
    Strength,
    calibrate,
    move_probabilities,
    strength_for,
    temperature_for,
    value_scale,
)
from lightning_dqn.games.tictactoe import TicTacToe


@pytest.fixture(scope="module")
def strengths() -> list[Strength]:
    return calibrate(taught_tictactoe(), TicTacToe())


def exact_score(temperature: float, opponent: np.ndarray) -> float:
    """Return the mean over both seats of wins + draws / 2, by the tree itself."""
    values = taught_tictactoe().q_values(TREE.game.encode(TREE.state)).double().numpy()
    agent = move_probabilities(values, TREE.legal, temperature)
    first, second = TREE.play(agent, opponent), TREE.play(opponent, agent)
    return (first.win + first.draw / 2 + second.loss + second.draw / 2) / 2


def test_probabilities_are_the_softmax_over_legal_moves():
    q_values = np.array([[1.0, 3.0, 2.0]])
    legal = np.array([[True, False, True]])
    chance = move_probabilities(q_values, legal, 0.5)
    expected = 1 / (1 + math.exp(-2))
    np.testing.assert_allclose(chance, [[1 - expected, 0, expected]])


def test_at_zero_the_best_legal_moves_share_and_at_infinity_all_do():
    q_values = np.array([[1.0, 9.0, 2.0, 2.0]])
    legal = np.array([[True, False, True, True]])
    np.testing.assert_allclose(move_probabilities(q_values, legal, 0.0), [[0, 0, 0.5, 0.5]])
    third = 1 / 3
    np.testing.assert_allclose(
        move_probabilities(q_values, legal, math.inf), [[third, 0, third, third]]
    )


def test_a_cold_temperature_neither_overflows_nor_differs_from_the_limit():
    q_values = np.array([[1e4, -1e4, 9e3]])
    chance = move_probabilities(q_values, np.ones((1, 3), bool), 1e-9)
    np.testing.assert_array_equal(chance, [[1, 0, 0]])


def test_a_position_without_moves_has_no_probabilities():
    chance = move_probabilities(np.ones((1, 3)), np.zeros((1, 3), bool), 0.0)
    np.testing.assert_array_equal(chance, np.zeros((1, 3)))


@pytest.mark.parametrize("temperature", [-0.1, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        move_probabilities(np.ones((1, 3)), np.ones((1, 3), bool), temperature)


def test_the_table_goes_from_best_moves_to_random_ones_and_never_turns_back(strengths):
    temperatures = [strength.temperature for strength in strengths]
    scores = [strength.score for strength in strengths]
    assert temperatures[0] == 0
    assert temperatures[-1] == math.inf
    assert temperatures == sorted(temperatures)
    assert scores == sorted(scores, reverse=True)
    assert max(-np.diff(scores)) < 0.01
    for strength in strengths:
        assert strength.win + strength.draw + strength.loss == pytest.approx(1)


def test_the_ends_are_exact_for_tictactoe(strengths):
    # Two random players: the one who begins wins 0.5849, the other 0.2881, and 0.1270 are drawn.
    random = strengths[-1]
    assert random.win == pytest.approx((0.584921 + 0.288095) / 2, abs=1e-5)
    assert random.draw == pytest.approx(0.126984, abs=1e-5)
    best = strengths[0]
    assert best.score == pytest.approx(exact_score(0, TREE.random_policy()))
    assert best.score > 0.9
    assert best.against_perfect is not None
    assert best.against_perfect.win == pytest.approx(0)


def test_results_against_the_perfect_player_are_the_trees(strengths):
    perfect = TREE.greedy_policy(np.nan_to_num(TREE.self_play_values()), tolerance=1e-9)
    strength = strengths[len(strengths) // 2]
    assert strength.against_perfect is not None
    score = strength.against_perfect.win + strength.against_perfect.draw / 2
    assert score == pytest.approx(exact_score(strength.temperature, perfect))


@pytest.mark.parametrize("score", [0.55, 0.62, 0.75, 0.8, 0.9, 0.93])
def test_a_requested_score_is_met_within_a_point(score, strengths):
    temperature = temperature_for(strengths, score)
    assert exact_score(temperature, TREE.random_policy()) == pytest.approx(score, abs=0.01)
    assert strength_for(strengths, score).score == pytest.approx(score, abs=1e-9)


def test_a_score_beyond_the_ends_is_the_end(strengths):
    assert temperature_for(strengths, 1.0) == 0
    assert temperature_for(strengths, 0.0) == math.inf


def test_an_agent_worse_than_random_has_a_dial_too():
    taught = taught_tictactoe()

    class Contrary:
        def q_values(self, observation: np.ndarray) -> torch.Tensor:
            return -taught.q_values(observation)

    strengths = calibrate(Contrary(), TicTacToe())
    scores = [strength.score for strength in strengths]
    assert scores == sorted(scores)
    assert scores[0] < 0.2
    middle = (scores[0] + scores[-1]) / 2
    assert 0 < temperature_for(strengths, middle) < math.inf


def test_an_agent_without_opinions_is_random_at_every_temperature():
    class Indifferent:
        def q_values(self, observation: np.ndarray) -> torch.Tensor:
            return torch.zeros(len(observation), 9)

    strengths = calibrate(Indifferent(), TicTacToe())
    assert len({round(strength.score, 9) for strength in strengths}) == 1
    assert temperature_for(strengths, 0.9) == 0


def test_every_encoding_of_the_board_is_taken():
    module = untrained((18,), 9, "tictactoe")
    strengths = calibrate(module, TicTacToe("planes"))
    assert strengths[-1].draw == pytest.approx(0.126984, abs=1e-5)


def test_connect_four_is_sampled_with_the_same_games_for_the_same_seed():
    sampled = SampledGames(games=60, seed=3, temperatures=4)
    module = untrained_connect_four()
    strengths = calibrate(module, ConnectFour(), sampled)
    assert strengths == calibrate(module, ConnectFour(), sampled)
    scores = [strength.score for strength in strengths]
    assert scores in (sorted(scores), sorted(scores, reverse=True))
    assert {strength.games for strength in strengths} == {60}
    assert strengths[0].against_perfect is None
    random = calibrate(module, ConnectFour(), SampledGames(games=4000, temperatures=2))[-1]
    assert random.score == pytest.approx(0.5, abs=0.03)  # 3.8 standard errors


def test_sampled_games_agree_with_exact_ones(monkeypatch, strengths):
    monkeypatch.setattr("lightning_dqn.games.play.strength.MOST_POSITIONS", 10)
    sampled = SampledGames(games=4000, temperatures=3)
    counted = calibrate(taught_tictactoe(), TicTacToe(), sampled)
    for place in (0, -1):
        assert counted[place].score == pytest.approx(strengths[place].score, abs=0.03)


def test_the_value_scale_is_that_of_legal_moves():
    class TwoWhereEmpty:
        def q_values(self, observation: np.ndarray) -> torch.Tensor:
            return torch.where(torch.as_tensor(observation) == 0, -2.0, 100.0)

    assert value_scale(TwoWhereEmpty(), TicTacToe()) == 2
    assert value_scale(untrained_connect_four(), ConnectFour()) > 0
