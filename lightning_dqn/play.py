"""``python -m lightning_dqn.play checkpoint=<run folder>``: play a trained agent."""

from __future__ import annotations

import contextlib
import json
import tempfile
import webbrowser
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from lightning_dqn.browser_runtime import browser_runtime
from lightning_dqn.configuration import ConfigError
from lightning_dqn.files import SUMMARY
from lightning_dqn.games.game import Game
from lightning_dqn.games.strength import SampledGames, Strength, calibrate, strength_for, tree_of
from lightning_dqn.module import DQN
from lightning_dqn.playable import playable_game
from lightning_dqn.simple_command import read_options, run_command
from lightning_dqn.site import check_output, rules_of, write_site
from lightning_dqn.site_server import address_of, make_server
from lightning_dqn.terminal_play import TerminalPlay
from lightning_dqn.weights import load_agent

USAGE = """\
Play a trained agent at a board game, in the browser or in the terminal.

  python -m lightning_dqn.play checkpoint=<run folder> [key=value ...]

  checkpoint         the folder that training named at its end, or a .ckpt file
  game=null          null: the one that the checkpoint tells; tictactoe, connect_four, or a game
                     of your own as module:Class
  terminal=false     play here, without a browser

In the browser: the network runs in the page, so that its folder is a site for any web host.
  output=null        a folder: write the page there and end; null: serve it until Ctrl-C
  port=0             0: a free one
  browser=true       open the page
  rules=null         a file with the rules of a game of your own, see lightning_dqn/page/rules/
  runtime=null       a folder with ONNX Runtime Web; null: npm installs it once into the user's
                     cache folder

In the terminal:
  starts=you         you or agent
  score=null         how strong the agent is: its score against a random player, as 0.75, a draw
                     counting one half; null: its best moves always
  seed=null          of the agent's moves below its best, and of nothing else
"""

DEFAULTS = {
    "checkpoint": None,
    "game": None,
    "terminal": False,
    "output": None,
    "port": 0,
    "browser": True,
    "rules": None,
    "runtime": None,
    "starts": "you",
    "score": None,
    "seed": None,
}

_TYPES: dict[str, tuple[type, ...]] = {
    "terminal": (bool,),
    "browser": (bool,),
    "port": (int,),
    "seed": (int, type(None)),
    "score": (int, float, type(None)),
}


def main() -> None:
    """Run the command line."""
    run_command(USAGE, lambda arguments: play(_options(arguments)))


def play(options: DictConfig) -> None:
    """Play in the terminal, write the page, or serve it until Ctrl-C.

    Raises:
        ValueError: a key's value, the checkpoint or the game is at fault.
    """
    module = load_agent(options.checkpoint).eval()
    game = playable_game(module.spec, options.game)
    if options.terminal:
        _play_in_terminal(module, game, options)
    elif options.output is not None:
        folder = Path(options.output)
        check_output(folder)
        _write(folder, module, game, options)
        print(f"{folder}: the page, for any web host; python -m http.server -d {folder} serves it")
    else:
        with tempfile.TemporaryDirectory() as temporary:
            _serve(Path(temporary), module, game, options)


def _play_in_terminal(module: DQN, game: Game, options: DictConfig) -> None:
    temperature = 0.0
    if options.score is not None:
        strength = strength_for(_calibrated(module, game), options.score)
        print(_meaning(strength))
        temperature = strength.temperature
    TerminalPlay(
        module,
        game,
        starts=options.starts,
        temperature=temperature,
        generator=np.random.default_rng(options.seed),
    ).run()


def _serve(folder: Path, module: DQN, game: Game, options: DictConfig) -> None:
    with make_server(folder, options.port) as server:
        _write(folder, module, game, options)
        address = address_of(server)
        print(f"Play at {address}    (Ctrl-C ends it)", flush=True)
        if options.browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _write(folder: Path, module: DQN, game: Game, options: DictConfig) -> None:
    rules = rules_of(game, options.rules)
    runtime = browser_runtime(options.runtime)
    strengths = _calibrated(module, game)
    training = _training(module, Path(options.checkpoint))
    write_site(folder, module, game, strengths, rules=rules, runtime=runtime, training=training)


def _calibrated(module: DQN, game: Game) -> list[Strength]:
    sampled = SampledGames()
    if tree_of(game) is None:
        print(
            f"Measuring its strength: {sampled.games:,} games against a random player at each of "
            f"{sampled.temperatures} temperatures",
            flush=True,
        )
    return calibrate(module, game, sampled)


def _meaning(strength: Strength) -> str:
    return (
        f"The agent scores {strength.score:.0%} against a random player: it wins "
        f"{strength.win:.0%}, draws {strength.draw:.0%}, loses {strength.loss:.0%}."
    )


def _training(module: DQN, checkpoint: Path) -> str:
    """Return a line about how the agent was trained, empty where nothing tells."""
    parts = []
    if module.env_steps:
        parts.append(f"Trained for {module.env_steps:,} env steps, {module.updates:,} updates")
    try:
        summary = json.loads((checkpoint / SUMMARY).read_text())
        if not parts:
            parts.append(
                f"Trained for {summary['env_steps']:,} env steps, {summary['updates']:,} updates"
            )
        if summary["episode_return"] is not None:
            parts.append(f"mean test return {summary['episode_return']:.2f}")
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a checkpoint, or a folder with weights alone
    return "; ".join(parts) + "." * bool(parts)


def _options(arguments: list[str]) -> DictConfig:
    options = read_options(arguments, DEFAULTS)
    if options.checkpoint is None:
        raise ConfigError(
            "checkpoint=null: name the folder of a run, as checkpoint=runs/.../<time>"
        )
    for name, types in _TYPES.items():
        value = options[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ConfigError(f"{name}={value}: expected {_names(types)}")
    if options.score is not None and not 0 <= options.score <= 1:
        raise ConfigError(f"score={options.score}: from 0 to 1, as 0.75")
    if options.starts not in ("you", "agent"):
        raise ConfigError(f"starts={options.starts}: choose you or agent")
    return options


def _names(types: tuple[type, ...]) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}
    return " or ".join(words[kind] for kind in types if not (kind is int and float in types))


if __name__ == "__main__":
    main()
