"""The command that studies: a real study once, and what it says, refuses and reports."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.fake_studies import FAKE, replace_training
from support.interrupted_runs import has_rows, hear_ctrl_c, interrupt, scontrol
from support.processes import SHORT, command

from lightning_dqn.commands import study as study_command
from lightning_dqn.commands.sweep import _requeued
from lightning_dqn.study import asked, comparison, launching, study
from lightning_dqn.study.processes import Processes
from lightning_dqn.study.results import Failure
from lightning_dqn.study.results_files import read_results
from lightning_dqn.study.sweep import Sweep


@pytest.fixture(scope="module")
def real_study(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    folder = tmp_path_factory.mktemp("study")
    arguments = ("seeds=2", "jobs=2", "name=tiny", *SHORT, "trainer.max_epochs=2")
    result = command("study", *arguments, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    [written] = (folder / "runs" / "tiny").iterdir()
    return written, result


@pytest.fixture
def fake_runs(tmp_path, monkeypatch) -> Path:
    """The working directory, with the fake program in place of training."""
    replace_training(tmp_path, monkeypatch)
    return tmp_path


def main(*arguments: str, monkeypatch) -> int:
    """Run the command line in this process; return its exit code."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        study_command.main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return 0


def test_a_study_leaves_results_tables_curve_and_plot(real_study):
    folder, _ = real_study
    names = {path.name for path in folder.iterdir() if path.name != ".lock"}
    logs = {"seed=0", "seed=0.log", "seed=1", "seed=1.log", "sweep.json", "multirun.yaml"}
    found = {"results.json", "results.csv", "table.md", "curve.csv", "curve.png"}
    assert names == logs | found
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((folder / "results.json").read_text())
    [setting] = results["settings"]
    assert [run["seed"] for run in setting["runs"]] == [0, 1]
    assert setting["failures"] == []
    returns = [run["episode_return"] for run in setting["runs"]]
    assert setting["aggregate"]["iqm"] == pytest.approx(sum(returns) / 2)
    assert setting["aggregate"]["interval"] == [min(returns), max(returns)]
    assert all(text in results["command"] for text in ("name=tiny", "seeds=0,1", *SHORT[:3]))


def test_every_run_of_a_study_has_its_seed_and_a_summary_of_its_own(real_study):
    folder, _ = real_study
    for seed in (0, 1):
        run_dir = folder / f"seed={seed}"
        summary = json.loads((run_dir / "summary.json").read_text())
        log = (folder / f"seed={seed}.log").read_text()
        assert f"return {summary['episode_return']:.1f} ±" in log
        assert summary["seed"] == seed
        asked = {"name=tiny", *SHORT[1:], "trainer.max_epochs=2", f"seed={seed}"}
        assert set(summary["overrides"]) == asked, "the last of a key counts"
        assert summary["env_steps"] > 256
        assert summary["first_env_step"] == 0
        assert 0 < summary["seconds"] < summary["wall_seconds"]
        assert set(summary["versions"]) == {"lightning_dqn", "torch", "lightning", "gymnasium"}
        assert summary["hardware"]["cpu"]
        assert summary["hardware"]["device"] == "cpu"
        commit = summary["commit"]
        assert commit is None or len(commit.removesuffix("-dirty")) == 40
        assert not list(run_dir.glob(".*.tmp"))


def test_the_terminal_shows_progress_and_the_table(real_study):
    folder, result = real_study
    lines = result.stdout.splitlines()
    assert lines[0].startswith("tiny: 2 jobs (seed=0, seed=1), in ")
    assert lines[1] == "running: seed=0, seed=1"
    finished = [line for line in lines if line.startswith("[")]
    assert len(finished) == 2
    table = (folder / "table.md").read_text().split("\n\n", 2)[2]
    assert table.strip() in result.stdout
    assert result.stderr == ""


