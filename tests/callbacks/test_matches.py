"""Games after each evaluation: when they are played, and what is logged of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.board_runs import board_data, board_module

from lightning_dqn.callbacks import Matches
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.reporting.csv_logger import csv_logger


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


@pytest.mark.parametrize(
    ("every_n_epochs", "check_val_every_n_epoch", "expected"),
    [(2, 1, [1, 3, 5]), (2, 2, [1, 3, 5]), (3, 2, [5])],
)
def test_a_period_in_epochs_is_kept(
    every_n_epochs: int, check_val_every_n_epoch: int, expected: list[int], make_board_trainer: Any
) -> None:
    played = []

    class Noting(Matches):
        def measure(self, trainer: Any, agent: Any) -> Any:
            played.append(trainer.current_epoch)
            return super().measure(trainer, agent)

    matches = Noting(["random"], games=2, every_n_epochs=every_n_epochs)
    trainer = make_board_trainer(
        callbacks=[matches],
        max_epochs=6,
        check_val_every_n_epoch=check_val_every_n_epoch,
        num_sanity_val_steps=1,
    )
    trainer.fit(board_module(), board_data())
    assert played == expected


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
