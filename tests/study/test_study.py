"""Studies: real runs once, and runs of a fake program for all that may go wrong."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import SHORT, command

from lightning_dqn.commands import study as study_command
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study import processes as study_runs
from lightning_dqn.study import results as study_report
from lightning_dqn.study import study
from lightning_dqn.study.results import Failure, Results, Run, duration, labels, read_results

# A program in place of a training run: its return is 10 times its seed; what it is to do instead
# lies in a file beside the study.
FAKE = """
import json, sys, time
from pathlib import Path

run_dir, seed = Path(sys.argv[1]), int(sys.argv[2])
order = run_dir.parent.parent / f"order_{seed}"
order = order.read_text() if order.exists() else ""
run_dir.mkdir()
(run_dir / "began").touch()
print("began")
if order == "sleep":
    time.sleep(60)
if order == "fail":
    sys.exit("boom")
if order == "vanish":
    sys.exit(0)
(run_dir / "metrics.csv").write_text(
    "time/env_steps,eval/episode_return,eval/mean_regret,train/loss\\n"
    f"{100 + seed},{seed},{1 / seed if seed else ''},0.5\\n{200 + seed},{2 * seed},0,0.25\\n"
)
result = {"episode_return": 10.0 * seed, "episode_return_std": 1.0, "episodes": 3, "seed": seed}
result |= {"env_steps": 200 + seed, "first_env_step": 0, "updates": 7, "wall_seconds": 1.5}
result |= {"commit": "a" * 40, "versions": {}, "hardware": {"cpu": "a CPU", "device": "cpu"}}
(run_dir / "summary.json").write_text(json.dumps(result))
if order == "fail late":
    sys.exit(4)
