"""The page's folder: what it may hold, whose rules it takes, what the page is told."""

import math

import pytest
from support.board_agents import taught_tictactoe, untrained_connect_four
from support.nim_game import Nim

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.play.runtime import PAGE
from lightning_dqn.games.play.site import DESCRIPTION, check_output, describe, rules_of
from lightning_dqn.games.play.strength import SampledGames, calibrate
from lightning_dqn.games.tictactoe import TicTacToe


def test_nothing_in_the_page_comes_from_elsewhere():
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "://" not in text, path.name
            assert " style=" not in text, path.name
            assert "innerHTML" not in text, path.name
    assert "resolved" not in (PAGE / "package-lock.json").read_text()


def test_the_page_allows_only_its_own_scripts():
    page = (PAGE / "index.html").read_text()
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'" in page
    assert page.count("<script") == 1


def test_a_folder_is_new_empty_or_a_page_from_before(tmp_path):
    check_output(tmp_path / "new")
    check_output(tmp_path)
    (tmp_path / DESCRIPTION).touch()
    (tmp_path / "more.txt").touch()
    check_output(tmp_path)


def test_a_folder_of_something_else_and_a_file_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=rf"^output={tmp_path}: this folder holds other files"):
        check_output(tmp_path)
    with pytest.raises(ValueError, match=rf"^output={tmp_path}/thesis.txt: this is a file"):
        check_output(tmp_path / "thesis.txt")


def test_rules_are_the_pages_own_or_those_that_are_handed_over(tmp_path):
    assert rules_of(TicTacToe()) == PAGE / "rules" / "tictactoe.js"
    assert rules_of(ConnectFour()) == PAGE / "rules" / "connect_four.js"
    (tmp_path / "nim.js").touch()
    assert rules_of(Nim(), tmp_path / "nim.js") == tmp_path / "nim.js"
    with pytest.raises(ValueError, match=r"^rules=null: .* knows connect_four and tictactoe;"):
        rules_of(Nim())
    with pytest.raises(ValueError, match=rf"^rules={tmp_path}/no.js: there is no such file$"):
        rules_of(TicTacToe(), tmp_path / "no.js")


def test_the_page_is_told_game_encoding_and_strengths():
    agent, game = taught_tictactoe().agent, TicTacToe()
    strengths = calibrate(agent, game)
    told = describe(agent, game, strengths, "Trained.")
    assert (told["game"], told["rules"]) == ("tictactoe", "rules/tictactoe.js")
    assert (told["encoding"], told["dtype"], told["shape"]) == ("signed", "float32", [9])
    assert (told["num_actions"], told["training"]) == (9, "Trained.")
    assert told["games_counted"] is None, "all of them were counted exactly"
    assert len(told["strengths"]) == len(strengths)
    for row, strength in zip(told["strengths"], strengths, strict=True):
        is_random = math.isinf(strength.temperature)
        assert row["temperature"] == (None if is_random else strength.temperature)
        assert row["win"] == pytest.approx(strength.win, abs=1e-6)
        assert set(row["perfect"]) == {"win", "draw", "loss"}


def test_a_game_too_large_for_exact_counts_says_how_many_were_played():
    agent, game = untrained_connect_four().agent, ConnectFour()
    strengths = calibrate(agent, game, SampledGames(games=20, temperatures=2))
    told = describe(agent, game, strengths, "")
    assert (told["encoding"], told["shape"], told["games_counted"]) == (None, [2, 6, 7], 20)
    assert "perfect" not in told["strengths"][0]
