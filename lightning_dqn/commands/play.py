"""``python -m lightning_dqn play <run>``: play a trained agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_dqn.commands.command import refuse_unread, run_command
from lightning_dqn.runs.options import option, trust_option


@dataclass
class PlayOptions:
    """Play a trained agent at a board game, in the browser or in the terminal.

      python -m lightning_dqn play <run> [key=value ...]

    In the browser the network runs in the page, so any web host can serve the page's folder.
    """

    run: str = option("its folder, or a checkpoint", is_path=True, former=["checkpoint"])
    game: str | None = option(
        "tictactoe, connect_four, or a game of your own as module:Class; null: the run's game, "
        "which trust= must allow if it is your own",
        None,
    )
    terminal: bool = option("play in the terminal, without a browser", False)
    output: str | None = option(
        "folder: write the page there and exit; null: serve it until Ctrl-C", None
    )
    port: int = option("port of the page; 0: a free one", 0, least=0, most=65_535)
    browser: bool = option("open the page", True)
    rules: str | None = option(
        "file with the rules of a game of your own, see lightning_dqn/games/play/page/rules/",
        None,
    )
    runtime: str | None = option(
        "folder with ONNX Runtime Web; null: npm installs it once into the user's cache folder",
        None,
    )
    starts: Literal["you", "agent"] = option("in the terminal: who moves first", "you")
    score: float | None = option(
        "in the terminal: the agent's strength, as its score against a random player, such as "
        "0.75, a draw counting one half; null: always its best moves",
        None,
        least=0,
        most=1,
    )
    seed: int | None = option(
        "seed of the agent's moves when score= makes it weaker", None, least=0
    )
    trust: str | None = trust_option()


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, PlayOptions, _run)


_OF_TERMINAL = ("starts", "score", "seed")
_OF_SERVER = ("port", "browser")
_OF_PAGE = ("output", "rules", "runtime", *_OF_SERVER)


def _run(options: PlayOptions) -> None:
    if options.terminal:
        refuse_unread(options, _OF_PAGE, "in the terminal; leave terminal=true away for the page")
    else:
        refuse_unread(options, _OF_TERMINAL, "in the page, where one chooses; set terminal=true")
    if options.score is None:
        refuse_unread(options, ("seed",), "where the agent plays its best moves; set score=")
    if options.output is not None:
        refuse_unread(options, _OF_SERVER, "where the page is written; leave output= away")
    from lightning_dqn.games.play.session import play  # with torch, which the help does without
    from lightning_dqn.runs.finished.finished_run import FinishedRun
    from lightning_dqn.runs.trust import Trust

    play(FinishedRun.find(options.run, Trust.of(options.trust)), options)
