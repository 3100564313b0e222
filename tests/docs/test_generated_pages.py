"""What is generated on pages of the site is all that the code has, and nothing else."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import generated_pages
import numpy as np
import pytest
import yaml
from generated_pages import atari_100k as atari_records
from generated_pages import fill, filled, without_markup, written
from generated_pages.algorithms import head_and_rest
from generated_pages.commands import options_of
from support.pages import PAGES, ROOT, name_of

from lightning_dqn.commands.main import COMMANDS
from lightning_dqn.former_names import MOVED, WORDS
from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.runs.compose import Composer, chosen_options, without_hydra
from lightning_dqn.runs.keys import explain_key, explain_keys, leaves
from lightning_dqn.study.atari_scores import atari_100k

DOCS = ROOT / "docs"
PRESETS = sorted((ROOT / "conf" / "algorithm").rglob("*.yaml"))


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def rows(text: str) -> dict[str, str]:
    """Return first and last cell of every row of every table."""
    found = re.findall(r"^\| `([^`]+)` \|(?:.*\|)? (.*?) \|$", text, re.M)
    return {first: last.replace("\\|", "|") for first, last in found}


def test_the_page_of_metrics_is_the_glossary() -> None:
    shown = rows(page("metrics"))
    x_axis = "time/env_steps"
    assert shown == {key: text for key, text in GLOSSARY.items() if key != x_axis}
    assert f"`{x_axis}`: {GLOSSARY[x_axis]}" in page("metrics")


def test_the_page_of_the_configuration_has_every_key_with_its_comment() -> None:
    shown = rows(page("configuration").split("## Options")[0])
    with Composer([]) as composer:
        config = composer.config()
    explained = explain_keys(chosen_options(config))
    keys = [key for key, _ in leaves(without_hydra(config))]
    assert len(keys) > 80
    assert {key: shown.get(key) for key in keys} == {
        key: explain_key(key, explained) for key in keys
    }


def test_the_page_of_the_configuration_shows_what_each_option_sets() -> None:
    text = page("configuration")
    for path in (ROOT / "conf").rglob("*/*.yaml"):
        group = path.parent.relative_to(ROOT / "conf").as_posix()
        if not group.startswith(("algorithm", "experiment", "hydra", "suite")):
            shown = text.split(f"### `{group}={path.stem}`\n")[1].split("\n###")[0]
            assert path.read_text().strip() in shown, path


def test_the_page_of_the_configuration_has_every_option() -> None:
    shown = rows(page("configuration"))
    for path in (ROOT / "conf").rglob("*.yaml"):
        group = path.parent.relative_to(ROOT / "conf").as_posix()
        if group != "." and not group.startswith(("hydra", "suite")):
            assert f"`{path.stem}`" in shown[group], path


def test_every_preset_has_a_section_with_its_paper_and_its_differences() -> None:
    text = page("algorithms") + page("atari")
    for path in PRESETS:
        name = path.relative_to(ROOT / "conf" / "algorithm").with_suffix("").as_posix()
        section = text.split(f"`algorithm={name}` differs", 1)[1].split("\n### ", 1)[0]
        opening, _ = head_and_rest(path.read_text())
        numbers = re.findall(r"^(\d+)\. ", opening, re.M)
        assert re.findall(r"^(\d+)\. ", section.split("\n## ")[0], re.M) == numbers, name
        assert re.search(r"\]\(https://(arxiv|doi|openreview)\.", text), name


def test_every_preset_opens_with_its_paper() -> None:
    for path in PRESETS:
        opening, _ = head_and_rest(path.read_text())
        assert re.search(r"(arxiv|doi|openreview)\.(org|net)/", opening), path
        assert "Differences from the paper" in opening, path


def test_every_preset_of_small_tasks_has_an_equation_and_a_word_on_when() -> None:
    text = (DOCS / "algorithms.md").read_text()
    presets = re.split(r"^### ", text.split("\n## The presets\n")[1], flags=re.M)[1:]
    named = [re.findall(r"<!-- generated: preset (\w+) -->", one) for one in presets]
    assert sorted(name for [name] in named) == sorted(
        p.stem for p in PRESETS if p.parent.name == "algorithm"
    )
    for one in presets:
        _, equation, when, *_ = one.split("\n\n")
        assert equation.startswith("```text\n")
        assert len(when) > 40


def test_every_experiment_opens_with_its_command_and_is_on_the_page() -> None:
    shown = page("experiments")
    for path in (ROOT / "conf" / "experiment").glob("*.yaml"):
        assert f"+experiment={path.stem}" in path.read_text().split("\n\n")[0], path.name
        assert f"| `+experiment={path.stem}` | `python -m lightning_dqn" in shown, path.name


def test_every_command_is_on_its_page_with_its_options() -> None:
    text = page("commands")
    for name in COMMANDS:
        if name != "train":
            section = text.split(f"### `{name}`\n")[1].split("\n### ")[0]
            for one in fields(options_of(name)):
                assert one.name in section, (name, one.name)


def test_every_former_name_is_on_the_page_of_upgrading() -> None:
    shown = rows(page("upgrading"))
    assert set(MOVED) | set(WORDS) <= set(shown)


def test_every_name_that_the_changelog_calls_former_is_on_the_page_of_upgrading() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    changed = "".join(re.findall(r"^### Changed\n(.*?)(?=^##)", changes, re.M | re.S))
    told = r"\(was `([\w.]+)`\)|moved from `([\w.]+)`|`([\w.]+)` is now"
    names = {one for found in re.findall(told, " ".join(changed.split())) for one in found if one}
    assert {"alpha", "epsilon_greedy", "import_weights", "study.json"} <= names
    text = page("upgrading")
    assert {name for name in names if name not in text} == set()


def test_a_preset_on_a_page_shows_the_settings_of_its_file() -> None:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```$", generated_pages.MAKERS["preset"]("der"), re.M | re.S
    )
    path = ROOT / "conf" / "algorithm" / "der.yaml"
    assert [yaml.safe_load(block) for block in blocks] == [yaml.safe_load(path.read_text())]


def recorded(name: str) -> dict[str, list[float]]:
    """Return the returns of a record's runs by game."""
    runs: dict[str, list[float]] = defaultdict(list)
    with (DOCS / "atari100k" / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            runs[row["game"]].append(float(row["episode_return"]))
    return runs


TABLES_OF_ATARI = re.findall(
    r"^<!-- generated: atari_100k ([\w/]+) -->$", (DOCS / "atari100k.md").read_text(), re.M
)


@pytest.mark.parametrize("names", TABLES_OF_ATARI)
def test_a_table_of_atari_100k_has_what_every_recorded_run_came_to(names: str) -> None:
    text, scores = filled(f"<!-- generated: atari_100k {names} -->"), atari_100k()
    runs = {name: recorded(name) for name in names.split("/")}
    games = [game for game in scores.games if all(game in own for own in runs.values())]
    rows = [[one.strip() for one in line.split("|")[1:-1]] for line in text.splitlines()]
    cells = {row[0]: row[1:] for row in rows if row}
    for game in games:
        for cell, own in zip(cells[game], runs.values(), strict=False):
            assert cell.split()[0] == f"{np.mean(own[game]):,.1f}", game
    told = {row[0]: row[3] for row in rows if len(row) == 6 and "per-game mean" in row[1]}
    means = {f"atari/{name}, here": own for name, own in runs.items()}
    for name, own in {**means, "DER": scores.agents["DER"]}.items():
        above = {game: np.mean(own[game]) - scores.random[game] for game in games}
        shares = [gain / (scores.human[game] - scores.random[game]) for game, gain in above.items()]
        assert float(told[name]) == pytest.approx(np.median(shares), abs=5e-4), name
    for name, own in runs.items():
        assert f"- atari/{name}: {len(own)} of 26 games, {sum(map(len, own.values()))} runs" in text


def test_an_ablation_holds_each_part_against_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atari_records, "RECORDS", tmp_path)
    (tmp_path / "ablation_50k").mkdir()
    head = "game,seed,episode_return,episode_return_std,episodes,episodes_cut,env_steps,updates"
    head += ",epsilon,max_episode_steps"
    records = {
        # Boxing is 0.1 by chance and 12.1 by people: 1 and 2, 0 and 1.
        "whole": ["Boxing,0,12.1", "Boxing,1,24.1", "Boxing,2,48.1", "Breakout,0,9"],
        "no_shifts": ["Boxing,0,0.1", "Boxing,1,12.1"],
    }
    for name, runs in records.items():
        lines = [f"{one},1,100,0,100000,98400,0.001,10000,25,0123456789,2.13.0" for one in runs]
        text = "\n".join([f"{head},minutes,commit,torch", *lines])
        (tmp_path / "ablation_50k" / f"{name}.csv").write_text(text)
    table = atari_records.atari_ablation("whole/no_shifts")
    cells = [[one.strip() for one in line.split("|")[1:-1]] for line in table.splitlines()]
    assert cells[0][:4] == ["", "Boxing", "runs", "IQM [95 % interval]"]
    assert cells[2] == ["whole", "18.1", "2", "1.50 [1.00, 2.00]", ""]
    # Of four pairs three are better and one is as good.
    assert cells[3] == ["no shifts", "6.1", "2", "0.50 [0.00, 1.00]", "0.88 [0.50, 1.00]"]
    made = "commit `0123456`, torch 2.13.0"
    assert table.endswith(f"- 4 runs of 25 minutes of learning on one core, {made}")


