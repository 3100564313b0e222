"""A window, or text where there is none: in a terminal and in a pipe."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.shown_env import FakeRun, ShownEnv

from lightning_dqn.runs.finished import watching
from lightning_dqn.runs.finished.options import WatchOptions
from lightning_dqn.runs.finished.showing import Stage
from lightning_dqn.runs.finished.watching import rows_taken, watch

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class PlainEnv(ShownEnv):
    """Shows nothing."""

    metadata = {"render_modes": []}  # noqa: RUF012


class WindowEnv(ShownEnv):
    """Would open a window."""

    metadata = {"render_modes": ["human", "ansi"], "render_fps": 5}  # noqa: RUF012
    opened: list[dict[str, Any]] = []  # noqa: RUF012
    fails: str | None = None

    def reset(self, **kwargs: Any) -> Any:
        if self.render_mode == "human":
            if self.fails is not None:
                raise RuntimeError(self.fails)
            self.opened.append(self.metadata)
        return super().reset(**kwargs)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, in place of it."""
    found: list[float] = []
    monkeypatch.setattr(watching.time, "sleep", found.append)
    return found


@pytest.fixture
def on_screen(monkeypatch):
    """A display is there, as far as the environment's variables tell."""
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(WindowEnv, "opened", [])


def shown(environment: Any = ShownEnv, out: io.StringIO | None = None, **changed: Any) -> str:
    out = out or io.StringIO()
    run: Any = FakeRun(environment)
    how = {"episodes": 1, "seed": 3, "text": True, **changed}
    watch(run, WatchOptions(run="fake", **how), out)
    return out.getvalue()


def test_in_a_pipe_frames_follow_each_other_and_nobody_waits(pauses):
    text = shown(episodes=2)
    assert "\x1b" not in text
    assert not any(pauses)
    first, second = re.split(r"(?<=env steps)\n", text.strip("\n"))
    assert first.startswith("episode 1, seed 3\nat 0\n\nat 1\nstep 1  action ")
    last = int(re.findall(r"^at (\d+)$", first, re.M)[-1])
    assert re.findall(r"^at (\d+)$", first, re.M) == [str(time) for time in range(last + 1)]
    total = re.findall(r"return ([\d.]+)  Q-values", first)[-1]
    assert first.endswith(f"episode 1: return {total}, {last} env steps")
    assert second.startswith("episode 2, seed ")
    assert "seed 3\n" not in second


def test_in_a_terminal_each_frame_takes_the_place_of_the_last_at_the_environments_pace(pauses):
    out = Terminal()
    text = shown(out=out)
    assert set(pauses) == {1 / 5}
    header, *frames = re.split("\x1b\\[\\d+F\x1b\\[J", text)
    assert header == "episode 1, seed 3\nat 0\n"
    assert [frame.split("\n")[0] for frame in frames] == [f"at {n + 1}" for n in range(len(frames))]
    assert re.findall("\x1b\\[(\\d+)F", text) == ["1"] + ["2"] * (len(frames) - 1)
    assert frames[-1].endswith("env steps\n"), "the last frame stays, and what it came to follows"


def test_the_next_episode_leaves_the_last_frame_of_the_one_before():
    text = shown(out=Terminal(), episodes=2)
    end, begin = text.index("episode 1: return"), text.index("episode 2, seed")
    assert text[end:begin].count("\n") == 1
    second = text[begin:]
    assert second.index("at 0") < second.index("\x1b")


@pytest.mark.parametrize(("fps", "pause"), [(None, 1 / 5), (20.0, 1 / 20)])
def test_fps_is_the_environments_or_the_one_given(fps, pause, pauses):
    shown(out=Terminal(), fps=fps)
    assert set(pauses) == {pause}


def test_without_text_of_its_own_there_is_a_line_for_each_step():
    out = Terminal()
    text = shown(PlainEnv, out)
    assert "\x1b" not in text, "lines follow each other, in a terminal too"
    _, *steps, _ = text.splitlines()
    value = r"-?\d[\d.e+-]*"
    values = f"Q-values {value} {value}"
    for number, line in enumerate(steps, start=1):
        pattern = rf"step {number}  action [01]  reward {value}  return {value}  {values}"
        assert re.fullmatch(pattern, line), line


