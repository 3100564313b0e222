"""Games that are counted, and what is logged of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.board_runs import board_data, board_module
from support.scripted_opponent import LowestMove

from lightning_dqn.callbacks import Matches
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.matches import Record, play_both_seats, play_matches
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.opponents.search import SearchOpponent
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe
from lightning_dqn.reporting.csv_logger import csv_logger

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


def test_validation_and_test_log_rates_by_opponent_and_seat(
    tmp_path: Path, make_board_trainer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    matches = Matches(["random", "search:2"], games=30)
    trainer = make_board_trainer(logger=csv_logger(tmp_path), callbacks=[matches], max_epochs=2)
    module, data = board_module(), board_data()
    trainer.fit(module, data)
    metrics = trainer.callback_metrics
    rates = {name: float(metrics[name]) for name in metrics if "_rate" in name}
    rates.pop("train/learning_rate")
    assert set(rates) == {
        f"eval/{opponent}/{seat}/{end}_rate"
        for opponent in ("random", "search_2")
        for seat in ("first", "second")
        for end in ("win", "draw", "loss")
    }
    for opponent in ("random", "search_2"):
        for seat in ("first", "second"):
            ends = [rates[f"eval/{opponent}/{seat}/{end}_rate"] for end in ("win", "draw", "loss")]
            assert sum(ends) == pytest.approx(1.0)
            assert all(end * 30 == pytest.approx(round(end * 30)) for end in ends)
    assert rates["eval/random/first/win_rate"] > rates["eval/search_2/first/win_rate"]
    assert "against" not in capsys.readouterr().out
    [results] = trainer.test(module, data, verbose=False)
    assert "test/search_2/second/loss_rate" in results
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if "against" in line]
    assert len(lines) == 2
    assert "tictactoe against random, 30 games in either seat: first" in lines[0]
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert "eval/random/first/win_rate" in header


def test_validations_use_the_same_chance_and_a_test_another(make_board_trainer: Any) -> None:
    module, data = board_module(), board_data()
    trainer = make_board_trainer(callbacks=[Matches(["random"], games=100)])
    first, again = (trainer.validate(module, data, verbose=False)[0] for _ in range(2))
    test = trainer.test(module, data, verbose=False)[0]
    names = [name for name in first if name.endswith("_rate")]
    assert len(names) == 6
    assert [first[name] for name in names] == [again[name] for name in names]
    tested = [test[name.replace("eval/", "test/")] for name in names]
    assert tested != [first[name] for name in names]
    assert tested == pytest.approx([first[name] for name in names], abs=0.25)


def test_a_period_in_epochs_is_kept(make_board_trainer: Any) -> None:
    played = []

    class Noting(Matches):
        def measure(self, trainer: Any, agent: Any) -> Any:
            played.append(trainer.current_epoch)
            return super().measure(trainer, agent)

    matches = Noting(["random"], games=2, every_n_epochs=2)
    trainer = make_board_trainer(callbacks=[matches], max_epochs=4, num_sanity_val_steps=1)
    trainer.fit(board_module(), board_data())
    assert played == [1, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"games": 0}, "games=0: at least 1"),
        ({"every_n_epochs": 0}, "every_n_epochs=0: at least 1"),
        ({"opponents": ["random", RandomOpponent()]}, "two have the same name"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Matches(**arguments)


def test_another_environment_is_refused(
    make_board_trainer: Any, make_module: Any, make_data: Any
) -> None:
    with pytest.raises(ValueError, match="Matches: CartPole-v1 isn't a board game"):
        make_board_trainer(callbacks=[Matches()]).fit(make_module(), make_data())