def test_runs_elsewhere_stand_beside_those_here_and_tell_what_chance_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atari_records, "RECORDS", tmp_path)
    here = ["Boxing,0,6.1", "Pong,0,-20.7", "Alien,0,500"]
    elsewhere = ["Boxing,1,0.1", "Boxing,2,12.1", "Pong,1,14.6", "Pong,2,14.6", "Qbert,1,9"]
    for name, runs in {"mine": here, "others": elsewhere}.items():
        text = "\n".join(["game,seed,episode_return", *runs])
        (tmp_path / f"{name}.csv").write_text(text)
    lines = atari_records.atari_elsewhere("mine/others").splitlines()
    cells = [[one.strip() for one in line.split("|")[1:-1]] for line in lines]
    assert cells[2:4] == [
        ["Boxing", "6.1", "0.1, 12.1", "1 of 2"],
        ["Pong", "-20.7", "14.6, 14.6", "0 of 2"],
    ]
    # Boxing's 0.1 is chance and 12.1 a person, so are Pong's -20.7 and 14.6.
    assert lines[-1].startswith(
        "- IQM of the runs here: 0.250; of as many drawn from those elsewhere"
    )
    assert lines[-1].endswith("draws 0.500 to 1.000")


def test_a_mark_that_nothing_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing makes 'metrix'; choose among"):
        filled("<!-- generated: metrix -->\n")
    with pytest.raises(ValueError, match=r"conf/algorithm has no c52\.yaml"):
        filled("<!-- generated: preset c52 -->\n")
    with pytest.raises(ValueError, match=r"docs/atari100k has no dar\.csv"):
        filled("<!-- generated: atari_100k dar -->\n")


