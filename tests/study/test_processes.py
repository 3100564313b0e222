"""Jobs in processes: a process for each, several at once, none forgotten."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study import study
from lightning_dqn.study.processes import Processes
from lightning_dqn.study.results_files import read_results
from lightning_dqn.study.sweep import Sweep


def sweep_of(folder: Path, *seeds: int) -> Sweep:
    jobs = tuple(SweepJob(f"seed={seed}", (f"seed={seed}",)) for seed in seeds)
    folder.mkdir()
    return Sweep("fake", folder, (), jobs)


@pytest.mark.parametrize("order", ["vanish", "fail late"])
def test_a_run_without_a_summary_or_with_an_exit_code_has_failed(order, fake_runs):
    (fake_runs / "order_0").write_text(order)
    study.run_study([], seeds=[0, 1], folder="study")
    assert [one.seed for one in read_results("study").failures] == [0]
    (fake_runs / "order_0").unlink()
    study.run_study([], folder="study")
    assert read_results("study").failures == ()


def test_progress_tells_who_runs_and_what_came_of_it(fake_runs, capsys):
    (fake_runs / "order_1").write_text("fail")
    study.run_study([], seeds=range(3), folder="study")
    assert capsys.readouterr().out.splitlines()[:7] == [
        "fake: 3 jobs (seed=0, seed=1, seed=2), in study",
        "running: seed=0",
        "[1/3] seed=0: return 0.0 ± 1.0 in 2 s",
        "running: seed=1",
        "[2/3] seed=1: failed, see study/seed=1.log",
        "running: seed=2",
        "[3/3] seed=2: return 20.0 ± 1.0 in 2 s",
    ]


def test_never_more_runs_at_once_than_jobs(fake_runs, monkeypatch):
    alive, most = set(), []
    start = Processes._start

    def counted(self, sweep, job):
        process = start(self, sweep, job)
        alive.add(process)
        most.append(sum(one.poll() is None for one in alive))
        return process

    monkeypatch.setattr(Processes, "_start", counted)
    [only] = study.run_study([], seeds=range(5), jobs=2, folder="study").settings
    assert max(most) == 2
    assert only.returns.tolist() == [0, 10, 20, 30, 40]


def test_a_run_that_a_signal_ended_has_failed_by_it(fake_runs, monkeypatch):
    (fake_runs / "order_1").write_text("sleep")
    start = Processes._start

    def killed(self, sweep, job):
        process = start(self, sweep, job)
        process.send_signal(signal.SIGKILL)
        return process

    monkeypatch.setattr(Processes, "_start", killed)
    sweep, ended = sweep_of(fake_runs / "study", 1), []
    Processes().run(sweep, iter(sweep.jobs), lambda job, reason: ended.append(reason))
    assert ended == ["signal 9"]


def test_a_job_is_asked_for_when_there_is_room_for_it(fake_runs):
    """So that what is tried next can depend on what came before."""
    sweep, order = sweep_of(fake_runs / "study", 1, 2, 3), []

    def jobs():
        for job in sweep.jobs:
            order.append(f"asked {job.seed}")
            yield job

    Processes().run(sweep, jobs(), lambda job, reason: order.append(f"ended {job.seed}"))
    assert order == ["asked 1", "ended 1", "asked 2", "ended 2", "asked 3", "ended 3"]


def test_whatever_ends_it_early_ends_the_runs(fake_runs, monkeypatch):
    (fake_runs / "order_1").write_text("sleep")
    started, start = [], Processes._start
    monkeypatch.setattr(
        Processes, "_start", lambda *asked: started.append(start(*asked)) or started[-1]
    )

    def interrupt(job, reason):
        raise KeyboardInterrupt

    sweep = sweep_of(fake_runs / "study", 1, 2)
    with pytest.raises(KeyboardInterrupt):
        Processes(2).run(sweep, iter(sweep.jobs), interrupt)
    assert [process.returncode for process in started] == [-signal.SIGTERM, 0]


def test_the_runs_get_the_arguments_their_overrides_and_their_folder():
    job = SweepJob("seed=3", ("+experiment=a", "seed=3"))
    sweep = Sweep("a", Path("/it's"), (), (job,))
    assert Processes(1, ["--config-dir=c"])._command(sweep, job)[1:] == [
        "-m",
        "lightning_dqn",
        "--config-dir=c",
        "+experiment=a",
        "seed=3",
        r"hydra.run.dir='/it\'s/seed=3'",
        "hydra.mode=RUN",
    ]


def test_a_run_with_a_checkpoint_goes_on(tmp_path):
    job = SweepJob("seed=3", ("seed=3",))
    sweep = Sweep("a", tmp_path, (), (job,))
    (tmp_path / "seed=3" / "checkpoints").mkdir(parents=True)
    (tmp_path / "seed=3" / "checkpoints" / "last.ckpt").touch()
    resumed = ["seed=3", f"resume={tmp_path / 'seed=3'}"]
    assert Processes()._command(sweep, job)[3:] == resumed
    trusting = replace(sweep, trust=("mine", "oc.env"))
    assert Processes()._command(trusting, job)[3:] == [*resumed, "trust=mine,oc.env"]
