"""Several seeds of one configuration: what is planned, checked, run and continued."""

import json
import signal
from pathlib import Path

import pytest

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.study import study
from lightning_dqn.study.results import Failure, read_results


def test_what_a_study_comes_to_is_returned_and_written(fake_runs):
    (fake_runs / "order_1").write_text("fail")
    found = study.run_study(["+a=1"], seeds=range(3), jobs=2, folder="study")
    assert found == read_results("study")
    assert [run.seed for run in found.runs] == [0, 2]
    assert found.failures == (Failure(1, "exit code 1", "seed_1.log"),)
    asked = json.loads(Path("study", "study.json").read_text())
    assert asked == {"name": "fake", "arguments": ["+a=1"], "seeds": [0, 1, 2]}


def test_a_study_lies_in_a_new_folder_below_runs_unless_it_is_given(fake_runs):
    made = study.plan(["+a=1"], seeds=None, folder=None)
    assert made.seeds == (0, 1, 2, 3, 4)
    assert made.folder.parent == Path("runs", "fake")
    assert made.folder.name.startswith("study_2")
    assert study.plan(["+a=1"], seeds=[3], folder="mine").folder == Path("mine")
    assert list(fake_runs.iterdir()) == []


def test_a_continued_study_runs_only_what_is_missing_and_afresh(fake_runs):
    (fake_runs / "order_1").write_text("fail")
    study.run_study(["+a=1"], seeds=[0, 1], folder="study")
    kept = Path("study", "seed_0", "began").stat().st_mtime_ns
    (fake_runs / "order_1").unlink()
    assert study.run_study([], seeds=[1, 2], folder="study").failures == ()
    assert Path("study", "seed_0", "began").stat().st_mtime_ns == kept
    assert Path("study", "seed_1_unfinished_1", "began").exists()
    assert "boom" in Path("study", "seed_1.log").read_text()
    results = read_results("study")
    assert [run.seed for run in results.runs] == [0, 1, 2]
    assert results.overrides == ("+a=1",)


def test_a_study_is_not_continued_with_another_configuration(fake_runs):
    study.run_study(["+a=1"], seeds=[0], folder="study")
    with pytest.raises(ConfigError, match=r"^folder=study: holds a study of \+a=1; leave the keys"):
        study.plan(["+a=2"], seeds=None, folder="study")
    same = study.plan(["+a=1"], seeds=[0, 7], folder="study")
    assert same.seeds == (0, 7)


def test_the_env_steps_before_a_continuation_count(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    path = Path("study", "seed_1", "summary.json")
    path.write_text(path.read_text().replace('"first_env_step": 0', '"first_env_step": 1000'))
    [run] = study.run_study([], folder="study").runs
    assert run.env_steps == 1_201


def test_a_wrong_summary_is_refused_before_anything_runs(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    Path("study", "seed_1", "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match="not the summary of a run"):
        study.plan([], seeds=None, folder="study")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=3"], "seed=3: a study takes its seeds as seeds=5"),
        (["hydra.run.dir=x"], "hydra.run.dir=x: a study's folder is folder=<folder>"),
        (["data.batch_size=8,16"], "data.batch_size=8,16: a study is of one configuration"),
        (["test=false"], "test=false: a study compares what its runs' test episodes return"),
        (["data.batchsize=3"], "data.batchsize: no such key; did you mean data.batch_size?"),
        (["data.batch_size=0"], "data.batch_size=0: at least 1"),
        (["--cfg", "job"], "--cfg: of the flags a study takes --config-dir only"),
    ],
    ids=str,
)
def test_a_configuration_that_is_none_of_a_study_is_refused(arguments, message):
    with pytest.raises(ConfigError) as refused:
        study.check(arguments)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1, 2)])
def test_seeds_are_different_whole_numbers(seeds):
    with pytest.raises(ConfigError, match="expected different whole numbers"):
        study.check([], seeds)


def test_a_configuration_that_can_be_studied_gives_the_name_of_its_runs(tmp_path):
    assert study.check(["name=mine", "trainer.accelerator=cpu"]) == "mine"
    (tmp_path / "experiment").mkdir()
    own = "# @package _global_\nname: elsewhere\ntrainer: {accelerator: cpu}\n"
    (tmp_path / "experiment" / "own.yaml").write_text(own)
    assert study.check(["+experiment=own", "--config-dir", str(tmp_path)]) == "elsewhere"


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5"])
def test_a_number_of_jobs_is_a_whole_number_from_1(text):
    assert study.number_of_jobs("3") == 3
    with pytest.raises(ConfigError, match=rf"^jobs={text}: expected a whole number from 1$"):
        study.number_of_jobs(text)


def test_a_request_to_terminate_interrupts():
    handler = signal.getsignal(signal.SIGTERM)
    try:
        study.interrupt_when_terminated()
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, handler)
