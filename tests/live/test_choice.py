"""What keys make of what is shown, and what they ask for."""

import pytest

from lightning_dqn.live.choice import Choice, Request, press

METRICS = ["a", "b", "c"]
TUNABLE = ["epsilon", "learning rate"]


def after(*keys, choice=None):
    choice, request = choice or Choice(), None
    for key in keys:
        choice, request = press(choice, key, METRICS, TUNABLE)
    return choice, request


def test_arrows_go_through_metrics_and_plots_and_come_round():
    assert after("right")[0].metric == "b"
    assert after("right", "left")[0].metric == "a"
    assert after("left")[0].metric == "c"
    assert [after(*["down"] * n)[0].plot for n in range(5)] == [
        "whole",
        "recent",
        "distribution",
        "seeds",
        "whole",
    ]
    assert after("up")[0].plot == "seeds"


def test_tab_goes_through_panes():
    assert [after(*["tab"] * n)[0].pane for n in range(4)] == ["plot", "environment", "log", "plot"]
    assert after("back-tab")[0].pane == "log"


@pytest.mark.parametrize(("key", "what"), [("s", "save"), ("e", "evaluate"), ("p", "pause")])
def test_letters_ask_the_training_thread(key, what):
    assert after(key)[1] == Request(what)


def test_plus_and_minus_change_the_chosen_hyper_parameter():
    assert after("+")[1] == Request("change", "epsilon", 1)
    assert after("h", "-")[1] == Request("change", "learning rate", -1)
    assert press(Choice(), "+", METRICS, [])[1] is None


@pytest.mark.parametrize(
    ("key", "request_"),
    [
        ("s", Request("stop")),
        ("n", Request("stop now")),
        ("c", None),
        ("escape", None),
        ("q", None),
    ],
)
def test_q_asks_how_to_end_and_one_key_answers(key, request_):
    choice, request = after("q")
    assert choice.asks_to_stop
    assert request is None
    choice, request = after(key, choice=choice)
    assert not choice.asks_to_stop
    assert request == request_


def test_keys_that_mean_nothing_change_nothing():
    assert after("x") == (Choice(), None)


def test_no_metric_is_no_fault():
    assert press(Choice(), "right", [], [])[0] == Choice()