def test_the_values_are_those_that_the_action_was_chosen_by():
    run = FakeRun(PlainEnv)
    agent = run.agent_for(run.environment())
    _, *steps, _ = shown(PlainEnv).splitlines()
    moments = [*Stage(run.environment(), agent).play(3)][1:]
    for line, moment in zip(steps, moments, strict=True):
        values = agent.q_values(moment.observation)[0].tolist()
        assert line.endswith("Q-values " + " ".join(f"{v:.3g}" for v in values))
        assert f"action {np.argmax(values)} " in line


def test_a_board_is_shown_with_the_values_of_legal_moves_alone():
    text = shown("lightning_dqn/TicTacToe-v0", text=False)
    assert text.startswith(
        "lightning_dqn/TicTacToe-v0 has no window of its own (its render modes are ansi, "
        "rgb_array); shown as text\n"
    )
    second = text.split("step 2")[1].split("\n")[0]
    assert second.count(" -") - second.count(" -0") - second.count(" -1") == 1, second


def test_a_cut_episode_says_where_and_what_to_do():
    last = shown(max_episode_steps=2).splitlines()[-1]
    assert last.endswith("2 env steps, cut there; max_episode_steps=N sets where")


def test_without_a_display_it_says_so_and_shows_text(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    text = shown(WindowEnv, text=False)
    first, second, *_ = text.splitlines()
    assert first == (
        "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set); shown as text"
    )
    assert second == "episode 1, seed 3"
    assert "at 0" in text


@pytest.mark.usefixtures("on_screen")
def test_with_a_display_the_environment_draws_in_its_own_window():
    text = shown(WindowEnv, text=False)
    assert re.fullmatch(r"episode 1, seed 3\nepisode 1: return [\d.]+, \d env steps\n", text)
    assert len(WindowEnv.opened) == 2, "to see whether it opens, and for the episode"


@pytest.mark.usefixtures("on_screen")
def test_fps_is_what_the_window_shows_and_stays_with_it():
    shown(WindowEnv, text=False, fps=77.0)
    assert WindowEnv.opened[-1]["render_fps"] == 77
    assert WindowEnv.metadata["render_fps"] == 5


@pytest.mark.usefixtures("on_screen")
def test_where_the_window_does_not_open_it_says_why_and_shows_text(monkeypatch):
    monkeypatch.setattr(WindowEnv, "fails", "no screen\nat all")
    text = shown(WindowEnv, text=False)
    assert text.splitlines()[0] == "The window can't be opened (no screen); shown as text"
    assert "at 0" in text


@pytest.mark.usefixtures("on_screen")
def test_a_display_that_is_not_there_is_no_window(monkeypatch):
    """SDL then draws in memory and says nothing."""
    pytest.importorskip("pygame")
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    text = shown("CartPole-v1", text=False, max_episode_steps=2)
    assert text.startswith("The window can't be opened (")
    assert "step 2  action" in text


@pytest.mark.usefixtures("on_screen")
def test_text_is_text_though_there_is_a_display():
    assert "at 0" in shown(WindowEnv, text=True)
    assert WindowEnv.opened == []


def test_ctrl_c_ends_it_quietly(monkeypatch):
    closed: list[Stage] = []
    monkeypatch.setattr(Stage, "close", lambda stage: closed.append(stage))

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", interrupted)
    assert shown(out=Terminal()) == "episode 1, seed 3\nat 0\n\n"
    assert closed


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a", 80, 1),
        ("a\nb", 80, 2),
        ("", 80, 1),
        ("x" * 80, 80, 1),
        ("x" * 81, 80, 2),
        ("\x1b[41m" + "x" * 80 + "\x1b[0m", 80, 1),
    ],
)
def test_rows_are_those_of_the_terminal(text, columns, rows):
    assert rows_taken(text, columns) == rows


def test_gymnasiums_own_text_is_shown():
    text = shown("FrozenLake-v1", max_episode_steps=2)
    assert "FFFH" in text
    assert gym.utils.colorize("S", "red", highlight=True) in text
