"""The runs of a study: a process for each seed, several at once, none forgotten."""

import signal
from pathlib import Path

import pytest

from lightning_dqn.study import processes, study
from lightning_dqn.study.processes import Study, run_seeds
from lightning_dqn.study.results import Failure, read_results


@pytest.mark.parametrize("order", ["vanish", "fail late"])
def test_a_run_without_a_summary_or_with_an_exit_code_has_failed(order, fake_runs):
    (fake_runs / "order_0").write_text(order)
    study.run_study([], seeds=[0, 1], folder="study")
    assert [one.seed for one in read_results("study").failures] == [0]
    (fake_runs / "order_0").unlink()
    study.run_study([], folder="study")
    assert read_results("study").failures == ()


def test_progress_tells_who_is_done_who_runs_and_who_waits(fake_runs, capsys):
    study.run_study([], seeds=range(3), folder="study")
    assert capsys.readouterr().out.splitlines()[:5] == [
        "study fake: seeds 0,1,2, in study",
        "running: 0 | waiting: 1, 2",
        "seed 0: return 0.0 ± 1.0 in 2 s | running: 1 | waiting: 2",
        "seed 1: return 10.0 ± 1.0 in 2 s | running: 2",
        "seed 2: return 20.0 ± 1.0 in 2 s",
    ]


def test_never_more_runs_at_once_than_jobs(fake_runs, monkeypatch):
    alive, most = set(), []
    start = processes._start

    def counted(asked, seed):
        process = start(asked, seed)
        alive.add(process)
        most.append(sum(one.poll() is None for one in alive))
        return process

    monkeypatch.setattr(processes, "_start", counted)
    results = study.run_study([], seeds=range(5), jobs=2, folder="study")
    assert max(most) == 2
    assert results.returns.tolist() == [0, 10, 20, 30, 40]


def test_a_run_that_a_signal_ended_has_failed_by_it(fake_runs, monkeypatch):
    (fake_runs / "order_1").write_text("sleep")
    start = processes._start

    def killed(asked, seed):
        process = start(asked, seed)
        process.send_signal(signal.SIGKILL)
        return process

    monkeypatch.setattr(processes, "_start", killed)
    asked = Study("fake", fake_runs / "study", (), (1,))
    asked.folder.mkdir()
    said = []
    failures = run_seeds(asked, [1], jobs=1, say=said.append)
    assert failures == [Failure(1, "signal 9", "seed_1.log")]
    assert said == ["running: 1", f"seed 1: failed, signal 9, see {asked.log(1)}"]


def test_whatever_ends_it_early_ends_the_runs(fake_runs, monkeypatch):
    (fake_runs / "order_1").write_text("sleep")
    started, start = [], processes._start
    monkeypatch.setattr(
        processes, "_start", lambda *asked: started.append(start(*asked)) or started[-1]
    )

    def interrupt(text):
        raise KeyboardInterrupt

    asked = Study("fake", fake_runs / "study", (), (1,))
    asked.folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run_seeds(asked, [1], jobs=1, say=interrupt)
    [process] = started
    assert process.returncode == -signal.SIGTERM


def test_the_command_of_a_study_names_the_same_seeds_again():
    asked = Study("a", Path("f"), ("+experiment=a b",), (3,))
    assert asked.command == "python -m lightning_dqn study '+experiment=a b' seeds=3,"
    several = Study("a", Path("f"), (), (3, 5))
    assert several.command == "python -m lightning_dqn study seeds=3,5"


def test_the_runs_get_the_arguments_their_seed_and_their_folder():
    asked = Study("a", Path("/it's"), ("--config-dir", "c", "+experiment=a"), (3,))
    assert processes._command(asked, 3)[1:] == [
        "-m",
        "lightning_dqn",
        *asked.arguments,
        "seed=3",
        r"hydra.run.dir='/it\'s/seed_3'",
    ]
