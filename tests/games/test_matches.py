"""Games that are played and counted."""

from __future__ import annotations

import numpy as np
import pytest
from support.scripted_opponent import LowestMove

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.matches import Record, play_both_seats, play_matches
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.opponents.search import SearchOpponent
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def test_counts_agree_with_exact_probabilities() -> None:
    tree = GameTree.of(GAME)
    random, generator = RandomOpponent(), np.random.default_rng(0)
    record = play_matches(GAME, random, random, 20_000, generator)
    exact = tree.play(tree.random_policy(), tree.random_policy())
    assert record.games == 20_000
    assert np.array(record) / 20_000 == pytest.approx([exact.win, exact.draw, exact.loss], abs=0.01)
    perfect = PerfectOpponent(GAME)
    records = play_both_seats(GAME, perfect, random, 5_000, generator)
    policy = tree.greedy_policy(tree.self_play_values(), 1e-9)
    exact = tree.play(policy, tree.random_policy())
    assert records.first.rates["win_rate"] == pytest.approx(exact.win, abs=0.02)
    exact = tree.play(tree.random_policy(), policy)
    assert records.second.rates["win_rate"] == pytest.approx(exact.loss, abs=0.02)
    assert records.total.losses == 0


def test_the_record_is_that_of_the_player_who_begins() -> None:
    """Both make the lowest legal move: 0, 1, 2, ... so the first has 2, 4, 6 after seven."""
    lowest, generator = LowestMove(), np.random.default_rng(0)
    assert play_matches(GAME, lowest, lowest, 3, generator) == Record(wins=3)
    records = play_both_seats(GAME, lowest, LowestMove(), 3, generator)
    assert records == (Record(wins=3), Record(losses=3))
    assert records.total == Record(wins=3, losses=3)
    # In Connect Four the second wins as surely if it alone looks ahead.
    record = play_matches(ConnectFour(), lowest, SearchOpponent(4), 20, generator)
    assert record.losses > 15


def test_each_player_is_asked_on_its_own_turns() -> None:
    first, second = LowestMove(), LowestMove()
    play_matches(GAME, first, second, 1, np.random.default_rng(0))
    pieces = [[int(GAME.board(s)[0].astype(bool).sum()) for s in p.seen] for p in (first, second)]
    assert pieces == [[0, 2, 4, 6], [1, 3, 5]]


@pytest.mark.parametrize("random_plies", [1, 2, 3])
def test_random_openings_leave_the_rest_to_the_players(random_plies: int) -> None:
    first, second = LowestMove(), LowestMove()
    play_matches(GAME, first, second, 300, np.random.default_rng(0), random_plies=random_plies)
    asked = {True: first, False: second}[random_plies % 2 == 0]
    boards = GAME.board(asked.seen[0])
    assert (boards != 0).sum(axis=(1, 2)).tolist() == [random_plies] * 300
    assert len(np.unique(boards, axis=0)) == [9, 72, 252][random_plies - 1] or random_plies == 3


def test_openings_may_end_games() -> None:
    record = play_matches(
        GAME, LowestMove(), LowestMove(), 500, np.random.default_rng(0), random_plies=9
    )
    assert record.games == 500
    assert min(record) > 20


def test_no_games_are_refused() -> None:
    with pytest.raises(ValueError, match="games=0: at least 1"):
        play_matches(GAME, LowestMove(), LowestMove(), 0, np.random.default_rng(0))


def test_a_record_reads_with_its_interval() -> None:
    assert str(Record(90, 10, 0)) == (
        "90.0% won [82.6%, 94.5%], 10.0% drawn [5.5%, 17.4%], 0.0% lost [0.0%, 3.7%]"
    )


def test_a_second_player_sees_the_records_turned() -> None:
    """The first's losses are the second's wins."""
    generator = np.random.default_rng(0)
    record = play_matches(GAME, PerfectOpponent(GAME), RandomOpponent(), 200, generator)
    assert record.turned().losses == record.wins > 150
