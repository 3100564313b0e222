"""What a suite came to: normalised scores, tables, files."""

import csv
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_suites import made_suite

from lightning_dqn.study.results import Failure
from lightning_dqn.study.results_files import read_results, write_results
from lightning_dqn.study.suite_results import SuiteResults
from lightning_dqn.study.suite_tables import protocol, suite_text
from lightning_dqn.study.sweep_results import SweepResults

# Random and human: -20.7 and 14.6 in Pong, 1.7 and 30.5 in Breakout.
TWO = {"Pong": (-20.7, 14.6), "Breakout": (30.5, 59.3, 1.7)}


def found_in(results: SweepResults) -> SuiteResults:
    assert results.suite is not None
    return SuiteResults.of(results.suite, results.settings)


def table_of(text: str, number: int) -> list[list[str]]:
    lines = text.split("\n\n")[number].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_normalised_by_game(tmp_path: Path) -> None:
    found = found_in(made_suite(tmp_path, TWO))
    assert found.normalized["Pong"] == pytest.approx([0.0, 1.0])
    assert found.normalized["Breakout"] == pytest.approx([1.0, 2.0, 0.0])
    assert found.aggregates["runs"]["mean"].value == pytest.approx(4 / 5)
    assert found.aggregates["games"]["mean"].value == pytest.approx((0.5 + 1) / 2)
    assert found.aggregates["runs"]["optimality_gap"].value == pytest.approx(2 / 5)


def test_published_agents_are_held_against_the_same_games(tmp_path: Path) -> None:
    published = found_in(made_suite(tmp_path, TWO)).published(["Pong", "Breakout"])
    der = ((-19.3 + 20.7) / 35.3 + (1.9 - 1.7) / 28.8) / 2
    assert published["DER"]["mean"].value == pytest.approx(der)
    assert published["DER"]["mean"].interval is None
    assert found_in(made_suite(tmp_path, TWO, table=None)).published(["Pong"]) == {}


def test_each_game_has_a_row_with_its_spread_and_others(tmp_path: Path) -> None:
    head, pong, breakout = table_of(suite_text(found_in(made_suite(tmp_path, TWO))), 0)
    others = ["random", "human", "DER", "DrQ(eps)", "SPR", "SR-SPR", "BBF", "BBF at 2"]
    assert head == ["game", "runs", "score", "±", "human-normalised", "cut", *others]
    std = np.std([-20.7, 14.6], ddof=1)
    numbers = ["-20.7", "14.6", "-19.3", "-9.1", "-5.4", "2.9", "16.7", "13.7"]
    assert pong == ["Pong", "2", "-3.0", f"{std:.1f}", "0.500", "0", *numbers]
    assert breakout[:3] == ["Breakout", "3", "30.5"]


def test_both_ways_of_aggregating_are_labelled(tmp_path: Path) -> None:
    rows = table_of(suite_text(found_in(made_suite(tmp_path, TWO))), 1)
    assert [row[:2] for row in rows[1:4]] == [
        ["this suite", "5 runs"],
        ["this suite", "2 per-game means"],
        ["DER", "2 per-game means"],
    ]
    assert rows[1][4].startswith("0.800 [")
    assert rows[2][4].startswith("0.750 [")
    assert rows[3][4] == "0.023"
    assert len(rows) == 9, "no published number over runs of other games"


def test_published_numbers_over_runs_stand_beside_all_games_only(tmp_path: Path) -> None:
    full = made_suite(tmp_path, {})
    assert full.suite is not None
    games = full.suite.scores.games if full.suite.scores else ()
    text = suite_text(found_in(made_suite(tmp_path, {game: (100.0,) for game in games})))
    rows = [row for row in table_of(text, 1) if row[1] == "all runs, as published"]
    assert [row[:3] for row in rows][1] == ["SPR", "all runs, as published", "0.337"]
    assert len(rows) == 5
    assert not [row for row in table_of(text, 1) if row[0] == "this suite" and "[" in row[2]]


