"""What a callback may not go by where returns don't tell which policy is the better one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from support.board_runs import ID, board_data, board_module

from lightning_dqn import EnvironmentFactory
from lightning_dqn.callbacks import PromotePastSelf
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.learning.monitors import check_monitors
from lightning_dqn.reporting.glossary import best_is

AGAINST_RANDOM = EnvironmentFactory(ID, kwargs={"opponent": "random"})


@pytest.mark.parametrize(
    "kind",
    [
        lambda key: EarlyStopping(key, mode="max"),
        lambda key: ModelCheckpoint(monitor=key, mode="max"),
    ],
)
@pytest.mark.parametrize(
    "key", ["eval/episode_return", "eval/return_p50", "rollout/episode_return"]
)
def test_returns_of_self_play_are_refused(kind: Any, key: str) -> None:
    with pytest.raises(ValueError, match=r"\(monitor='.*sum of both.*data\.evaluation\.environ"):
        check_monitors([kind(key)], board_data())
    check_monitors([kind(key)], board_data(opponent="random"))


def test_what_tells_of_one_side_may_be_gone_by() -> None:
    for key in (
        "eval/mean_regret",
        "eval/random/first/win_rate",
        "train/loss",
        "eval/episode_length",
    ):
        mode = best_is(key) or "min"
        callbacks = [EarlyStopping(key, mode=mode), ModelCheckpoint(monitor=key, mode=mode)]
        check_monitors(callbacks, board_data())
    check_monitors([ModelCheckpoint()], board_data())
    against_random = board_data(evaluation=AGAINST_RANDOM)
    check_monitors([EarlyStopping("eval/episode_return", mode="max")], against_random)
    with pytest.raises(ValueError, match="rollout/episode_return is the sum"):
        check_monitors([EarlyStopping("rollout/episode_return")], against_random)


def test_one_that_keeps_nothing_and_other_data_are_nobodys_concern() -> None:
    nothing = ModelCheckpoint(monitor="eval/episode_return", save_top_k=0)
    check_monitors([nothing], board_data())
    check_monitors([EarlyStopping("eval/episode_return", mode="max")], SimpleNamespace())


@pytest.mark.parametrize(
    ("key", "worst", "best"),
    [
        ("eval/episode_return", "min", "max"),
        ("eval/return_p10", "min", "max"),
        ("eval/random/first/win_rate", "min", "max"),
        ("eval/mean_regret", "max", "min"),
    ],
)
def test_the_worst_of_a_metric_is_not_taken_for_its_best(key: str, worst: str, best: str) -> None:
    """Lightning's default is ``min``, by which the worst checkpoint would be the best."""
    for callback in (EarlyStopping(key, mode=worst), ModelCheckpoint(monitor=key, mode=worst)):
        with pytest.raises(ValueError, match=f"mode='{worst}'.*pass mode='{best}'"):
            check_monitors([callback], SimpleNamespace())
    check_monitors([EarlyStopping("train/loss", mode="max")], SimpleNamespace())


@pytest.mark.parametrize("kept", [2, -1])
def test_several_checkpoints_are_not_kept_in_one_file(kept: int) -> None:
    """Lightning overwrites the best one of them with whatever is saved next."""
    asked: dict[str, Any] = {"monitor": "eval/episode_return", "mode": "max", "save_top_k": kept}
    one_file = ModelCheckpoint(filename="best", enable_version_counter=False, **asked)
    with pytest.raises(ValueError, match=rf"save_top_k={kept}, filename='best'\): keeps one file"):
        check_monitors([one_file], SimpleNamespace())
    for named in ({"filename": "best"}, {"filename": "{epoch}"}, {"filename": None}):
        check_monitors([ModelCheckpoint(**named, **asked)], SimpleNamespace())
    asked["save_top_k"] = 1
    one_file = ModelCheckpoint(filename="best", enable_version_counter=False, **asked)
    check_monitors([one_file], SimpleNamespace())


def test_a_fit_that_goes_by_them_is_refused(make_board_trainer: Any) -> None:
    trainer = make_board_trainer(callbacks=[EarlyStopping("eval/episode_return", mode="max")])
    with pytest.raises(ValueError, match="sum of both sides' rewards"):
        trainer.fit(board_module(), board_data())


def test_returns_against_a_pool_that_grows_are_refused(make_board_trainer: Any) -> None:
    callbacks = [PromotePastSelf(games=2), EarlyStopping("eval/episode_return", mode="max")]
    with pytest.raises(ValueError, match="PastSelves, which get stronger during the run"):
        make_board_trainer(callbacks=callbacks).fit(
            board_module(), board_data(opponent=PastSelves())
        )
    make_board_trainer(callbacks=callbacks, max_epochs=1).fit(
        board_module(), board_data(opponent=PastSelves(), evaluation=AGAINST_RANDOM)
    )
