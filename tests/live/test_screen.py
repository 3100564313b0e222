"""The whole screen, in any size: every line as wide as the terminal, what was chosen on it."""

import re
from dataclasses import replace

import pytest
from support.live_states import running_state

from lightning_dqn.live.choice import PANES, PLOTS, Choice
from lightning_dqn.live.screen import draw, table
from lightning_dqn.live.state import State

SIZES = [(80, 24), (100, 30), (120, 40), (211, 67)]


def shown(choice=None, *, state=None, width=80, height=24, colour=False):
    state = running_state() if state is None else state
    return draw(state, choice or Choice(), width, height, colour=colour)


@pytest.mark.parametrize(("width", "height"), [*SIZES, (79, 24), (80, 23), (5, 2), (1, 1)])
@pytest.mark.parametrize("pane", PANES)
@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("state", [State(), running_state()], ids=["empty", "running"])
def test_the_screen_fills_the_terminal_exactly(width, height, pane, plot, state):
    lines = shown(Choice(pane=pane, plot=plot), state=state, width=width, height=height)
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_colours_change_no_character(width, height):
    plain = shown(width=width, height=height)
    coloured = shown(width=width, height=height, colour=True)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plain
    assert coloured != plain


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_status_metrics_plot_and_progress_are_always_there(width, height):
    text = "\n".join(shown(width=width, height=height))
    for told in (
        "cartpole", "cpu", "training", "3 of 10", "12,500 of 50,000", "1,500", "12% full",
        "1.25k env steps/s", "00:30", "eval/episode_return", "150", "180", "[whole]", "q quit",
        "epsilon", "epoch", "50%", "25%",
    ):  # fmt: skip
        assert told in text, told


def test_a_small_terminal_is_told_how_large_it_must_be():
    assert "at least 80x24" in "\n".join(shown(width=79, height=24))


def test_the_chosen_pane_has_the_room():
    environment = shown(Choice(pane="environment"))
    assert any("▸ environment 0" in line for line in environment)
    assert any("X . O" in line for line in environment)
    assert any("another one" in line for line in shown(Choice(pane="log")))


def test_a_tall_terminal_shows_all_panes_at_once():
    text = "\n".join(shown(width=120, height=40))
    for told in ("X . O", "another one", "[whole]", "hyper-parameters", "+0.01 at env step"):
        assert told in text


@pytest.mark.parametrize(("width", "height"), [(120, 35), (200, 50)])
def test_a_picture_of_six_rows_is_whole_with_the_values_of_its_actions(width, height):
    state = running_state()
    board = [[(f"row {number}", "")] for number in range(6)]
    state.glance = state.glance._replace(picture=board)
    text = "\n".join(shown(state=state, width=width, height=height))
    for told in (*(f"row {number}" for number in range(6)), "▸   2", "another one", "[whole]"):
        assert told in text, told


def test_where_a_picture_is_wide_values_stand_below_it():
    state = running_state()
    state.glance = state.glance._replace(picture=[[("#" * 60, "")]] * 40)
    lines = shown(Choice(pane="environment"), state=state, width=120, height=35)
    [best] = [number for number, line in enumerate(lines) if "▸   2" in line]
    assert "#" * 60 in lines[best - 3]
    assert "#" not in lines[best]


def test_hyper_parameters_take_no_more_lines_than_they_have():
    state = replace(running_state(), changed=[f"change {number}" for number in range(9)])
    text = "\n".join(shown(state=state, width=120, height=40))
    assert [f"change {number}" in text for number in range(9)] == [False] * 4 + [True] * 5
    lines = shown(state=replace(state, changed=[]), width=120, height=40)
    [first] = [number for number, line in enumerate(lines) if "hyper-parameters" in line]
    assert lines[first + 3].startswith("└")


def test_a_line_of_the_log_that_is_too_long_gives_up_its_columns_before_it_is_broken():
    long = "env steps     12,500 | evaluation return    1.0 ± 0.0"
    state = replace(running_state(), log=["a    table", long, "x" * 50])
    text = "\n".join(shown(Choice(pane="log"), state=state))
    for told in ("a    table", "env steps 12,500 | evaluation", "x" * 34 + "│"):
        assert told in text, told


def test_values_of_actions_mark_the_best_legal_one():
    lines = shown(Choice(pane="environment"))
    [best] = [line for line in lines if "▸   2" in line]
    assert "3" in best
    assert "█" in best
    [illegal] = [line for line in lines if re.search(r"  1 +- ", line)]
    assert "1.25" not in illegal


def test_the_question_how_to_end_stands_above_all():
    text = "\n".join(shown(Choice(asks_to_stop=True)))
    assert "stop now" in text
    assert "go on" in text


def test_a_plot_of_seeds_says_where_there_are_none():
    state = running_state()
    chosen = Choice(metric="train/loss", plot="seeds")
    assert "no other seed" not in "\n".join(shown(chosen))
    state.bands = {}
    assert "no other seed" in "\n".join(shown(chosen, state=state))


def test_a_metric_below_the_table_s_edge_is_scrolled_to():
    state = running_state()
    for number in range(60):
        state.history.add({f"network/weight_norm/{number:02}": 1.0}, 1)
    last = state.history.names()[-1]
    text = "\n".join(shown(Choice(metric=last), state=state))
    assert re.search(r"│network…\w*norm/59", text)
    assert text.count("norm/59") == 2
    assert "eval/" not in text


def test_the_last_table_has_every_metric():
    lines = table(running_state(), 200)
    assert lines[0].split() == ["metric", "last", "mean", "best"]
    assert lines[1].split() == ["eval/episode_return", "150", "165", "180"]
    assert len(lines) == 4


def test_a_run_without_end_has_no_time_left():
    state = replace(running_state(), total_env_steps=None, epochs=None)
    assert "∞" in "\n".join(shown(state=state))
