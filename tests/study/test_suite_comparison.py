"""Finished suites in one table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_studies import made_results
from support.fake_suites import made_suite

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.results_files import write_results
from lightning_dqn.study.suite_comparison import read_suite, write_suite_comparison
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.study.sweep_results import SweepResults

GOOD = {"Pong": (14.6, 14.6), "Breakout": (30.5, 59.3), "Alien": (300.0,)}
BAD = {"Pong": (-20.7, -20.7), "Breakout": (1.7, 59.3)}


@pytest.fixture
def two(tmp_path: Path) -> list[SweepResults]:
    return [
        made_suite(tmp_path / "first", GOOD, words="algorithm=atari/der data.batch_size=8"),
        made_suite(tmp_path / "second", BAD, words="algorithm=atari/dqn data.batch_size=8"),
    ]


def test_suites_are_compared_over_the_games_that_all_have(
    two: list[SweepResults], tmp_path: Path
) -> None:
    text, notes = write_suite_comparison(two, tmp_path / "both")
    games, numbers, better, how = text.split("\n\n")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in games.splitlines()]
    assert lines[0][:4] == ["game", "algorithm=atari/der", "algorithm=atari/dqn", "random"]
    assert [line[0] for line in lines[2:]] == ["Pong", "Breakout"]
    assert lines[2][1:3] == ["14.6 ± 0.0 (2 runs)", "-20.7 ± 0.0 (2 runs)"]
    assert "| algorithm=atari/der |           4 runs | 1.000 [" in numbers
    assert "DER" in numbers
    # 1 in Pong; in Breakout 1, 0, 1 and half of the tie.
    assert " 0.812 [" in better
    assert how.count("evaluation: after 1,000 env steps") == 2
    assert notes[0] == ("algorithm=atari/der: Alien left out, which not all have a finished run of")
    table = (tmp_path / "both" / "table.md").read_text()
    assert text in table
    assert all(f"`{one.command}`" in table for one in two)
    assert (tmp_path / "both" / "aggregates.csv").read_text().count("per-game means") == 8
    assert (tmp_path / "both" / "games.csv").read_text().count("Pong") == 2


def test_suites_of_the_same_command_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    text, _ = write_suite_comparison(
        [made_suite(tmp_path / name, BAD) for name in ("first", "second")], tmp_path / "both"
    )
    assert "first |" in text
    assert "second |" in text


def test_suites_in_folders_of_the_same_name_are_told_apart_by_those_above(tmp_path: Path) -> None:
    suites = [made_suite(tmp_path / name / "atari", BAD) for name in ("first", "second")]
    text, _ = write_suite_comparison(suites, tmp_path / "both")
    assert "| atari (first/atari) | atari (second/atari) |" in text


def test_suites_without_scores_of_others_are_compared_by_their_own(tmp_path: Path) -> None:
    suites = [made_suite(tmp_path / name, BAD, table=None) for name in ("first", "second")]
    text, notes = write_suite_comparison(suites, tmp_path / "both")
    assert notes == []
    assert "human" not in text
    assert len(text.split("\n\n")) == 2


def test_a_failed_run_is_named(two: list[SweepResults], tmp_path: Path) -> None:
    failing = made_suite(tmp_path / "third", {**BAD, "Alien": ()}, words="algorithm=x")
    _, notes = write_suite_comparison([failing], tmp_path / "both")
    assert notes[0] == "atari100k: Alien left out, which not all have a finished run of".replace(
        "atari100k", "third"
    )


def test_what_has_nothing_in_common_is_refused(two: list[SweepResults], tmp_path: Path) -> None:
    other = made_suite(tmp_path / "third", {"Hero": (1.0,)})
    with pytest.raises(ConfigError, match=r"^report=: there is no game that all suites have"):
        write_suite_comparison([*two, other], tmp_path / "both")
    plain = made_suite(tmp_path / "third", BAD, table=None)
    message = "^report=: the suites are held against different scores, None and atari_100k$"
    with pytest.raises(ConfigError, match=message):
        write_suite_comparison([*two, plain], tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_what_isnt_finished_is_refused_with_how_it_goes_on(tmp_path: Path) -> None:
    results = made_suite(tmp_path, BAD)
    jobs = [SweepJob(f"job{number}", (f"seed={number}",)) for number in range(5)]
    sweep = Sweep("a", tmp_path, ("suite",), tuple(jobs), 1, suite=results.suite)
    sweep.write()
    message = rf"^report={tmp_path}: isn't finished; continue it: .* resume {tmp_path}$"
    with pytest.raises(ConfigError, match=message):
        read_suite(tmp_path)
    write_results(results)
    with pytest.raises(ConfigError, match=message):
        read_suite(tmp_path)
    replace(sweep, jobs=tuple(jobs[:4])).write()
    assert read_suite(tmp_path) == results


def test_what_is_no_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the results of a finished sweep"):
        read_suite(tmp_path)
    write_results(SweepResults("a", tmp_path, "run it", (made_results(tmp_path, "a"),)))
    assert "suite" not in json.loads((tmp_path / "results.json").read_text())
    with pytest.raises(ConfigError, match=r"holds no suite; study report=.* tells of it$"):
        read_suite(tmp_path)
