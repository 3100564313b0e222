"""What environments show: one of several is drawn, and what can't be is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.shown_env import ShownEnv, UndrawnEnv, color

from lightning_dqn.environments.drawing import (
    check_gives_pictures,
    draw,
    modes_text,
    render_fps,
    render_modes,
)
from lightning_dqn.environments.factory import EnvironmentFactory


def made(environment: Any, number: int = 3, mode: str = "rgb_array") -> Any:
    environments = EnvironmentFactory(environment, kwargs={"render_mode": mode}).make(number)
    environments.reset(seed=3)
    return environments


def test_one_of_those_stepped_in_turn_is_drawn_and_no_other(monkeypatch):
    drawn: list[Any] = []
    render = ShownEnv.render
    monkeypatch.setattr(ShownEnv, "render", lambda env: drawn.append(env) or render(env))
    environments = made(ShownEnv)
    environments.step(np.zeros(3, np.int64))
    assert tuple(draw(environments, [1], "x")[0][0, 0]) == color(1)
    assert drawn == [environments.envs[1].unwrapped]


def test_one_of_a_native_environment_is_picked():
    boards = made("lightning_dqn/TicTacToe-v0", mode="ansi")
    boards.step(np.array([0, 4, 8]))
    assert [shown.split().index("X") for shown in draw(boards, [2, 0], "x")] == [8, 0]


def test_what_is_missing_to_draw_is_named_in_one_line():
    with pytest.raises(ValueError, match=r"^Undrawn can't be shown: pygame is not installed, run"):
        draw(made(UndrawnEnv), [0], "Undrawn")


def test_an_environment_without_pictures_is_refused_with_the_modes_it_has():
    environment = EnvironmentFactory("lightning_dqn/Torus-v0").make(1)
    with pytest.raises(ValueError, match=r"^Torus gives no pictures .*: it has no render mode"):
        check_gives_pictures(environment, "Torus")
    check_gives_pictures(made(ShownEnv), "Shown")


def test_modes_and_pace_are_those_of_the_metadata():
    assert render_modes(made(ShownEnv)) == ["ansi", "rgb_array"]
    assert render_fps(made(ShownEnv)) == 5
    assert render_fps(EnvironmentFactory("lightning_dqn/Torus-v0").make(1)) is None


def test_render_modes_are_told_in_words():
    assert modes_text(["ansi", "human"]) == "its render modes are ansi, human"
    assert modes_text([]) == "it has no render mode at all"