"""


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        study_runs,
        "_command",
        lambda study, seed: [sys.executable, "-c", FAKE, str(study.run_dir(seed)), str(seed)],
    )
    monkeypatch.setattr(study, "check", lambda arguments, seeds: "fake")
    monkeypatch.setattr(study_runs, "POLL_SECONDS", 0.02)
    return tmp_path


@pytest.fixture
def make_results(tmp_path):
    def make(name: str, returns=(1.0, 2.0, 3.0), overrides=(), folder="study", **run) -> Results:
        origin = {"versions": {}, "hardware": {"cpu": "a CPU", "device": "cpu"}}
        defaults = {"episode_return_std": 0.0, "episodes": 100, "env_steps": 1_000, "updates": 9}
        defaults |= {"wall_seconds": 31.0, "commit": "0123456789", **origin, **run}
        runs = [
            Run(seed=seed, episode_return=value, run_dir=f"seed_{seed}", **defaults)
            for seed, value in enumerate(returns)
        ]
        return Results(name, tmp_path / folder, f"run {name}", tuple(overrides), tuple(runs))

    return make


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


def test_a_study_leaves_results_table_curve_and_plot(real_study):
    folder, _ = real_study
    names = {path.name for path in folder.iterdir()}
    logs = {"seed_0", "seed_0.log", "seed_1", "seed_1.log"}
    assert names == logs | {"study.json", "results.json", "table.md", "curve.csv", "curve.png"}
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    results = json.loads((folder / "results.json").read_text())
    assert [run["seed"] for run in results["runs"]] == [0, 1]
    assert results["failures"] == []
    returns = [run["episode_return"] for run in results["runs"]]
    assert results["aggregate"]["iqm"] == pytest.approx(sum(returns) / 2)
    assert results["aggregate"]["interval"] == [min(returns), max(returns)]
    assert all(text in results["command"] for text in ("name=tiny", "seeds=0,1", *SHORT[:3]))


def test_every_run_of_a_study_has_its_seed_and_a_summary_of_its_own(real_study):
    folder, _ = real_study
    for seed in (0, 1):
        run_dir = folder / f"seed_{seed}"
        summary = json.loads((run_dir / "summary.json").read_text())
        log = (folder / f"seed_{seed}.log").read_text()
        assert f"return {summary['episode_return']:.1f} ±" in log
        assert summary["seed"] == seed
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
    assert lines[0].startswith("study tiny: seeds 0,1, in ")
    assert lines[1] == "running: 0, 1"
    finished = [line for line in lines if line.startswith("seed ")]
    assert len(finished) == 2
    table = (folder / "table.md").read_text().split("\n\n", 2)[2]
    assert table.strip() in result.stdout
    assert result.stderr == ""


def test_a_finished_study_is_summed_up_again_without_running(real_study, monkeypatch, capsys):
    folder, result = real_study
    monkeypatch.setattr(study_runs, "_command", None)
    assert main(f"folder={folder}", monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    assert "2 of them finished already" in out
    assert result.stdout.split("\n\n", 1)[1].split("files")[0] in out


def test_a_seed_that_fails_is_named_and_never_counted(fake_runs, monkeypatch, capsys):
    (fake_runs / "order_1").write_text("fail")
    code = main("seeds=3", "jobs=2", "folder=study", monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert code == 1
    assert f"seed 1 failed, exit code 1: {Path('study', 'seed_1.log')}\n  boom" in out
    assert "seed 1: failed, exit code 1, see" in out
    assert "2 of 3" in out
    results = read_results("study")
    assert [run.seed for run in results.runs] == [0, 2]
    assert results.failures == (Failure(1, "exit code 1", "seed_1.log"),)
    assert results.aggregate()["mean"] == 10.0
    assert "failed" in Path("study", "table.md").read_text()


@pytest.mark.parametrize("order", ["vanish", "fail late"])
def test_a_run_without_a_summary_or_with_an_exit_code_has_failed(order, fake_runs, monkeypatch):
    (fake_runs / "order_0").write_text(order)
    assert main("seeds=2", "folder=study", monkeypatch=monkeypatch) == 1
    assert [one.seed for one in read_results("study").failures] == [0]
    (fake_runs / "order_0").unlink()
    assert main("folder=study", monkeypatch=monkeypatch) == 0
    assert read_results("study").failures == ()


def test_a_study_of_which_every_seed_fails_has_no_return(fake_runs, monkeypatch, capsys):
    (fake_runs / "order_0").write_text("fail")
    assert main("seeds=1", "folder=study", monkeypatch=monkeypatch) == 1
    assert "0 of 1" in capsys.readouterr().out
    assert json.loads(Path("study", "results.json").read_text())["aggregate"] == {}


def test_a_continued_study_runs_only_what_is_missing_and_afresh(fake_runs, monkeypatch, capsys):
    (fake_runs / "order_1").write_text("fail")
    main("+a=1", "seeds=2", "folder=study", monkeypatch=monkeypatch)
    kept = Path("study", "seed_0", "began").stat().st_mtime_ns
    (fake_runs / "order_1").unlink()
    assert main("folder=study", "seeds=1,2", monkeypatch=monkeypatch) == 0
    assert Path("study", "seed_0", "began").stat().st_mtime_ns == kept
    assert Path("study", "seed_1_unfinished_1", "began").exists()
    assert "boom" in Path("study", "seed_1.log").read_text()
    results = read_results("study")
    assert [run.seed for run in results.runs] == [0, 1, 2]
    assert results.overrides == ("+a=1",)


def test_a_study_is_not_continued_with_another_configuration(fake_runs, monkeypatch, capsys):
    main("+a=1", "seeds=1", "folder=study", monkeypatch=monkeypatch)
    assert main("+a=2", "folder=study", monkeypatch=monkeypatch) == 2
    assert "holds a study of +a=1" in capsys.readouterr().err


def test_progress_tells_who_is_done_who_runs_and_who_waits(fake_runs, monkeypatch, capsys):
    main("seeds=3", "folder=study", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.splitlines()[:5] == [
        "study fake: seeds 0,1,2, in study",
        "running: 0 | waiting: 1, 2",
        "seed 0: return 0.0 ± 1.0 in 2 s | running: 1 | waiting: 2",
        "seed 1: return 10.0 ± 1.0 in 2 s | running: 2",
        "seed 2: return 20.0 ± 1.0 in 2 s",
    ]


def test_never_more_runs_at_once_than_jobs(fake_runs, monkeypatch):
    alive, most = set(), []
    start = study_runs._start

    def counted(asked, seed):
        process = start(asked, seed)
        alive.add(process)
        most.append(sum(one.poll() is None for one in alive))
        return process

    monkeypatch.setattr(study_runs, "_start", counted)
    results = study.run_study([], seeds=range(5), jobs=2, folder="study")
    assert max(most) == 2
    assert results.returns.tolist() == [0, 10, 20, 30, 40]


def test_the_curve_of_a_study_joins_its_runs(fake_runs):
    study.run_study([], seeds=[2, 4], folder="study")
    head, *points = Path("study", "curve.csv").read_text().splitlines()
    assert head == "env_steps,iqm,low,high"
    # Seed 2 goes from (102, 2) to (202, 4), seed 4 from (104, 4) to (204, 8).
    assert [float(value) for value in points[0].split(",")] == [104, 3.02, 2.04, 4]
    assert [float(value) for value in points[-1].split(",")] == [202, 5.96, 4, 7.92]


STOPPABLE = f"""
import sys
from lightning_dqn.commands import study as command
from lightning_dqn.study import processes as study_runs, study
study_runs._command = lambda s, seed: [
    sys.executable, "-c", {FAKE!r}, str(s.run_dir(seed)), str(seed)
]
study.check = lambda *arguments: "slow"
command.main(["seeds=3", "jobs=2", "folder=study"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_stops_its_runs_and_tells_how_to_go_on(number, tmp_path):
    for seed in range(3):
        (tmp_path / f"order_{seed}").write_text("sleep")
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("study/seed_*/began"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "continue with: python -m lightning_dqn study folder=study" in errors
    assert "Traceback" not in errors
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not (tmp_path / "study" / "results.json").exists()


MISTAKES = {
    "seeds=x": "seeds=x: expected how many, as 5, or which, as 3,4,7",
    "seeds=0": "seeds=0: at least 1",
    "seeds=-1": "seeds=-1: expected how many",
    "seeds=3,3": "seeds=3,3: expected different whole numbers",
    "seeds=": "seeds=: a value is missing",
    "jobs=0": "jobs=0: expected a whole number from 1",
    "seed=3": "seed=3: a study takes its seeds as seeds=5",
    "hydra.run.dir=x": "a study's folder is folder=<folder>",
    "resume=x": "a study is continued with folder=<study folder>",
    "test=false": "test=false: a study compares what its runs' test episodes return",
    "environment.id=CartPole-v1,Acrobot-v1": "a study is of one configuration",
    "data.batch_size=8,16": "compare them with report=<study folder>,<study folder>",
    "data.batchsize=3": "did you mean data.batch_size",
    "data.batch_size=0": "data.batch_size=0: at least 1",
    "+experiment=nope": "experiment/nope",
    "-m": "-m: of the flags a study takes --config-dir only",
    "metric=eval/mean_regret": "metric=eval/mean_regret: goes with report=<study folder> alone",
    "log=true": "log=true: goes with report=<study folder> alone",
    "report=nowhere": "not the results of a finished study",
}


@pytest.mark.parametrize(("argument", "message"), MISTAKES.items())
def test_a_mistake_is_refused_in_one_message(argument, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "conduct", None)
    assert main(argument, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.txt").touch()
    assert main(f"folder={tmp_path}", "seeds=1", monkeypatch=monkeypatch) == 2
    assert "is not empty and not that of a study" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", (0, 1, 2, 3, 4)), ("1", (0,)), ("3,4,7", (3, 4, 7)), ("[3]", (3,)), ("3,", (3,))],
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert study_command._seeds(text) == seeds


def test_the_command_of_a_study_names_the_same_seeds_again():
    asked = study.Study("a", Path("f"), ("+experiment=a b",), (3,))
    assert asked.command == "python -m lightning_dqn study '+experiment=a b' seeds=3,"
    assert study_command._seeds("3,") == asked.seeds


def test_the_runs_get_the_arguments_their_seed_and_their_folder():
    asked = study.Study("a", Path("/it's"), ("--config-dir", "c", "+experiment=a"), (3,))
    assert study_runs._command(asked, 3)[1:] == [
        "-m",
        "lightning_dqn",
        *asked.arguments,
        "seed=3",
        r"hydra.run.dir='/it\'s/seed_3'",
    ]


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


def test_a_report_draws_the_metric_that_is_asked_for(fake_runs, monkeypatch, capsys):
    drawn = {}

    def draw(curves, path, *, metric=None, log=None, **_):
        drawn[metric, log] = curves

    monkeypatch.setattr(study_report, "plot", draw)
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
    Path("second", "seed_1", "metrics.csv").write_text("time/env_steps,eval/q_rmse\n5,1\n")
    asked = ("report=first,second", "folder=both", "metric=eval/mean_regret")
    assert main(*asked, monkeypatch=monkeypatch) == 0
    assert "fake +a=2: no eval/mean_regret at env steps in common" in capsys.readouterr().out


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


def test_namesakes_are_told_apart_by_what_differs(make_results):
    def asked(name: str, *overrides: str, folder: str = "study") -> Results:
        return make_results(name, overrides=overrides, folder=folder)

    assert labels([asked("a", "x=1"), asked("b", "x=2")]) == ["a", "b"]
    assert labels([asked("a", "x=1"), asked("a", "x=1", "y=2")]) == ["a", "a y=2"]
    assert labels([asked("a"), asked("a", folder="other")]) == ["a", "a (other)"]


def test_a_single_run_has_no_interval(make_results):
    results = make_results("a", returns=[3.0])
    assert results.interval is None
    assert "3.0 [" not in str(results)


@pytest.mark.parametrize(
    ("seconds", "text"), [(31.2, "31 s"), (600, "10 min"), (12_240, "3.4 h"), (99.4, "99 s")]
)
def test_times_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_the_env_steps_before_a_continuation_count(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    path = Path("study", "seed_1", "summary.json")
    path.write_text(path.read_text().replace('"first_env_step": 0', '"first_env_step": 1000'))
    [run] = study.run_study([], folder="study").runs
    assert run.env_steps == 1_201


def test_help_and_reports_need_no_torch(tmp_path):
    code = (
        "import sys; sys.argv = ['study', '--help']\n"
        "import sys; from lightning_dqn.commands import study; study.main(sys.argv[1:])\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "report=<study folder>" in result.stdout


def test_a_wrong_summary_is_refused_before_anything_runs(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    Path("study", "seed_1", "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match="not the summary of a run"):
        study.plan([], seeds=None, folder="study")


@pytest.fixture(scope="module")
def results_program():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "results.py"
    spec = importlib.util.spec_from_file_location("benchmark_results", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark_results"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark_results"]


def test_the_table_of_results_states_what_the_runs_came_to(results_program, make_results):
    overrides = ("+experiment=acrobot",)
    finished = make_results("acrobot", (-70.0, -75.0, -80.0), overrides, env_steps=99_999)
    row = results_program.table({"acrobot": finished}).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
    assert cells == [
        "`+experiment=acrobot`",
        "99,999",
        "≥ -77",
        "-75.0 [-80.0, -70.0]",
        "-80.0 to -70.0",
        "3",
        "31 s",
        "0123456",
        "a CPU",
    ]
    assert results_program.complaints("acrobot", finished) == [], "the worst seed may be below"


def test_what_missed_the_mark_is_named(results_program, make_results):
    study = make_results("cartpole", (500.0, 470.0), env_steps=60_000)
    failed = Results(**{**vars(study), "failures": (Failure(7, "exit code 1", "seed_7.log"),)})
    assert results_program.complaints("cartpole", failed) == [
        "cartpole, seed 7: failed, exit code 1",
        "cartpole, seed 0: 60,000 env steps are more than 50,000",
        "cartpole, seed 1: 60,000 env steps are more than 50,000",
        "cartpole: 485.0 is below 500",
    ]
    assert "2 of 3" in results_program.table({"cartpole": failed})


def test_what_every_seed_must_reach_is_held_against_each(results_program, make_results):
    study = make_results("mountain_car", (-99.0, -101.5, -100.0), env_steps=119_000)
    assert results_program.complaints("mountain_car", study) == [
        "mountain_car, seed 1: -101.5 is below -101"
    ]
    assert "≥ -101, every seed" in results_program.table({"mountain_car": study})