def test_a_failed_run_is_named_and_its_game_in_no_number(tmp_path: Path) -> None:
    results = made_suite(tmp_path, {**TWO, "Alien": ()})
    [pong, *others] = results.settings
    failed = replace(pong, failures=(Failure(7, "its disk is full", "game=Pong,seed=7"),))
    found = found_in(replace(results, settings=(failed, *others)))
    text = suite_text(found)
    rows = {row[0]: row for row in table_of(text, 0)}
    assert rows["Alien"][:7] == ["Alien", "0 of 1", "failed", "", "", "", "227.8"]
    assert rows["Pong"][1] == "2 of 3"
    assert "- 2 of 3 games and 5 of 7 runs are in the tables;" in text
    assert "- game=Pong,seed=7 failed: its disk is full" in text
    assert "- game=Alien,seed=0 failed: boom" in text
    assert "- without a finished run, and so in no number over games: Alien" in text
    assert [row[1] for row in table_of(text, 1)[1:4]] == [
        "5 runs",
        "2 per-game means",
        "2 per-game means",
    ]


def test_a_suite_of_which_all_failed_has_no_numbers(tmp_path: Path) -> None:
    results = made_suite(tmp_path, {"Pong": ()})
    text = suite_text(found_in(results))
    assert "human-normalised |" in text
    assert "optimality gap" not in text
    assert write_results(results) == []
    assert not (tmp_path / "profile.png").exists()


def test_how_it_was_evaluated_and_what_was_cut_is_told(tmp_path: Path) -> None:
    runs = found_in(made_suite(tmp_path, TWO, episodes_cut=3, env_steps=100_000)).runs
    assert protocol(runs) == (
        "evaluation: after 100,000 env steps, 100 test episodes of each run, epsilon 0.001, cut "
        "after 10,000 env steps: 15 of 500 were, the last weights"
    )
    free = {"epsilon": 0.0, "max_episode_steps": None}
    other = replace(runs[0], episodes=20, evaluation=free, tested="the best checkpoint, of env 9")
    assert protocol([runs[1], other]) == (
        "evaluation: after 100,000 env steps, 20 to 100 test episodes of each run, epsilon 0.0 to "
        "0.001, cut after 10,000 env steps or the environment's own limit: 6 of 120 were, the "
        "last weights or the best checkpoint"
    )
    uncounted = replace(runs[0], episodes_cut=None)
    assert protocol([*runs, uncounted]).endswith("cut after 10,000 env steps, the last weights")
    silent = replace(runs[0], evaluation=None, tested=None, episodes_cut=None)
    assert protocol([silent]).endswith("100 test episodes of each run")


@pytest.mark.parametrize("cut", [0, 1, None])
def test_what_a_cut_means_is_said_where_there_was_one(cut: int | None, tmp_path: Path) -> None:
    text = suite_text(found_in(made_suite(tmp_path, TWO, episodes_cut=cut)))
    assert ("- a game that was cut scores what it had by then" in text) == bool(cut)


def test_without_a_table_there_are_scores_alone(tmp_path: Path) -> None:
    results = made_suite(tmp_path, TWO, table=None)
    head, *rows = table_of(suite_text(found_in(results)), 0)
    assert head == ["game", "runs", "score", "±", "cut"]
    assert len(rows) == 2
    assert "human" not in str(results)
    write_results(results)
    assert not (tmp_path / "aggregates.csv").exists()


def test_all_of_it_lies_in_files(tmp_path: Path) -> None:
    results = made_suite(tmp_path, TWO)
    notes = write_results(results)
    assert not [note for note in notes if "profile" in note]
    assert read_results(tmp_path) == results
    assert str(results) in (tmp_path / "table.md").read_text()
    saved = json.loads((tmp_path / "results.json").read_text())["suite_results"]
    assert saved["aggregates"]["per-game means"]["mean"]["value"] == pytest.approx(0.75)
    assert saved["games"]["Pong"]["score"] == pytest.approx(-3.05)
    assert saved["published"]["BBF"]["per-game means"].keys() >= {"iqm"}
    games = rows_of(tmp_path / "games.csv")
    assert [(row["game"], row["runs"], row["DER"]) for row in games] == [
        ("Pong", "2", "-19.3"),
        ("Breakout", "3", "1.9"),
    ]
    rows = rows_of(tmp_path / "aggregates.csv")
    assert [(row["agent"], row["over"]) for row in rows][:3] == [
        ("this suite", "all runs"),
        ("this suite", "per-game means"),
        ("DER", "per-game means"),
    ]
    assert float(rows[0]["mean_low"]) < 0.8 < float(rows[0]["mean_high"])
    assert rows[2]["mean_low"] == ""


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_the_performance_profile_is_drawn(tmp_path: Path) -> None:
    write_results(made_suite(tmp_path, TWO))
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_profile_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    notes = write_results(made_suite(tmp_path, TWO))
    assert "profile.png left out, matplotlib is missing: pip install" in notes[0]
    assert (tmp_path / "aggregates.csv").exists()