@pytest.mark.parametrize("one", PAGES, ids=name_of)
def test_what_is_generated_on_a_page_is_up_to_date(one: Path) -> None:
    text = one.read_text()
    assert text == filled(text), "run `make pages`"


def test_pages_are_filled_anew_between_their_marks(tmp_path: Path) -> None:
    """What people wrote stays, before, between and after; a mark without an end is given one."""
    mark, end = "<!-- generated: preset {} -->", "<!-- /generated -->"
    text = f"a\n\n{mark.format('dqn')}\n\nb\n\n{mark.format('der')}\n\nold\n\n{end}\n\nc\n"
    (tmp_path / "page.md").write_text(text)
    assert fill(tmp_path) == [tmp_path / "page.md"]
    now = (tmp_path / "page.md").read_text()
    dqn, der = (generated_pages.MAKERS["preset"](name).strip("\n") for name in ("dqn", "der"))
    made = [f"{mark.format(name)}\n\n{one}\n\n{end}" for name, one in (("dqn", dqn), ("der", der))]
    assert now == f"a\n\n{made[0]}\n\nb\n\n{made[1]}\n\nc\n"
    assert fill(tmp_path) == []
    assert written(now) == f"a\n\n{mark.format('dqn')}\n\nb\n\n{mark.format('der')}\n\nc\n"


def test_signs_of_shapes_in_docstrings_are_no_markup() -> None:
    assert without_markup("float[B, *shape] and |x|, ``*this``") == (
        r"float[B, \*shape] and \|x\|, ``*this``"
    )
