"""A trained agent to play against: in the terminal, as a page's folder, or served."""

from __future__ import annotations

import contextlib
import tempfile
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from lightning_dqn.agent import Agent
from lightning_dqn.games.game import Game
from lightning_dqn.games.play.playable import playable_game
from lightning_dqn.games.play.runtime import browser_runtime
from lightning_dqn.games.play.server import address_of, make_server
from lightning_dqn.games.play.site import check_output, rules_of, write_site
from lightning_dqn.games.play.strength import (
    SampledGames,
    Strength,
    calibrate,
    strength_for,
    tree_of,
)
from lightning_dqn.games.play.terminal import TerminalPlay


class PlayOptions(Protocol):
    """How it is played, as the command line has it."""

    game: str | None
    terminal: bool
    output: str | None
    port: int
    browser: bool
    rules: str | None
    runtime: str | None
    starts: Literal["you", "agent"]
    score: float | None
    seed: int | None


class PlayedRun(Protocol):
    """What is asked of the run that plays, a ``FinishedRun``."""

    def agent(self) -> Agent:
        """Return its agent, in evaluation mode."""

    def game(self) -> Game | None:
        """Return the game that its configuration describes, None where there is none."""

    def counters(self) -> Mapping[str, int]:
        """Return ``updates`` and ``env_steps`` of its weights, nothing where they aren't known."""

    def test_return(self) -> float | None:
        """Return the mean return of its weights in its test, None where that isn't known."""


def play(run: PlayedRun, options: PlayOptions) -> None:
    """Play in the terminal, write the page, or serve it until Ctrl-C.

    Args:
        run: whose agent plays.
        options: how.

    Raises:
        ValueError: an option's value, the run or the game is at fault.
    """
    agent = run.agent()
    game = playable_game(agent.spec, options.game, run.game)
    if options.terminal:
        _play_in_terminal(agent, game, options)
    elif options.output is not None:
        folder = Path(options.output)
        check_output(folder)
        _write(folder, agent, game, options, _training(run))
        print(f"{folder}: the page, for any web host; python -m http.server -d {folder} serves it")
    else:
        with tempfile.TemporaryDirectory() as temporary:
            _serve(Path(temporary), agent, game, options, _training(run))


def _play_in_terminal(agent: Agent, game: Game, options: PlayOptions) -> None:
    temperature = 0.0
    if options.score is not None:
        strength = strength_for(_calibrated(agent, game), options.score)
        print(_meaning(strength))
        temperature = strength.temperature
    TerminalPlay(
        agent,
        game,
        starts=options.starts,
        temperature=temperature,
        generator=np.random.default_rng(options.seed),
    ).run()


def _serve(folder: Path, agent: Agent, game: Game, options: PlayOptions, training: str) -> None:
    with make_server(folder, options.port) as server:
        _write(folder, agent, game, options, training)
        address = address_of(server)
        print(f"Play at {address}    (Ctrl-C ends it)", flush=True)
        if options.browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _write(folder: Path, agent: Agent, game: Game, options: PlayOptions, training: str) -> None:
    rules = rules_of(game, options.rules)
    runtime = browser_runtime(options.runtime)
    strengths = _calibrated(agent, game)
    write_site(folder, agent, game, strengths, rules=rules, runtime=runtime, training=training)


def _calibrated(agent: Agent, game: Game) -> list[Strength]:
    sampled = SampledGames()
    if tree_of(game) is None:
        print(
            f"Measuring its strength: {sampled.games:,} games against a random player at each of "
            f"{sampled.temperatures} temperatures",
            flush=True,
        )
    return calibrate(agent, game, sampled)


def _meaning(strength: Strength) -> str:
    return (
        f"The agent scores {strength.score:.0%} against a random player: it wins "
        f"{strength.win:.0%}, draws {strength.draw:.0%}, loses {strength.loss:.0%}."
    )


def _training(run: PlayedRun) -> str:
    """Return a line about how the weights were trained, empty where nothing tells."""
    parts = []
    if counters := run.counters():
        parts.append(
            f"Trained for {counters['env_steps']:,} env steps, {counters['updates']:,} updates"
        )
    if (test_return := run.test_return()) is not None:
        parts.append(f"mean test return {test_return:.2f}")
    line = "; ".join(parts) + "." * bool(parts)
    return line[:1].upper() + line[1:]
