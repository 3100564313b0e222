"""Several seeds of one or more settings: what is planned, checked, run and continued."""

import json
import os
from pathlib import Path

import pytest
from support.searches import finish

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study import study
from lightning_dqn.study.results import Failure
from lightning_dqn.study.results_files import read_results
from lightning_dqn.study.sweep import Sweep, read_sweep


def test_what_a_study_comes_to_is_returned_and_written(fake_runs):
    (fake_runs / "order_1").write_text("fail")
    found = study.run_study(["+a=1"], seeds=range(3), jobs=2, folder="study")
    assert found == read_results("study")
    [only] = found.settings
    assert [run.seed for run in only.runs] == [0, 2]
    assert found.failures == (Failure(1, "boom", "seed=1"),)
    asked = read_sweep(Path("study"))
    assert asked.command == ("study", "+a=1", "seeds=0,1,2")
    assert asked.num_at_once == 2
    assert [job.overrides for job in asked.jobs] == [("+a=1", f"seed={s}") for s in range(3)]


def test_a_grid_of_settings_has_all_seeds_of_each(fake_runs):
    found = study.run_study(["+a=1,2"], seeds=[1, 3], folder="study")
    names = {path.name for path in Path("study").iterdir() if path.is_dir()}
    assert names == {"a=1,seed=1", "a=1,seed=3", "a=2,seed=1", "a=2,seed=3"}
    assert [setting.name for setting in found.settings] == ["a=1", "a=2"]
    assert [setting.returns.tolist() for setting in found.settings] == [[10, 30], [10, 30]]
    assert found.settings[1].command == "python -m lightning_dqn study +a=2 seeds=1,3"


def test_a_name_of_ones_own_may_have_folders_in_it(fake_runs):
    own = ["+a=1,2", "hydra.sweep.subdir=a${a}/${seed}"]
    found = study.run_study(own, seeds=[1], folder="study")
    assert found.failures == ()
    assert [setting.runs[0].run_dir for setting in found.settings] == ["a1/1", "a2/1"]
    assert Path("study", "a1", "1.log").is_file()


def test_a_study_lies_in_a_new_folder_below_runs_unless_it_is_given(fake_runs):
    made = study.plan(["name=mine"]).sweep
    assert [job.seed for job in made.jobs] == [0, 1, 2, 3, 4]
    assert made.folder.parent == Path("runs", "mine")
    assert made.folder.name.startswith("sweep_2")
    assert study.plan(["+a=1"], seeds=[3], folder="it's [mine]").sweep.folder == Path("it's [mine]")
    assert list(fake_runs.iterdir()) == []


def test_a_continued_study_runs_only_what_is_missing_and_afresh(fake_runs):
    (fake_runs / "order_1").write_text("fail")
    study.run_study(["+a=1"], seeds=[0, 1], folder="study")
    kept = Path("study", "seed=0", "began").stat().st_mtime_ns
    (fake_runs / "order_1").unlink()
    assert study.run_study([], seeds=[1, 2], folder="study").failures == ()
    assert Path("study", "seed=0", "began").stat().st_mtime_ns == kept
    assert Path("study", "seed=1_unfinished_1", "began").exists()
    assert "boom" in Path("study", "seed=1.log").read_text()
    [only] = read_results("study").settings
    assert [run.seed for run in only.runs] == [0, 1, 2]
    assert only.overrides == ("+a=1",)
    assert read_sweep(Path("study")).command[-1] == "seeds=0,1,2"


def test_further_seeds_are_of_every_setting(fake_runs):
    study.run_study(["+a=1,2"], seeds=[1], folder="study")
    found = study.run_study([], seeds=[2], folder="study")
    assert [one.returns.tolist() for one in found.settings] == [[10, 20], [10, 20]]


@pytest.mark.parametrize("typed", [["--config-dir", "own"], ["-cd", "own"], ["--config-dir=own"]])
def test_a_study_with_a_folder_of_ones_own_goes_on_however_that_is_typed(typed, fake_runs):
    Path("own").mkdir()
    found = study.run_study(["+a=1", *typed], seeds=[0], folder="study")
    command = "python -m lightning_dqn study --config-dir=own +a=1 seeds=0,"
    assert found.settings[0].command == command
    for again in (["+a=1", *typed], ["+a=1"], typed):
        going_on = study.plan(again, folder="study")
        assert going_on.sweep.jobs == read_sweep(Path("study")).jobs
        assert going_on.composer.flags.config_dir == (None if again == ["+a=1"] else "own")


def test_the_command_of_a_setting_has_the_folders_that_were_searched(fake_runs):
    own = f"hydra.searchpath=[file://{fake_runs}]"
    found = study.run_study(["+a=1", own], seeds=[0], folder="study")
    command = f"python -m lightning_dqn study '{own}' +a=1 seeds=0,"
    assert found.settings[0].command == command


def test_a_flag_by_itself_trusts_nothing(fake_runs):
    study.run_study(["notes=${oc.env:HOME}"], seeds=[0], folder="study")
    Path("study", "seed=0", "summary.json").unlink()
    with pytest.raises(ConfigError, match=r"trust=oc\.env takes it"):
        study.plan(["--config-dir", "."], folder="study")
    assert study.plan(["notes=${oc.env:HOME}"], folder="study").sweep.pending


