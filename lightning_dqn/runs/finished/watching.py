"""Shows an agent at work: in the environment's own window, or as text."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import warnings
from typing import Any, TextIO

import numpy as np

from lightning_dqn.agent import Agent
from lightning_dqn.environments.drawing import modes_text, quiet_drawing
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.runs.finished.evaluate import test_seed
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.finished.options import WatchOptions
from lightning_dqn.runs.finished.playing import as_tested
from lightning_dqn.runs.finished.showing import Moment, Stage, episode_seeds
from lightning_dqn.system.faults import first_line
from lightning_dqn.transitions import Episode

_FPS = 4.0
"""Frames of text per second where the environment doesn't say: slow enough to read."""

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def watch(run: FinishedRun, options: WatchOptions, out: TextIO) -> None:
    """Show episodes until there are enough, or until Ctrl-C.

    Args:
        run: whose agent plays, in the environment that it was evaluated in.
        options: how; which run it is, and who is trusted, was read of them before.
        out: where text goes.

    Raises:
        ValueError: the run can't be read, or a number is out of range.
    """
    factory = run.environment()
    agent = run.agent_for(factory)
    how = as_tested(run, epsilon=options.epsilon, max_episode_steps=options.max_episode_steps)
    seed = test_seed(run) if options.seed is None else options.seed
    try:
        stage, screen = _opened(factory, agent, how, options, out)
        try:
            for number, one in enumerate(episode_seeds(seed, options.episodes), start=1):
                _show_episode(stage, screen, one, f"episode {number}", out)
        finally:
            stage.close()
    except KeyboardInterrupt:
        print(file=out)


def _show_episode(
    stage: Stage, screen: Window | TextScreen, seed: int, name: str, out: TextIO
) -> None:
    print(f"{name}, seed {seed}", file=out, flush=True)
    episode = Episode(0.0, 0)
    for moment in stage.play(seed):
        screen.show(stage, moment)
        episode = moment.episode
    screen.end()
    cut = ", cut there; max_episode_steps=N sets where" if episode.is_cut else ""
    print(
        f"{name}: return {episode.episode_return:g}, {episode.episode_length:,} env steps{cut}",
        file=out,
        flush=True,
    )


class Window:
    """The environment's own, which it draws by itself at every step."""

    def show(self, stage: Stage, moment: Moment) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class TextScreen:
    """Text: in a terminal each frame takes the last one's place, elsewhere they follow it.

    Args:
        out: where it goes.
        has_frames: the environment gives text of its own; else there is a line for each step.
        fps: of what is shown in a terminal; elsewhere nobody waits.
    """

    def __init__(self, out: TextIO, *, has_frames: bool, fps: float) -> None:
        self._out = out
        self._has_frames = has_frames
        self._is_terminal = out.isatty()
        self._pause = 1 / fps if self._is_terminal else 0.0
        self._rows = 0

    def show(self, stage: Stage, moment: Moment) -> None:
        """Show one moment."""
        line = step_line(stage.agent, moment)
        if not self._has_frames:
            if moment.action is None:
                return
            text = line
        else:
            text = "\n".join(filter(None, [str(stage.frame()).strip("\n"), line]))
            if self._is_terminal and self._rows:
                self._out.write(f"\x1b[{self._rows}F\x1b[J")
            text += "" if self._is_terminal else "\n"
        print(text, file=self._out, flush=True)
        self._rows = rows_taken(text, shutil.get_terminal_size().columns)
        time.sleep(self._pause)

    def end(self) -> None:
        """Leave the last frame where it is."""
        self._rows = 0


def step_line(agent: Agent, moment: Moment) -> str:
    """Return a line about one step; nothing for an episode's beginning."""
    if moment.action is None:
        return ""
    values = agent.q_values(moment.observation)[0].tolist()
    legal = np.ones(len(values), bool) if moment.action_mask is None else moment.action_mask[0]
    texts = " ".join(
        f"{value:.3g}" if allowed else "-" for value, allowed in zip(values, legal, strict=True)
    )
    episode = moment.episode
    return (
        f"step {episode.episode_length}  action {moment.action}  reward {moment.reward:g}  "
        f"return {episode.episode_return:g}  Q-values {texts}"
    )


def rows_taken(text: str, columns: int) -> int:
    """Return how many rows of a terminal a text takes; colours take none."""
    lengths = [len(_CONTROL.sub("", line)) for line in text.split("\n")]
    return sum(max(1, -(-length // columns)) for length in lengths)


def _opened(
    factory: EnvironmentFactory,
    agent: Agent,
    how: dict[str, Any],
    options: WatchOptions,
    out: TextIO,
) -> tuple[Stage, Window | TextScreen]:
    """Return an environment that shows itself, and what else is to be shown of it.

    Where no window can be had, a line says why.
    """
    stage = Stage(factory, agent, **how)
    modes, fps = stage.render_modes, options.fps or stage.fps
    if not options.text:
        quiet_drawing(has_window=True)
        why = _no_window(stage.name, modes)
        if not why:
            window, why = _window(factory, agent, how, options.fps)
            if window is not None:
                stage.close()
                return window, Window()
        print(f"{why}; shown as text", file=out, flush=True)
    if "ansi" in modes:
        stage.close()
        stage = Stage(factory, agent, render_mode="ansi", **how)
    return stage, TextScreen(out, has_frames="ansi" in modes, fps=fps or _FPS)


def _no_window(name: str, modes: list[str]) -> str:
    """Return why there can be no window; nothing where there can be one."""
    if "human" not in modes:
        return f"{name} has no window of its own ({modes_text(modes)})"
    if sys.platform.startswith("linux") and not any(map(os.environ.get, _DISPLAYS)):
        return "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


def _window(
    factory: EnvironmentFactory, agent: Agent, how: dict[str, Any], fps: float | None
) -> tuple[Stage | None, str]:
    """Return an environment whose window is open, or why it isn't."""
    stage = None
    try:
        stage = Stage(factory, agent, render_mode="human", **how)
        if fps is not None:
            stage.set_fps(fps)
        with warnings.catch_warnings():  # Matplotlib only warns where it can open none
            warnings.filterwarnings("error", message=".*non-interactive")
            next(stage.play(seed=0))
        if why := _drawn_unseen():
            raise OSError(why)
        return stage, ""
    except Exception as error:  # whatever the toolkit of a window may raise
        if stage is not None:
            stage.close()
        reason = first_line(error)
        return None, f"The window can't be opened ({reason})"


def _drawn_unseen() -> str:
    """Return why pygame's window is none on a screen; nothing where it is, or isn't pygame's.

    Where a display can't be reached SDL takes a driver that draws in memory, and says nothing.
    """
    pygame = sys.modules.get("pygame")
    if pygame is None or not pygame.display.get_init() or os.environ.get("SDL_VIDEODRIVER"):
        return ""
    driver = pygame.display.get_driver()
    return f"SDL's driver is {driver}" if driver in ("offscreen", "dummy") else ""
