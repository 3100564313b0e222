"""The best, the median and the worst episodes of settings."""

import shutil
from pathlib import Path

import pytest
from support.reported_runs import make_run, make_sweep
from support.short_runs import small_run

from lightning_dqn.report import episodes
from lightning_dqn.report.boards import board_episodes, is_board_game
from lightning_dqn.report.episodes import episodes_of
from lightning_dqn.report.gather import gather

BOARDS = ("environment.id=lightning_dqn/TicTacToe-v0", "+environment.kwargs.opponent=random")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("boards") / "run"
    small_run(folder, *BOARDS)
    return folder


@pytest.fixture
def board_run(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_a_board_game_is_played_and_written_as_text(board_run):
    [setting] = gather([board_run]).settings
    assert is_board_game(setting.runs[0])
    found = board_episodes(setting.runs[0])
    assert [one.which for one in found] == ["best", "median", "worst"]
    assert found[0].episode.episode_return >= found[-1].episode.episode_return
    for one in found:
        assert one.boards[0].count(".") >= 8
        assert all(len(board.splitlines()) == 3 for board in one.boards)
        assert len(one.boards) == one.episode.episode_length + 1


def test_the_same_run_plays_the_same_episodes(board_run):
    [setting] = gather([board_run]).settings
    assert board_episodes(setting.runs[0]) == board_episodes(setting.runs[0])


def test_videos_come_before_boards(board_run):
    (board_run / "videos").mkdir()
    (board_run / "videos" / "env_step_000000300_best_return_1.gif").write_bytes(b"GIF89a")
    [one], notes = episodes_of(gather([board_run]))
    assert [video.which for video in one.videos] == ["best"]
    assert (one.boards, notes) == ((), [])
    assert one.of == "Of run, filmed with the weights of env step 300."


def test_a_game_that_cannot_be_played_any_more_is_told_in_a_line(board_run):
    (board_run / "module.safetensors").write_bytes(b"damaged")
    [one], [note] = episodes_of(gather([board_run]))
    assert one.boards == ()
    assert "no boards: " in note
    assert "\n" not in note


def test_other_environments_are_not_played(tmp_path, monkeypatch):
    monkeypatch.setattr(episodes, "board_episodes", lambda run: pytest.fail("it was played"))
    [one], notes = episodes_of(gather([make_run(tmp_path)]))
    assert (one.boards, notes) == ((), [])


def test_without_videos_runs_are_ranked_and_it_says_how_to_film(tmp_path):
    [one], _ = episodes_of(gather([make_sweep(tmp_path, {"lr=1": [1, 3, 2]})]))
    assert [row[:3] for row in one.table.rows] == [
        ["Best", "1", "3.000"],
        ["Median", "2", "2.000"],
        ["Worst", "0", "1.000"],
    ]
    assert f"lightning_dqn record {tmp_path}/lr=1,seed=2 output=" in one.of


def test_logged_percentiles_tell_the_episodes_of_the_last_validation(tmp_path):
    run = make_run(tmp_path)
    head = "time/env_steps,eval/return_p0,eval/return_p50,eval/return_p100"
    (run / "metrics.csv").write_text(f"{head}\n1,0,0,0\n2,-1,5,9\n")
    [one], _ = episodes_of(gather([run]))
    assert one.table.rows == [["0", "9.000", "5.000", "-1.000"]]


def test_an_unfinished_run_without_any_has_none(tmp_path):
    assert episodes_of(gather([make_run(tmp_path, is_finished=False)])) == ([], [])
