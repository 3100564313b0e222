"""Folders of all kinds, read into one value."""

import json
import os

import pytest
import yaml
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report.gather import gather
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.results_files import write_results
from lightning_dqn.study.sweep import Sweep, read_sweep
from lightning_dqn.study.sweep_results import sum_up


def states(reported):
    return {one.label: [(r.seed, r.state) for r in one.runs] for one in reported.settings}


def test_a_sweep_has_its_settings_with_their_seeds_and_commands(tmp_path):
    found = gather([make_sweep(tmp_path / "s", {"lr=1": [1, 2], "lr=2": [3, 4]})])
    assert states(found) == {
        "lr=1": [(0, "finished"), (1, "finished")],
        "lr=2": [(0, "finished"), (1, "finished")],
    }
    assert found.sources[0].command == "python -m lightning_dqn study lr=1 lr=2"
    assert found.settings[0].command == "python -m lightning_dqn study lr=1 seeds=0,1"
    assert found.settings[1].results.iqm == 3.5
    assert found.notes == ()


def test_its_numbers_are_those_of_the_sweeps_own_results(tmp_path):
    sweep = read_sweep(make_sweep(tmp_path, {"lr=1": [1, 2, 5], "lr=2": [3]}))
    own = sum_up(sweep, {})
    found = gather([tmp_path]).settings
    assert [one.results.aggregate() for one in found] == [one.aggregate() for one in own.settings]


def test_every_end_of_a_run_is_named(tmp_path):
    names = ("done", "pruned", "failed", "told", "cut", "never", "untested", "again")
    jobs = [SweepJob(name, ("a=1", f"seed={n}")) for n, name in enumerate(names)]
    Sweep("mixed", tmp_path, ("study", "a=1"), tuple(jobs), num_at_once=1).write()
    for seed, name in enumerate(names):
        if name != "never":
            make_run(tmp_path / name, seed=seed, is_finished=name in ("done", "again"))
    pruned = {"env_steps": 200, "metric": "eval/episode_return", "value": 2.0}
    (tmp_path / "pruned" / "pruned.json").write_text(json.dumps(pruned))
    for name in ("failed", "again"):
        (tmp_path / name / "failure.json").write_text(json.dumps({"error": "it broke"}))
    (tmp_path / "untested" / "metrics.csv").unlink()
    content = json.loads((tmp_path / "done" / "summary.json").read_text())
    content["episode_return"] = None
    (tmp_path / "untested" / "summary.json").write_text(json.dumps(content))
    finished = Sweep("mixed", tmp_path, (), tuple(jobs[:1]), num_at_once=1)
    write_results(sum_up(finished, {}))
    results = json.loads((tmp_path / "results.json").read_text())
    failures = [{"seed": 3, "reason": "killed by signal 9", "run_dir": "told"}]
    results["settings"][0]["failures"] = failures
    (tmp_path / "results.json").write_text(json.dumps(results))

    [setting] = gather([tmp_path]).settings
    assert {run.folder.name: run.state for run in setting.runs} == {
        "done": "finished",
        "pruned": "pruned",
        "failed": "failed",
        "told": "failed",
        "cut": "unfinished",
        "never": "not begun",
        "untested": "finished",
        "again": "failed",
    }
    reasons = {run.folder.name: run.reason for run in setting.runs}
    assert reasons["failed"] == "it broke"
    assert reasons["told"] == "killed by signal 9"
    assert "pruned at 200" in reasons["pruned"]
    assert "neither tested nor evaluated" in reasons["untested"]
    assert [run.seed for run in setting.results.runs] == [0]
    assert len(setting.results.failures) == 5


def test_runs_by_themselves_that_differ_by_their_seed_are_one_setting(tmp_path):
    folders = [make_run(tmp_path / f"run{seed}", seed=seed) for seed in (1, 0)]
    other = make_run(tmp_path / "other", config={"module": {"lr": 2}})
    found = gather([*folders, other])
    assert states(found) == {
        f"made ({tmp_path.name})": [(0, "finished"), (1, "finished")],
        "made (other)": [(0, "finished")],
    }
    command = "python -m lightning_dqn study +experiment=made seeds=0,1"
    assert found.settings[0].command == command
    assert found.settings[1].command == "python -m lightning_dqn +experiment=made seed=0"


