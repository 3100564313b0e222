"""The command that makes a W&B workspace: what is on it, and where it goes."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.processes import command
from support.wandb_views import views

from lightning_dqn.commands import dashboard
from lightning_dqn.reporting.glossary import GLOSSARY, MEDIA
from lightning_dqn.reporting.sections import X_AXIS, pattern_of, sections

KEY = "a" * 40
NEEDS_EXTRA = pytest.mark.skipif(
    importlib.util.find_spec("wandb_workspaces") is None,
    reason="wandb-workspaces isn't installed: pip install 'lightning-dqn[dashboard]'",
)


def told(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as somebody whose home holds no key."""
    known = {"WANDB_API_KEY": "", "WANDB_ENTITY": "", "NETRC": "", "HOME": str(folder)}
    return command("dashboard", *arguments, cwd=folder, **{**known, **env})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command writes to a file, without an account."""
    folder = tmp_path_factory.mktemp("dashboard")
    made = told(folder, "path=made/d.json", "project=mine", "entity=team", "name=DQN")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "written to made/d.json\n"
    return json.loads((folder / "made" / "d.json").read_text())


def sections_of(written: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found = written["spec"]["section"]["panelBankConfig"]["sections"]
    return {one["name"]: one["panels"] for one in found}


def keys_of(panel: dict[str, Any]) -> list[str]:
    """Return what a panel shows: keys, or one pattern of them."""
    config = panel["config"]
    if config.get("useMetricRegex"):
        return [config["metricRegex"]]
    return config.get("mediaKeys") or config["metrics"]


@NEEDS_EXTRA
def test_all_that_is_logged_is_on_the_dashboard_and_nothing_else(written):
    for section, keys in sections([*GLOSSARY, *MEDIA]).items():
        shown = [key for panel in sections_of(written)[section] for key in keys_of(panel)]
        assert sorted(shown) == sorted(pattern_of(key) or key for key in keys)
    assert list(sections_of(written)) == list(sections([*GLOSSARY, *MEDIA]))


@NEEDS_EXTRA
def test_curves_are_over_env_steps_and_runs_stand_by_their_group(written):
    assert written["entity"] == "team"
    assert written["project"] == "mine"
    assert written["displayName"] == "DQN"
    section = written["spec"]["section"]
    assert section["settings"]["xAxis"] == X_AXIS
    assert section["runSets"][0]["grouping"] == [{"section": "run", "name": "group"}]
    panels = [panel for of in sections_of(written).values() for panel in of]
    curves = [one["config"] for one in panels if one["viewType"] == "Run History Line Plot"]
    assert {one["xAxis"] for one in curves} == {X_AXIS}
    smoothed = {one["chartTitle"] for one in curves if one.get("smoothingWeight")}
    assert "train/loss" in smoothed
    assert "time/env_steps_per_second" in smoothed
    assert not any(title.startswith(("eval/", "rollout/")) for title in smoothed)


@NEEDS_EXTRA
def test_results_of_a_test_are_numbers_and_videos_stand_together(written):
    panels = sections_of(written)["learning"]
    numbers = [one for one in panels if one["viewType"] == "Scalar Chart"]
    assert all(key.startswith("test/") for one in numbers for key in keys_of(one))
    [media] = [one for one in panels if one["viewType"] == "Media Browser"]
    assert keys_of(media) == list(MEDIA)


@NEEDS_EXTRA
def test_with_a_key_it_is_saved_and_its_address_printed(tmp_path):
    with views() as server:
        made = told(tmp_path, "project=mine", WANDB_API_KEY=KEY, WANDB_BASE_URL=server.url)
        assert made.returncode == 0, made.stderr
    [saved] = [one["variables"] for one in server.asked if "upsertView" in one["query"]]
    assert (saved["entityName"], saved["projectName"]) == ("my-team", "mine")
    assert saved["displayName"] == "lightning-dqn"
    assert (
        "eval/episode_return"
        in json.loads(saved["spec"])["section"]["panelBankConfig"]["sections"][0]["panels"][0][
            "config"
        ]["metrics"]
    )
    [view] = re.findall("nw-(.*)-v", saved["name"])
    assert made.stdout == f"{server.url}/my-team/mine?nw={view}\n"
    assert made.stderr == ""


@NEEDS_EXTRA
def test_what_the_server_refuses_is_told_in_one_line(tmp_path):
    with views("project not found") as server:
        made = told(tmp_path, "entity=me", WANDB_API_KEY=KEY, WANDB_BASE_URL=server.url)
    assert made.returncode == 2
    assert re.fullmatch(r"lightning-dqn: W&B: .*project not found.*\n", made.stderr), made.stderr


@NEEDS_EXTRA
@pytest.mark.parametrize(
    ("key", "told_of_it"),
    [("", "no API key was found; wandb login stores one"), (KEY, "http://127.0.0.1:9 can't be")],
)
def test_without_a_key_or_a_network_one_line_says_what_to_do(key, told_of_it, tmp_path):
    made = told(tmp_path, WANDB_API_KEY=key, WANDB_BASE_URL="http://127.0.0.1:9")
    assert made.returncode == 2
    assert made.stdout == ""
    assert made.stderr.count("\n") == 1
    assert made.stderr.startswith(f"lightning-dqn: W&B: {told_of_it}")
    assert "path=dashboard.json" in made.stderr


def test_the_extra_is_named_where_it_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        dashboard.main(["path=d.json"])
    assert stop.value.code == 2
    told_of_it = "wandb-workspaces missing: pip install 'lightning-dqn[dashboard]'"
    assert capsys.readouterr().err == f"lightning-dqn: dashboard: {told_of_it}\n"