def test_a_finished_study_is_summed_up_again_without_running(real_study, monkeypatch, capsys):
    folder, result = real_study
    monkeypatch.setattr(Processes, "_command", None)
    assert main(f"folder={folder}", monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert "2 of them finished already" in out
    assert result.stdout.split("\n\n", 1)[1].split("files")[0] in out


def test_a_seed_that_fails_is_named_and_never_counted(fake_runs, monkeypatch, capsys):
    (fake_runs / "order_1").write_text("fail")
    code = main("seeds=3", "jobs=2", "folder=study", monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert code == 1
    assert f"seed=1 failed: boom\n  see {Path('study', 'seed=1.log')}" in out
    assert "seed=1: failed, see" in out
    assert "2 of 3" in out
    found = read_results("study")
    [only] = found.settings
    assert [run.seed for run in only.runs] == [0, 2]
    assert found.failures == (Failure(1, "boom", "seed=1"),)
    assert only.aggregate()["mean"] == 10.0
    assert "failed" in Path("study", "table.md").read_text()


def test_a_study_of_which_every_seed_fails_has_no_return(fake_runs, monkeypatch, capsys):
    (fake_runs / "order_0").write_text("fail")
    assert main("seeds=1", "folder=study", monkeypatch=monkeypatch) == 1
    assert "0 of 1" in capsys.readouterr().out
    [only] = json.loads(Path("study", "results.json").read_text())["settings"]
    assert only["aggregate"] == {}


def test_the_exit_code_tells_whether_all_seeds_finished(fake_runs, monkeypatch):
    (fake_runs / "order_0").write_text("vanish")
    assert main("seeds=2", "folder=study", monkeypatch=monkeypatch) == 1
    (fake_runs / "order_0").unlink()
    assert main("folder=study", monkeypatch=monkeypatch) == 0
    (fake_runs / "order_2").write_text("fail")
    assert main("folder=study", "seeds=2,", "jobs=2", monkeypatch=monkeypatch) == 1


def test_what_should_be_known_is_told_before_the_first_run(fake_runs, monkeypatch, capsys):
    unnoted = asked.check_jobs

    def check_jobs(composer, *arguments):
        composer.note(["a: is without effect"])
        return unnoted(composer, *arguments)

    monkeypatch.setattr(asked, "check_jobs", check_jobs)
    assert main("+a=1", "seeds=1", "folder=study", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().err == "lightning-dqn: a: is without effect\n"


def test_a_study_is_not_continued_with_another_configuration(fake_runs, monkeypatch, capsys):
    main("+a=1", "seeds=1", "folder=study", monkeypatch=monkeypatch)
    assert main("+a=2", "folder=study", monkeypatch=monkeypatch) == 2
    assert "holds a study of +a=1" in capsys.readouterr().err


STOPPABLE = f"""
import sys
from lightning_dqn.commands import study as command
from lightning_dqn.study.processes import Processes
Processes._command = lambda self, sweep, job: [
    sys.executable, "-c", {FAKE!r}, str(sweep.run_dir(job)), str(job.seed)
]
command.main(["seeds=3", "jobs=2", "folder=study"])
"""


def stoppable(folder: Path, order: str, **environment: str) -> subprocess.Popen[str]:
    """Start a study whose first two runs, of three, have begun; in a group as a terminal's."""
    for seed in range(3):
        (folder / f"order_{seed}").write_text(order)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE],
        cwd=folder,
        env={**os.environ, **environment},
        preexec_fn=hear_ctrl_c,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while len(list(folder.glob("study/seed=*/began"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def runs_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes of a study's runs, where the system tells them."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_stopped_study_stops_its_runs_and_tells_how_to_go_on(number, tmp_path):
    process = stoppable(tmp_path, "sleep")
    pids = runs_of(process)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "continue with: python -m lightning_dqn resume study\n" in errors
    assert "Traceback" not in errors
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not (tmp_path / "study" / "results.json").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="SLURM's, on POSIX")
def test_slurm_is_asked_to_run_a_study_again_that_the_same_command_goes_on_with(tmp_path):
    path = scontrol(tmp_path)
    process = stoppable(tmp_path, "sleep", SLURM_JOB_ID="12", PATH=path)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=30)
    assert "SLURM runs job 12 again; the same command continues in study\n" in errors
    assert (tmp_path / "asked").read_text() == "requeue 12\n"


def test_slurm_is_not_asked_to_begin_a_sweep_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", scontrol(tmp_path))
    asked = Sweep("x", Path("runs/x"), (), ())
    assert _requeued(asked, again_goes_on=False) == []
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    [told] = _requeued(asked, again_goes_on=False)
    assert "isn't asked to run the job again" in told
    assert "resume runs/x" in told
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_a_terminal_comes_to_each_run_once(number, tmp_path):
    """A second one would end a run before it has saved."""
    process = stoppable(tmp_path, "save")
    os.killpg(process.pid, number)
    told, _ = process.communicate(timeout=30)
    assert "stopping: seed=0, seed=1; Ctrl-C once more ends them unsaved" in told
    for seed in (0, 1):
        assert (tmp_path / "study" / f"seed={seed}" / "heard").read_text() == "SIGTERM"


def test_runs_that_save_for_long_are_waited_for_until_ctrl_c_comes_once_more(tmp_path):
    process = stoppable(tmp_path, "save", SECONDS_TO_SAVE="60")
    pids = runs_of(process)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a run can't hear of it")
def test_runs_hear_of_the_end_of_a_study_that_is_killed(tmp_path):
    asked = ("seeds=1", "folder=study", *SHORT[1:])
    endless = ("trainer.max_epochs=100000", "module.compile=false")
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_dqn", "study", *asked, *endless],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    interrupt(process, has_rows(tmp_path / "study" / "seed=0", 3), signal.SIGKILL)
    log = tmp_path / "study" / "seed=0.log"
    deadline = time.monotonic() + 120
    while "all is saved" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "stopped by SIGTERM; all is saved" in log.read_text()


MISTAKES = {
    "seeds=x": "seeds=x: expected how many, as 5, or which, as 3,4,7",
    "seeds=0": "seeds=0: at least 1",
    "seeds=-1": "seeds=-1: expected how many",
    "seeds=3,3": "seeds=3,3: expected different whole numbers",
    "seeds=": "seeds=: a value is missing",
    "jobs=0": "jobs=0: expected a number from 1",
    "seed=3": "seed=3: a study takes its seeds as seeds=5",
    "hydra.run.dir=x": "a study's folder is folder=<folder>",
    "resume=x": "a study is continued with folder=<study folder>",
    "hydra/launcher=joblib": "a study runs jobs=<number> at once",
    "data.batch_size=8,0": "data.batch_size=0: at least 1 (job 5: ",
    "data.batchsize=3": "did you mean data.batch_size",
    "data.batch_size=0": "data.batch_size=0: at least 1",
    "+experiment=nope": "experiment=nope: no such option",
    "-m": "-m: of the flags a study takes --config-dir only",
    "metric=eval/mean_regret": "metric=eval/mean_regret: goes with report=<study folder> alone",
    "log=true": "log=True: goes with report=<study folder> alone",
    "report=nowhere": "report=nowhere: there is no such folder",
}


@pytest.mark.parametrize(("argument", "message"), MISTAKES.items())
def test_a_mistake_is_refused_in_one_message(argument, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "conduct", None)
    assert main(argument, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.txt").touch()
    assert main(f"folder={tmp_path}", "seeds=1", monkeypatch=monkeypatch) == 2
    assert "not that of a sweep or a study" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", (0, 1, 2, 3, 4)), ("1", (0,)), ("3,4,7", (3, 4, 7)), ("[3]", (3,)), ("3,", (3,))],
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert study_command.seeds_of(text) == seeds


def test_a_report_of_one_study_takes_a_folder_with_commas_in_its_name(fake_runs, monkeypatch):
    study.run_study(["+a=1"], seeds=[1, 2], folder="mine, (b)")
    assert main("report=mine, (b)", "folder=out", monkeypatch=monkeypatch) == 0
    assert "| fake" in Path("out", "table.md").read_text()
    study.run_study(["+a=2"], seeds=[1, 2], folder="mine")
    assert main("report=mine,mine, (b)", "folder=both", monkeypatch=monkeypatch) == 0
    table = Path("both", "table.md").read_text()
    assert ("+a=1" in table, "+a=2" in table) == (True, True)


def test_a_report_puts_studies_into_one_table_and_one_plot(fake_runs, monkeypatch, capsys):
    study.run_study(["+a=1"], seeds=[1, 2], folder="first")
    study.run_study(["+a=2"], seeds=[3], folder="second")
    capsys.readouterr()
    assert main("report=first,second", "folder=both", monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    table = Path("both", "table.md").read_text()
    rows = [line for line in out.splitlines() if line.startswith("| fake")]
    assert [row.split("|")[1].strip() for row in rows] == ["fake +a=1", "fake +a=2"]
    assert [row.split("|")[3].strip() for row in rows] == ["15.0 [10.0, 20.0]", "30.0"]
    assert all(row in table for row in rows)
    assert "- fake +a=2: `python -m lightning_dqn study +a=2 seeds=3,`" in table
    assert Path("both", "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_leaves_out_no_study_of_a_folder_of_the_same_name(fake_runs, monkeypatch, capsys):
    for number, name in enumerate(("one", "two", "three")):
        study.run_study(["+a=1"], seeds=[number], folder=Path(name, "cp"))
    capsys.readouterr()
    assert main("report=one/cp,two/cp,three/cp", "folder=all", monkeypatch=monkeypatch) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "fake" in line]
    assert [(row[1].strip(), row[3].strip()) for row in rows] == [
        ("fake (one/cp)", "0.0"),
        ("fake (two/cp)", "10.0"),
        ("fake (three/cp)", "20.0"),
    ]


def test_a_report_of_a_study_with_further_seeds_waits_for_them(fake_runs, monkeypatch, capsys):
    study.run_study([], seeds=[1], folder="first")
    study.plan([], seeds=[2], folder="first").sweep.write()
    assert main("report=first", "folder=all", monkeypatch=monkeypatch) == 2
    told = "report=first: isn't finished; continue it: python -m lightning_dqn resume first"
    assert told in capsys.readouterr().err
    study.run_study([], folder="first")
    assert main("report=first", "folder=all", monkeypatch=monkeypatch) == 0


def test_a_report_draws_the_metric_that_is_asked_for(fake_runs, monkeypatch, capsys):
    drawn = {}

    def draw(curves, path, *, metric=None, log=None, **_):
        drawn[metric, log] = curves

    monkeypatch.setattr(comparison, "plot", draw)
    study.run_study(["+a=1"], seeds=[2, 4], folder="first")
    study.run_study(["+a=2"], seeds=[1], folder="second")
    drawn.clear()
    asked = ("report=first,second", "folder=both")
    assert main(*asked, "metric=eval/mean_regret", "log=true", monkeypatch=monkeypatch) == 0
    [[how, curves]] = drawn.items()
    assert how == ("eval/mean_regret", True)
    assert curves["fake +a=2"].env_steps.tolist() == [101, 201]
    assert curves["fake +a=2"].iqm.tolist() == [1, 0]
    # Seed 2 goes from (102, 1/2) to (202, 0), seed 4 from (104, 1/4) to (204, 0).
    assert curves["fake +a=1"].iqm.tolist() == pytest.approx([(0.49 + 0.25) / 2, 0.0025])
    assert main(*asked, monkeypatch=monkeypatch) == 0
    assert drawn["eval/episode_return", False]["fake +a=2"].iqm.tolist() == [1, 2]


def test_a_study_that_lacks_the_metric_has_no_line_and_is_named(fake_runs, monkeypatch, capsys):
    study.run_study(["+a=1"], seeds=[1], folder="first")
    study.run_study(["+a=2"], seeds=[1], folder="second")
    Path("second", "seed=1", "metrics.csv").write_text("time/env_steps,eval/q_rmse\n5,1\n")
    asked = ("report=first,second", "folder=both", "metric=eval/mean_regret")
    assert main(*asked, monkeypatch=monkeypatch) == 0
    assert "fake +a=2: no eval/mean_regret at env steps in common" in capsys.readouterr().out


def test_a_run_that_is_not_all_in_a_line_is_named(fake_runs, monkeypatch, capsys):
    study.run_study(["+a=1"], seeds=[1, 2], folder="first")
    path = Path("first", "seed=2", "metrics.csv")
    path.write_text("time/env_steps,eval/mean_regret\n5,1\n150,nan\n200,1\n")
    asked = ("report=first", "folder=both", "metric=eval/mean_regret")
    assert main(*asked, monkeypatch=monkeypatch) == 0
    told = "fake, seed 2: eval/mean_regret isn't finite in 1 of 3 evaluations"
    assert told in capsys.readouterr().out
    path.write_text("time/env_steps,eval/mean_regret\n5,abc\n")
    assert main(*asked, monkeypatch=monkeypatch) == 2
    assert "first/seed=2/metrics.csv: can't be read" in capsys.readouterr().err
    assert main("report=first", "folder=both", monkeypatch=monkeypatch) == 0


def test_a_metric_that_no_run_logged_is_refused_naming_those_there_are(
    fake_runs, monkeypatch, capsys
):
    study.run_study([], seeds=[1], folder="first")
    asked = ("report=first", "folder=both", "metric=train/loss")
    assert main(*asked, monkeypatch=monkeypatch) == 2
    assert (
        "metric=train/loss: no run was evaluated by it; "
        "there are eval/episode_return, eval/mean_regret\n"
    ) in capsys.readouterr().err
    assert not Path("both").exists()


def test_a_report_does_not_overwrite_a_study(fake_runs, monkeypatch, capsys):
    study.run_study([], seeds=[1], folder="first")
    assert main("report=first", "folder=first", monkeypatch=monkeypatch) == 2
    assert main("report=first", "seeds=3", monkeypatch=monkeypatch) == 2
    assert main("report=first", "log=yes", monkeypatch=monkeypatch) == 2


def test_help_and_reports_need_no_torch(tmp_path):
    code = (
        "import sys; sys.argv = ['study', '--help']\n"
        "from lightning_dqn.commands import study; study.main(sys.argv[1:])\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "report=<study folder>" in result.stdout
