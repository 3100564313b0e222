"""Which jobs a sweep has, new or gone on with."""

import re
from pathlib import Path

import pytest

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.jobs_check import check_jobs
from lightning_dqn.runs.trust import NOTHING, Trust
from lightning_dqn.study.planning import again, begun, check_pending, gone_on_with
from lightning_dqn.study.sweep import Sweep, read_sweep

CPU = "trainer.accelerator=cpu"


def planned(*arguments: str):
    with Composer(["-m", CPU, *arguments]) as composer:
        return check_jobs(composer)


def sweep_of(folder: Path, *overrides: str, **more) -> Sweep:
    jobs = (SweepJob("seed=1", (CPU, *overrides, "seed=1")),)
    return Sweep("a", folder, ("-m", *overrides), jobs, **more)


def own_environment(folder: Path, monkeypatch) -> list[str]:
    """Make an environment that the experiment ``own`` names; return where that is found."""
    (folder / "a_game.py").write_text(
        "from gymnasium import register, spec\n"
        "register('Own-v0', spec('CartPole-v1').entry_point)\n"
    )
    (folder / "experiment").mkdir()
    yaml = "# @package _global_\nenvironment: {id: 'a_game:Own-v0'}\n"
    (folder / "experiment" / "own.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(str(folder))
    return [f"--config-dir={folder}"]


def test_a_sweep_over_experiments_lies_in_one_folder():
    plan = planned("+experiment=cartpole,acrobot", "seed=0,1")
    assert plan.name == "2 experiments"
    assert plan.folder.parent == Path("runs")
    assert plan.folder.name.startswith("sweep_2")
    assert [job.name for job in plan.jobs] == [
        f"experiment={name},seed={seed}" for name in ("cartpole", "acrobot") for seed in (0, 1)
    ]


def test_a_sweep_of_one_name_lies_below_it():
    plan = planned("name=mine", "seed=0,1")
    assert (plan.name, plan.folder.parent) == ("mine", Path("runs", "mine"))


def test_a_single_run_is_no_sweep():
    with Composer([CPU]) as composer:
        plan = check_jobs(composer)
    assert (plan.folder, plan.jobs) == (None, ())


def test_folders_of_the_users_own_must_differ():
    with pytest.raises(ConfigError, match="several jobs would have the same folder"):
        planned("seed=0,1", "hydra.sweep.subdir=one")


@pytest.mark.parametrize("name", ["../x${seed}", "/elsewhere/x${seed}", "a/../../x${seed}", "."])
def test_folders_of_the_users_own_lie_below_the_sweeps(name):
    with pytest.raises(ConfigError, match=r"^hydra\.sweep\.subdir=.*: a job's folder lies below"):
        planned("seed=0,1", f"hydra.sweep.subdir={name}")


def test_a_folder_with_a_sweep_is_not_taken_for_another(tmp_path):
    folder = tmp_path / "my sweep"
    sweep_of(folder).write()
    plan = planned("seed=0,1", f"hydra.sweep.dir='{folder}'")
    told = f"holds a sweep already; continue it: python -m lightning_dqn resume '{folder}'"
    with pytest.raises(ConfigError, match=re.escape(told)):
        begun(plan, [])


@pytest.mark.parametrize("argument", ["seed=0,0", "data.batch_size=32,32"])
def test_no_run_counts_twice(argument):
    with pytest.raises(ConfigError, match=r"^seed=0: .* and .* are the same run"):
        begun(planned(argument), [])


def test_a_sweep_without_seeds_has_those_of_its_configuration(tmp_path):
    asked = begun(planned("module.optimizer.lr=1e-3,1e-4", f"hydra.sweep.dir={tmp_path}"), [])
    asked.write()
    assert [job.seed for job in read_sweep(tmp_path).jobs] == [0, 0]


def test_a_sweep_goes_on_with_what_is_missing(tmp_path):
    first, second = SweepJob("a", (CPU, "seed=1")), SweepJob("b", (CPU, "seed=2"))
    sweep = Sweep("x", tmp_path, (), (first, second))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "summary.json").touch()
    with gone_on_with(sweep) as composer:
        check_pending(composer, sweep, NOTHING)
        [job] = composer.jobs()
        assert (job.name, job.config.seed) == ("b", 2)
        assert job.config.run_dir == str(tmp_path / "b")


@pytest.mark.parametrize("argument", ["seed=3", "+experiment=acrobot", "data.batch_size=3"])
def test_a_sweep_goes_on_as_it_was_asked_for(argument, tmp_path):
    with pytest.raises(ConfigError, match="a sweep continues as it was asked for"):
        gone_on_with(sweep_of(tmp_path), [argument])


@pytest.mark.parametrize("trust", [Trust(("a_game",)), None])
def test_jobs_may_name_what_a_sweep_that_goes_on_may(trust, tmp_path, monkeypatch):
    """Also what their YAML names alone."""
    own = own_environment(tmp_path, monkeypatch)
    sweep = sweep_of(tmp_path / "sweep", "+experiment=own")
    with gone_on_with(sweep, own) as composer:
        going_on = check_pending(composer, sweep, trust)
    assert going_on.trust == ("a_game",)
    assert again(going_on, composer).endswith(" trust=a_game")


def test_a_new_sweep_says_what_has_to_be_trusted_when_it_goes_on(tmp_path, monkeypatch):
    own = own_environment(tmp_path, monkeypatch)
    asked = begun(planned(*own, "+experiment=own", "notes=${oc.env:HOME}", "seed=0,1"), [])
    assert asked.trust == ("oc.env", "a_game")


@pytest.mark.parametrize(
    ("override", "trusted"),
    [
        ("environment.id=mine:X-v0", "mine"),
        ("module.network._target_=mine.Net", "mine"),
        ("name=${oc.env:HOME}", "oc.env"),
    ],
)
def test_a_sweep_that_was_sent_runs_no_code_of_its_own(override, trusted, tmp_path):
    sweep = sweep_of(tmp_path, override)
    with gone_on_with(sweep) as composer, pytest.raises(ConfigError, match=f"trust={trusted}"):
        check_pending(composer, sweep, NOTHING)


def test_a_launcher_is_not_taken_from_a_folder(tmp_path):
    sweep = sweep_of(tmp_path, "hydra/launcher=joblib")
    with gone_on_with(sweep) as composer, pytest.raises(ConfigError, match="type it again"):
        check_pending(composer, sweep, Trust.of("hydra"))


def test_the_command_that_goes_on_has_what_the_folder_may_not_say(tmp_path):
    sweep = sweep_of(tmp_path / "my sweep")
    own = ["-m", f"--config-dir={tmp_path}", "hydra/launcher=processes", "hydra.verbose=true"]
    with Composer([*own, "hydra.sweep.dir=x", "seed=1,2"]) as composer:
        told = again(sweep, composer)
    assert told == (
        f"python -m lightning_dqn resume '{tmp_path}/my sweep' --config-dir={tmp_path} "
        "hydra/launcher=processes hydra.verbose=true"
    )


def test_a_study_says_itself_how_many_ran_at_once(tmp_path):
    sweep = sweep_of(tmp_path, num_at_once=3)
    with gone_on_with(sweep) as composer:
        assert composer.overrides[:2] == ["hydra/launcher=processes", "hydra.launcher.n_jobs=3"]
        assert again(sweep, composer) == f"python -m lightning_dqn resume {tmp_path}"
    with gone_on_with(sweep, ["hydra/launcher=basic"]) as composer:
        assert composer.overrides[0] == "hydra/launcher=basic"
