"""Training by the command line as a user meets it: real processes, from any working directory."""

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from support.processes import SHORT, command

from lightning_dqn.commands import train
from lightning_dqn.safekeeping.signals import Stopped


def test_a_run_ends_with_a_summary_of_what_it_came_to(finished_run):
    run, result = finished_run
    for text in ("test episodes", "env steps", "updates", str(run.relative_to(run.parents[2]))):
        assert text in result.stdout
    assert "evaluation return" in result.stdout
    assert "Traceback" not in result.stderr


def test_an_own_experiment_in_conf_is_found_beside_the_shipped_ones(finished_run):
    run, _ = finished_run
    config = OmegaConf.load(run / ".hydra" / "config.yaml")
    assert config.data.batch_size == 16


def test_a_run_leaves_checkpoints_weights_metrics_and_its_configuration(finished_run):
    run, _ = finished_run
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files >= {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "metrics.csv",
        "module.safetensors",
        "module.json",
        ".hydra/config.yaml",
    }


def test_a_run_leaves_no_empty_file_and_a_log_of_what_it_printed(finished_run):
    run, result = finished_run
    files = [path for path in run.rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_size == 0] == []
    log = (run / "train.log").read_text()
    assert all(line in log for line in result.stdout.splitlines())


def test_a_run_is_continued_with_its_own_configuration(finished_run, tmp_path):
    made, _ = finished_run
    run = tmp_path / "run"
    shutil.copytree(made, run)
    before = (run / "metrics.csv").read_text().splitlines()
    result = command(f"resume={run}", "trainer.max_epochs=2", cwd=made.parents[2])
    assert result.returncode == 0, result.stderr
    after = (run / "metrics.csv").read_text().splitlines()
    trained = before[:-1]
    assert after[: len(trained)] == trained
    tested = before[0].split(",").index("test/episode_return")
    for rows in (before, after):
        found = [number for number, row in enumerate(rows) if row.split(",")[tested]]
        assert found == [0, len(rows) - 1], "it is tested once, at its end"
    assert len(after) > len(before)
    column = before[0].split(",").index("step")
    steps = [int(row.split(",")[column]) for row in after[1:-1]]
    assert steps == sorted(steps)


def test_a_stop_says_what_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, last = Path("run"), Path("run/checkpoints/last.ckpt")
    unsaved = Stopped(signal.SIGTERM, last, is_saved=False)
    assert train._saved(Stopped(signal.SIGTERM), run) == "nothing was learned yet"
    assert train._saved(unsaved, run).endswith("couldn't be saved; nothing was saved before")
    last.parent.mkdir(parents=True)
    last.touch()
    assert train._saved(unsaved, run) == f"what is new couldn't be saved; {last} is as it was"
    assert train._saved(Stopped(signal.SIGTERM), run) == f"{last} is as it was"
    assert train._saved(Stopped(signal.SIGTERM, last), run) == f"all is saved in {last}"


def test_a_mistake_exits_with_2_and_leaves_nothing_behind(tmp_path):
    result = command("environment.id=Pendulum-v1", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("lightning-dqn: environment.id=Pendulum-v1")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_comes_when_asked_for(tmp_path):
    result = command("data.batch_size=0", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert result.returncode != 0
    assert "Traceback" in result.stderr


def test_an_error_of_an_environment_is_told_last_with_what_goes_on(tmp_path):
    (tmp_path / "breaks.py").write_text(
        """
import gymnasium

class Breaks(gymnasium.Wrapper):
    steps = 0

    def step(self, action):
        Breaks.steps += 1
        if Breaks.steps == 4_000:
            raise RuntimeError("the sensor is gone")
        return super().step(action)

gymnasium.register("Breaks-v0", lambda **kwargs: Breaks(gymnasium.make("CartPole-v1", **kwargs)))
"""
    )
    result = command(
        *("environment.id=breaks:Breaks-v0", *SHORT, "trainer.max_epochs=1000"),
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert result.returncode == 1
    *frames, error, saved, again = result.stderr.splitlines()
    assert error == "RuntimeError: the sensor is gone"
    assert any("breaks.py" in frame for frame in frames)
    [run] = (tmp_path / "runs").glob("*/*")
    assert saved.split() == ["saved", str(run.relative_to(tmp_path) / "checkpoints/last.ckpt")]
    assert again.split() == [
        *("continue", "python", "-m", "lightning_dqn", "resume"),
        *(str(run.relative_to(tmp_path)), "trust=breaks"),
    ]


def test_a_mistake_in_one_job_of_a_sweep_is_found_before_the_first(tmp_path):
    result = command("-m", "data.batch_size=8,0", *SHORT, cwd=tmp_path)
    assert result.returncode == 2
    assert "data.batch_size=0" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_config_dir_brings_experiments_of_another_folder(tmp_path):
    folder = tmp_path / "elsewhere" / "experiment"
    folder.mkdir(parents=True)
    (folder / "other.yaml").write_text("# @package _global_\ndata:\n  batch_size: 7\n")
    result = command(
        "--config-dir", str(folder.parent), "+experiment=other", "--cfg", "job", cwd=tmp_path
    )
    assert yaml.safe_load(result.stdout)["data"]["batch_size"] == 7


def test_training_imports_nothing_that_the_run_does_not_use():
    code = (
        "import sys; import lightning_dqn.runs.run, lightning_dqn.callbacks\n"
        # torchmetrics, which Lightning imports, takes matplotlib where it finds it.
        "heavy = {'wandb', 'pygame', 'pandas', 'minatar', 'torch._inductor.compile_fx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_run_of_another_folder_says_how_it_is_continued(tmp_path):
    folder = tmp_path / "else where" / "experiment"
    folder.mkdir(parents=True)
    (folder / "other.yaml").write_text("# @package _global_\ndata:\n  batch_size: 7\n")
    flag = f"--config-dir={folder.parent}"
    made = command(flag, "+experiment=other", "name=x", *SHORT, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    [line] = [one for one in made.stdout.splitlines() if one.startswith("  continue")]
    words = shlex.split(line.replace("=N", "=2"))[1:]
    assert words[-1] == flag
    alone, again = (
        command(*some, "--cfg", "job", cwd=tmp_path) for some in (words[3:-1], words[3:])
    )
    assert (alone.returncode, again.returncode) == (2, 0), again.stderr
    assert yaml.safe_load(again.stdout)["data"]["batch_size"] == 7
