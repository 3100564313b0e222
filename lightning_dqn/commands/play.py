"""``python -m lightning_dqn play checkpoint=<run folder>``: play a trained agent."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from lightning_dqn.commands.command import read_options, run_command
from lightning_dqn.games.play.session import play
from lightning_dqn.runs.build import ConfigError

USAGE = """\
Play a trained agent at a board game, in the browser or in the terminal.

  python -m lightning_dqn play checkpoint=<run folder> [key=value ...]

  checkpoint         the folder that training named at its end, or a .ckpt file
  game=null          null: the one that the checkpoint tells; tictactoe, connect_four, or a game
                     of your own as module:Class
  terminal=false     play here, without a browser

In the browser: the network runs in the page, so that its folder is a site for any web host.
  output=null        a folder: write the page there and end; null: serve it until Ctrl-C
  port=0             0: a free one
  browser=true       open the page
  rules=null         a file with the rules of a game of your own, see
                     lightning_dqn/games/play/page/rules/
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


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, USAGE, lambda arguments: play(_options(arguments)))


def _options(arguments: Sequence[str]) -> DictConfig:
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