def test_the_command_of_a_run_that_went_on_begins_anew(tmp_path):
    again = ("+experiment=made", "trainer.max_epochs=2", "ckpt_path='a/checkpoints/last.ckpt'")
    folders = [
        make_run(tmp_path / name, seed=seed, overrides=(*again, "trainer.max_epochs=14"))
        for seed, name in enumerate("ab")
    ]
    [setting] = gather(folders).settings
    own = "+experiment=made trainer.max_epochs=14"
    assert setting.command == f"python -m lightning_dqn study {own} seeds=0,1"
    [setting] = gather(folders[:1]).settings
    assert setting.command == f"python -m lightning_dqn {own} seed=0"


def test_a_command_finds_the_configuration_where_the_run_found_it(tmp_path):
    source = {"provider": "command-line", "schema": "file", "path": "alt"}
    hydra = {
        "runtime": {"config_sources": [source]},
        "job": {"config_name": "config"},
        "overrides": {"hydra": []},
    }
    folders = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    for folder in folders:
        (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    [setting] = gather(folders).settings
    assert setting.command.startswith("python -m lightning_dqn study --config-dir=alt ")
    [setting] = gather(folders[:1]).settings
    assert setting.command.startswith("python -m lightning_dqn --config-dir=alt ")


def test_a_run_twice_of_one_seed_is_two_settings(tmp_path):
    found = gather([make_run(tmp_path / "a"), make_run(tmp_path / "b")])
    assert [one.label for one in found.settings] == ["made (a)", "made (b)"]


def test_a_run_that_does_not_say_its_overrides_has_no_command(tmp_path):
    make_run(tmp_path / "a")
    (tmp_path / "a" / ".hydra" / "overrides.yaml").unlink()
    [setting] = gather([tmp_path / "a"]).settings
    assert setting.command is None


def test_all_that_lies_below_a_folder_is_found_once(tmp_path):
    make_sweep(tmp_path / "runs" / "x" / "sweep", {"lr=1": [1, 2]})
    make_run(tmp_path / "runs" / "y" / "now")
    found = gather([tmp_path / "runs", tmp_path / "runs" / "y" / "now"])
    assert [len(one.runs) for one in found.settings] == [2, 1]


def test_namesakes_of_several_sweeps_are_told_apart(tmp_path):
    sweeps = [make_sweep(tmp_path / name, {"lr=1": [1.0]}, name="s") for name in "ab"]
    labels = [one.label for one in gather(sweeps).settings]
    assert len(set(labels)) == 2


def test_mixed_environments_are_noted(tmp_path):
    a = make_run(tmp_path / "a")
    b = make_run(tmp_path / "b", environment="Other-v0")
    found = gather([a, b])
    assert set(found.environments) == {"CartPole-v1", "Other-v0"}
    assert found.notes == ("2 environments: returns are compared within each, never across them",)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty", "holds no run, study, sweep or suite"),
        ("nowhere", "there is no such folder"),
        ("file", "is a file"),
    ],
)
def test_a_folder_with_nothing_to_report_is_told_in_one_line(tmp_path, name, why):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"{name}: {why}") as told:
        gather([tmp_path / name])
    assert "\n" not in str(told.value)


def test_a_damaged_failure_is_told_in_one_line(tmp_path):
    make_run(tmp_path, is_finished=False)
    (tmp_path / "failure.json").write_text("[")
    with pytest.raises(ConfigError, match="not why a run failed"):
        gather([tmp_path])


def test_a_folder_may_be_named_from_within(tmp_path, monkeypatch):
    make_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    [setting] = gather([type(tmp_path)(os.curdir)]).settings
    assert setting.runs[0].state == "finished"
