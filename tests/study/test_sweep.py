"""The folder of a sweep: what was asked for, and what has become of its jobs."""

import json
from dataclasses import replace

import pytest

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.suite_file import find_suite
from lightning_dqn.study.sweep import Sweep, is_sweep, read_sweep, seeds_text
from lightning_dqn.system.files import is_unused

JOBS = (SweepJob("lr=1,seed=0", ("lr=1", "seed=0")), SweepJob("lr=2,seed=0", ("lr=2", "seed=0")))


@pytest.fixture
def sweep(tmp_path) -> Sweep:
    return Sweep("a", tmp_path / "sweep", ("-m", "lr=1,2", "seed=0"), JOBS)


def test_a_sweep_is_read_as_it_was_written(sweep):
    assert not is_sweep(sweep.folder)
    assert is_unused(sweep.folder)
    sweep.write()
    assert is_sweep(sweep.folder)
    assert not is_unused(sweep.folder)
    assert read_sweep(sweep.folder) == sweep
    assert sweep.command_line == "python -m lightning_dqn -m lr=1,2 seed=0"


def test_the_suite_of_a_sweep_is_read_with_it_and_checked(sweep):
    of_suite = replace(sweep, suite=find_suite("atari100k").choose("Pong"))
    of_suite.write()
    assert read_sweep(sweep.folder) == of_suite
    path = sweep.folder / "sweep.json"
    path.write_text(path.read_text().replace('"Pong"', '"Enduro"'))
    with pytest.raises(ConfigError, match="the table atari_100k has no scores of Enduro"):
        read_sweep(sweep.folder)


def test_finished_is_what_has_a_summary_and_goes_on_what_has_a_checkpoint(sweep):
    first, second = sweep.jobs
    (sweep.run_dir(first) / "checkpoints").mkdir(parents=True)
    assert sweep.pending == [first, second]
    assert not sweep.goes_on(first)
    (sweep.run_dir(first) / "checkpoints" / "last.ckpt").touch()
    assert sweep.goes_on(first)
    (sweep.run_dir(first) / "summary.json").touch()
    assert sweep.pending == [second]


def test_room_is_made_for_a_job_that_begins_anew_and_none_is_lost(sweep):
    job = sweep.jobs[0]
    for number in (1, 2):
        sweep.run_dir(job).mkdir(parents=True)
        (sweep.run_dir(job) / "metrics.csv").write_text(str(number))
        sweep.clear(job)
    assert not sweep.run_dir(job).exists()
    found = sorted(path.read_text() for path in sweep.folder.rglob("metrics.csv"))
    assert found == ["1", "2"]


def test_what_has_the_generation_before_alone_goes_on_too(sweep):
    job = sweep.jobs[0]
    (sweep.run_dir(job) / "checkpoints").mkdir(parents=True)
    (sweep.run_dir(job) / "checkpoints" / "last.previous.ckpt").touch()
    sweep.clear(job)
    assert sweep.goes_on(job)


def test_what_goes_on_is_left_where_it_is_but_for_its_old_failure(sweep):
    job = sweep.jobs[0]
    (sweep.run_dir(job) / "checkpoints").mkdir(parents=True)
    (sweep.run_dir(job) / "checkpoints" / "last.ckpt").touch()
    (sweep.run_dir(job) / "failure.json").write_text('{"error": "boom"}')
    assert sweep.failure(job) == "boom"
    sweep.clear(job)
    assert sweep.goes_on(job)
    assert sweep.failure(job) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"error": 1', "null"])
def test_a_failure_that_cannot_be_read_says_nothing(sweep, text):
    job = sweep.jobs[0]
    sweep.run_dir(job).mkdir(parents=True)
    (sweep.run_dir(job) / "failure.json").write_text(text)
    assert sweep.failure(job) is None


@pytest.mark.parametrize("name", ["../other", "/etc", "..", "", "a/../../b"])
def test_a_folder_that_was_sent_cannot_name_another_one(sweep, name):
    sweep.write()
    path = sweep.folder / "sweep.json"
    asked = json.loads(path.read_text())
    asked["jobs"][0]["name"] = name
    path.write_text(json.dumps(asked))
    with pytest.raises(ConfigError, match="not that of a sweep or a study"):
        read_sweep(sweep.folder)


@pytest.mark.parametrize(
    "text", ["{}", "[]", "not JSON", '{"name": "a", "command": "x", "num_at_once": 1, "jobs": []}']
)
def test_what_is_no_sweep_is_refused(sweep, text):
    sweep.write()
    (sweep.folder / "sweep.json").write_text(text)
    with pytest.raises(ConfigError, match=r"^folder=.*: not that of a sweep or a study"):
        read_sweep(sweep.folder)


def test_a_study_of_0_1_is_read_as_a_sweep(tmp_path):
    asked = {"name": "a", "arguments": ["--config-dir=x", "+experiment=a"], "seeds": [3, 5]}
    (tmp_path / "study.json").write_text(json.dumps(asked))
    sweep = read_sweep(tmp_path)
    assert [job.name for job in sweep.jobs] == ["seed_3", "seed_5"]
    assert sweep.jobs[1].overrides == ("+experiment=a", "seed=5")
    assert sweep.command == ("study", "--config-dir=x", "+experiment=a", "seeds=3,5")


def test_seeds_are_named_so_that_they_are_taken_for_the_same():
    assert seeds_text((3, 4)) == "seeds=3,4"
    assert seeds_text((3,)) == "seeds=3,", "which seeds=3 is not"