@pytest.mark.parametrize("version", ["now", "0.2"])
def test_further_seeds_of_a_sweep_that_named_none_are_others_than_its_own(version, fake_runs):
    jobs = [SweepJob(f"a={a}", (f"+a={a}",), 0 if version == "now" else None) for a in (1, 2)]
    sweep = Sweep("fake", Path("sweep"), ("-m", "+a=1,2"), tuple(jobs))
    sweep.write()
    for job in jobs:
        finish(sweep.run_dir(job), 7.0, seed=0)
    found = study.run_study([], seeds=[0, 1], jobs=1, folder="sweep")
    assert [one.returns.tolist() for one in found.settings] == [[7, 10], [7, 10]]
    assert [[run.seed for run in one.runs] for one in found.settings] == [[0, 1], [0, 1]]
    assert [job.seed for job in read_sweep(Path("sweep")).jobs] == [0, 0, 1, 1]
    assert found.settings[0].command == "python -m lightning_dqn study +a=1 seeds=0,1"


def test_a_study_that_0_1_began_goes_on_in_its_folders(fake_runs):
    study.run_study(["+a=1"], seeds=[1, 2], folder="study")
    for seed in (1, 2):
        Path("study", f"seed={seed}").rename(Path("study", f"seed_{seed}"))
    Path("study", "seed_2", "summary.json").unlink()
    Path("study", "sweep.json").unlink()
    asked = {"name": "fake", "arguments": ["+a=1"], "seeds": [1, 2]}
    Path("study", "study.json").write_text(json.dumps(asked))
    [only] = study.run_study([], seeds=[3], folder="study").settings
    assert [run.run_dir for run in only.runs] == ["seed_1", "seed_2", "seed=3"]


def test_a_study_is_not_continued_with_another_configuration(fake_runs):
    study.run_study(["+a=1"], seeds=[0], folder="study")
    with pytest.raises(ConfigError, match=r"^folder=study: holds a study of \+a=1; leave the keys"):
        study.plan(["+a=2"], folder="study")
    same = study.plan(["+a=1"], seeds=[0, 7], folder="study").sweep
    assert [job.seed for job in same.jobs] == [0, 7]


def test_the_env_steps_before_a_continuation_count(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    path = Path("study", "seed=1", "summary.json")
    path.write_text(path.read_text().replace('"first_env_step": 0', '"first_env_step": 1000'))
    [only] = study.run_study([], folder="study").settings
    assert only.runs[0].env_steps == 1_201


def test_a_wrong_summary_is_refused_before_anything_runs(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    Path("study", "seed=1", "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match="not the summary of a run"):
        study.plan([], folder="study")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=3"], "seed=3: a study takes its seeds as seeds=5"),
        (["hydra.run.dir=x"], "hydra.run.dir=x: a study's folder is folder=<folder>"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir=x: a study's folder is folder=<folder>"),
        (["hydra/launcher=basic"], "hydra/launcher=basic: a study runs jobs=<number> at once"),
        (["data.batchsize=3"], "data.batchsize: no such key; did you mean data.batch_size?"),
        (["data.batch_size=0"], "data.batch_size=0: at least 1"),
        (["data.batch_size=8,0"], "data.batch_size=0: at least 1 (job 1: data.batch_size=0"),
        (["--cfg", "job"], "--cfg=job: of the flags a study takes --config-dir only"),
    ],
    ids=str,
)
def test_a_configuration_that_is_none_of_a_study_is_refused(arguments, message, tmp_path):
    with pytest.raises(ConfigError) as refused:
        study.plan(arguments, seeds=[0], folder=tmp_path / "study")
    assert str(refused.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1, 2)])
def test_seeds_are_different_whole_numbers(seeds):
    with pytest.raises(ConfigError, match="expected different whole numbers"):
        study.plan([], seeds=seeds)


def test_jobs_are_at_least_one():
    with pytest.raises(ConfigError, match=r"^jobs=0: expected a whole number from 1$"):
        study.plan([], jobs=0)


def test_a_configuration_that_can_be_studied_gives_the_name_of_its_runs(tmp_path):
    assert study.plan(["name=mine", "trainer.accelerator=cpu"]).sweep.name == "mine"
    (tmp_path / "experiment").mkdir()
    own = "# @package _global_\nname: elsewhere\ntrainer: {accelerator: cpu}\n"
    (tmp_path / "experiment" / "own.yaml").write_text(own)
    made = study.plan(["+experiment=own", "--config-dir", str(tmp_path)])
    assert made.sweep.name == "elsewhere"
    assert made.composer.arguments_of_jobs == [f"--config-dir={tmp_path}"]


def test_no_run_takes_the_id_that_w_and_bs_variable_gives(fake_runs, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    study.run_study([], seeds=[0, 1], folder="study")
    assert "WANDB_RUN_ID=abc names one run" in capsys.readouterr().out
    for seed in (0, 1):
        assert "began, WANDB_RUN_ID None" in (fake_runs / f"study/seed={seed}.log").read_text()
    assert os.environ["WANDB_RUN_ID"] == "abc"
