"""A real browser, and the page of two agents in it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from support.board_agents import (
    perfect_tictactoe,
    taught_tictactoe,
    untrained,
    untrained_connect_four,
)
from support.passing_game import RULES, Passing

from lightning_dqn.agent import Agent
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.game import Game
from lightning_dqn.games.play.runtime import browser_runtime
from lightning_dqn.games.play.server import address_of, make_server
from lightning_dqn.games.play.site import rules_of, write_site
from lightning_dqn.games.play.strength import SampledGames, calibrate
from lightning_dqn.games.tictactoe import TicTacToe

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WAIT_SECONDS = 60


def unavailable(reason: str) -> None:
    """Fail where these tests must run, skip them where that can't be asked."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Site:
    """A page that is served, with the agent and the game that are in it."""

    address: str
    folder: Path
    module: Agent
    game: Game


@pytest.fixture(scope="session")
def runtime() -> Path:
    try:
        return browser_runtime()
    except ValueError as error:
        unavailable(str(error))
        raise


@pytest.fixture(scope="package")
def driver() -> Iterator[Any]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    service = shutil.which("chromedriver")
    if browser is None or service is None:
        unavailable("no browser to test the page in: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    flags = ["--headless=new", "--disable-dev-shm-usage", "--window-size=1280,900"]
    # A browser's sandbox doesn't start as root, as in most containers.
    for flag in [*flags, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, webdriver.ChromeService(service))
    chrome.set_script_timeout(WAIT_SECONDS)
    yield chrome
    chrome.quit()


def served(
    folder: Path, module: Agent, game: Game, runtime: Path, rules: Path | None = None
) -> Iterator[Site]:
    strengths = calibrate(module, game, SampledGames(games=100, temperatures=5))
    write_site(
        folder,
        module,
        game,
        strengths,
        rules=rules_of(game, rules),
        runtime=runtime,
        training="Trained for 12,345 env steps.",
    )
    with make_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Site(address_of(server), folder, module, game)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def tictactoe(tmp_path_factory, runtime) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tictactoe")
    yield from served(folder, taught_tictactoe().agent, TicTacToe(), runtime)


@pytest.fixture(scope="session")
def connect_four(tmp_path_factory, runtime) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("connect_four")
    yield from served(folder, untrained_connect_four().agent, ConnectFour(), runtime)


@pytest.fixture(scope="session")
def perfect(tmp_path_factory, runtime) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("perfect")
    yield from served(folder, perfect_tictactoe().agent, TicTacToe("index"), runtime)


@pytest.fixture(scope="session")
def passing(tmp_path_factory, runtime) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("passing")
    rules = folder / "passing.js"
    rules.write_text(RULES)
    agent = untrained((3,), 3, "passing").eval().agent
    yield from served(folder / "site", agent, Passing(), runtime, rules)


class Mine(TicTacToe):
    """A game that the page doesn't know."""

    name = "mine"


MY_RULES = """
import known from "./known.js";

const { rows, columns, numActions, initial, legal, apply, outcome, board } = known;
const encode = (state) => Float32Array.from(state);
export default {
  name: "mine", title: "My game", rows, columns, numActions, initial, legal, apply, outcome, board,
  encode, cellOf: known.cellOf, actionAt: known.actionAt, moveName: known.moveName,
};
"""


@pytest.fixture(scope="session")
def own_game(tmp_path_factory, runtime) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("own_game")
    rules = folder / "mine.js"
    rules.write_text(MY_RULES)
    site = folder / "site"
    (site / "rules").mkdir(parents=True)
    (site / "rules" / "known.js").write_bytes(rules_of(TicTacToe()).read_bytes())
    yield from served(site, taught_tictactoe().agent, Mine(), runtime, rules)
