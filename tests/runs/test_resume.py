"""``resume=<run folder>``: the arguments of a run, to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.resume import Resumed, begun_otherwise, quoted
from lightning_dqn.runs.resuming import find_resumed
from lightning_dqn.runs.shell import continue_command


def resumed(*arguments: str) -> Resumed:
    """Return the run that arguments name."""
    found = find_resumed(arguments)
    assert found is not None
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with what is looked at of a run."""
    folder = tmp_path / "a run, n=1's"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / ".hydra" / "config.yaml").touch()
    saved = "- data.batch_size=64\n- trainer.max_epochs=2\n- ckpt_path='/old.ckpt'\n"
    (folder / ".hydra" / "overrides.yaml").write_text(saved + "- hydra.run.dir='/old'\n")
    return folder


def test_new_values_take_the_places_of_the_saved_ones(run: Path) -> None:
    expanded = resumed(f"resume={run}", "trainer.max_epochs=5", "num_threads=2").arguments
    assert expanded[:2] == ["data.batch_size=64", "trainer.max_epochs=5"]
    assert expanded[-1] == "num_threads=2"
    assert len(expanded) == 6


def test_folder_and_checkpoint_are_the_runs_own_whatever_its_name(run: Path) -> None:
    with Composer(resumed(f"resume={run}").arguments) as composer:
        config = without_hydra(composer.config())
        assert config.run_dir == str(run)
    assert config.ckpt_path == str(run / "checkpoints" / "last.ckpt")
    assert config.data.batch_size == 64


def test_arguments_without_resume_name_no_run() -> None:
    assert find_resumed(["+experiment=cartpole", "seed=1", "-m"]) is None


def test_what_is_typed_again_as_it_was_is_nothing_new(run: Path) -> None:
    again = resumed(f"resume={run}", "data.batch_size=64", "hydra.run.dir=elsewhere")
    assert (again.asked, again.folder) == ([], run)


def test_a_value_of_before_may_be_asked_for_again(run: Path) -> None:
    own = ["+notes=a", "trainer.max_epochs=2", "trainer.max_epochs=14", "notes=b", "~tags"]
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(own))
    again = resumed(f"resume={run}", "trainer.max_epochs=2", "notes=a")
    assert again.asked == ["trainer.max_epochs=2", "notes=a"]
    assert again.arguments[:2] == ["+notes=a", "trainer.max_epochs=2"]
    assert not any("14" in one for one in again.arguments)
    assert resumed(f"resume={run}", *own).asked == []


def test_a_checkpoint_stands_for_its_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resumed(f"resume={run}/checkpoints/last.ckpt").folder == run
    monkeypatch.chdir(run / "checkpoints")
    assert resumed("resume=last.ckpt").folder == run


def test_a_run_without_a_checkpoint_begins_from_what_it_began_from(run: Path) -> None:
    (run / "checkpoints" / "last.ckpt").unlink()

    def begun_from(*arguments: str) -> list[str]:
        found = resumed(f"resume={run}", *arguments).arguments
        return [one for one in found if one.startswith("ckpt_path")]

    assert begun_from() == begun_from("ckpt_path='/old.ckpt'") == ["ckpt_path='/old.ckpt'"]
    assert begun_from("ckpt_path=/other.ckpt") == ["ckpt_path=/other.ckpt"]
    overrides = run / ".hydra" / "overrides.yaml"
    overrides.write_text("- data.batch_size=64\n")
    assert begun_from() == []
    overrides.write_text("- ckpt_path='/old/checkpoints/last.ckpt'\n- hydra.run.dir='/old'\n")
    assert begun_from() == [], "its own of before it was moved, which is gone"


def test_the_folder_one_is_in_goes_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    assert resumed("resume=.").folder.resolve() == run
    with pytest.raises(ConfigError, match=r"overrides\.yaml is missing"):
        resumed("resume=.hydra/config.yaml")


def test_a_run_goes_on_from_the_generation_before_where_that_alone_is_left(run: Path) -> None:
    last = run / "checkpoints" / "last.ckpt"
    last.rename(run / "checkpoints" / "last.previous.ckpt")
    with Composer(resumed(f"resume={run}").arguments) as composer:
        assert composer.config().ckpt_path == str(last)


def test_a_run_that_has_other_checkpoints_alone_never_begins_anew(run: Path) -> None:
    (run / "checkpoints" / "last.ckpt").rename(run / "checkpoints" / "best.ckpt")
    with pytest.raises(ConfigError, match=r"last\.ckpt is missing, though best\.ckpt is there"):
        resumed(f"resume={run}")


def test_auto_goes_on_where_there_is_a_run(run: Path, tmp_path: Path) -> None:
    assert find_resumed(["resume=auto", "hydra.run.dir=new", "seed=1"]) is None
    plain = run.rename(tmp_path / "plain")
    again = resumed("resume=auto", f"hydra.run.dir={plain}", "data.batch_size=64")
    assert (again.folder, again.asked) == (plain, [])
    started = resumed("resume=auto", f"hydra.run.dir={plain}", "ckpt_path=other.ckpt")
    with Composer(started.arguments) as composer:
        assert composer.config().ckpt_path == str(plain / "checkpoints" / "last.ckpt")
    with pytest.raises(ConfigError, match=r"resume=auto: .* name it by hydra.run.dir=<folder>"):
        find_resumed(["resume=auto"])


@pytest.mark.parametrize(
    ("asked", "folder"),
    [
        ("runs/${name}/job_7", "runs/CartPole-v1/job_7"),
        ("job_${oc.env:SLURM_JOB_ID}", "job_41"),
        (r"runs/a\,b", "runs/a,b"),
        (r"'runs/a\'b'", "runs/a'b"),
    ],
)
def test_auto_looks_where_the_run_would_lie(
    asked: str, folder: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.chdir(tmp_path)
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    run.rename(folder)
    again = resumed("resume=auto", f"hydra.run.dir={asked}", "data.batch_size=64")
    with Composer(again.arguments) as composer:
        config = without_hydra(composer.config())
        assert config.run_dir == str(tmp_path / folder)
    assert config.ckpt_path == str(tmp_path / folder / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize(
    "arguments",
    [
        ["hydra.run.dir=runs/${now:%H-%M}"],
        ["hydra.run.dir=runs/${name}", "name=at_${now:%H-%M}"],
        ["-m", "seed=0,1", "hydra.run.dir=runs/x"],
    ],
)
def test_auto_wants_a_single_run_whose_folder_stays(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^resume=auto: .*=<folder>, the same each time$"):
        find_resumed([*arguments, "resume=auto"])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder of a run with the configuration that it was made with."""
    folder = tmp_path / "made"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- data.batch_size=64\n")
    with Composer(["data.batch_size=64"]) as composer:
        OmegaConf.save(without_hydra(composer.config()), folder / ".hydra" / "config.yaml")
    return folder


def check(run: Path, *asked: str) -> None:
    again = resumed(f"resume={run}", *asked)
    with Composer(again.arguments) as composer:
        again.check(without_hydra(composer.config()))


@pytest.mark.parametrize(
    "asked",
    [
        "trainer.max_epochs=20",
        "env_steps=1e5",
        "logger=tensorboard",
        "trainer.accelerator=cpu",
        "data.evaluation.num_envs=3",
        "~callbacks.best_checkpoint",
        "callbacks.doctor=null",
        "~callbacks.diagnostics",
        "+callbacks/device_stats=default",
        "+callbacks/videos=default",
        "+callbacks/matches=default",
        "data.replay.storage=memmap",
        "num_threads=2",
    ],
)
def test_what_is_not_learned_by_may_change(asked: str, made: Path) -> None:
    check(made)
    check(made, asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("data.replay.gamma=0.9", r"data.replay.gamma=0.9: the run in .*made was made with 0.99"),
        ("seed=3", "seed=3: .* was made with 0"),
        ("trainer.devices=[0,1]", r"trainer.devices=\[0,1\]: .* by 1 rank, .* there would be 2;"),
        ("trainer.devices='2'", "trainer.devices=2: .* by 1 rank, .* there would be 2;"),
        ("trainer.devices='0,1'", "trainer.devices=0,1: .* by 1 rank, .* there would be 2;"),
        ("data.batch_size=32", "data.batch_size=32: .* with 64"),
        ("data.replay.capacity=5000", "data.replay.capacity=5000: "),
        ("environment.id=Acrobot-v1", "environment.id=Acrobot-v1: .* with CartPole-v1"),
        ("data/sampler=prioritized", r"data.sampler.\w+=.*: .* was made with "),
        ("callbacks.target_network.tau=0.1", "callbacks.target_network.tau=0.1: "),
        ("+callbacks/redo=default", r"callbacks.redo.\w+=.*: .* with nothing of that name"),
        ("module.max_gradient_norm=1", "module.max_gradient_norm=1: "),
        ("algorithm=rainbow", "was made with"),
    ],
)
def test_what_is_learned_by_may_not_change(asked: str, told: str, made: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        check(made, asked)


def test_what_a_run_began_with_may_have_another_name(made: Path) -> None:
    path = made / ".hydra" / "config.yaml"
    saved = OmegaConf.load(path)
    saved.weights_from = "runs/other"
    OmegaConf.save(saved, path)
    check(made)
    with pytest.raises(ConfigError, match=r"^weights_from=/else: .* was made with runs/other"):
        check(made, "weights_from=/else")


def test_a_key_of_a_later_version_is_no_difference(made: Path) -> None:
    path = made / ".hydra" / "config.yaml"
    saved = OmegaConf.load(path)
    del saved.data.collection.overlap
    OmegaConf.save(saved, path)
    check(made)


def test_a_run_of_another_folder_or_configuration_wants_it_typed_again(
    run: Path, tmp_path: Path
) -> None:
    own = tmp_path / "cd"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 9\n")
    (own / "other.yaml").write_text("defaults: [config, _self_]\ntest: false\n")
    flags = ["--config-dir", str(own), "--config-name", "other"]
    with Composer(["+experiment=mine", *flags]) as composer:
        made = composer.config()
        OmegaConf.save(OmegaConf.masked_copy(made, "hydra"), run / ".hydra" / "hydra.yaml")
    (run / ".hydra" / "overrides.yaml").write_text("- +experiment=mine\n")
    with pytest.raises(ConfigError, match=r": --config-dir=.*cd: no flag is taken .* it again"):
        find_resumed([f"resume={run}"])
    with pytest.raises(ConfigError, match=r": --config-name=other: no flag is taken"):
        find_resumed([f"resume={run}", *flags[:2]])
    with Composer(resumed(f"resume={run}", *flags).arguments) as composer:
        config = composer.config()
    assert (config.seed, config.test) == (9, False)


def test_folders_that_were_searched_are_found_to_be_typed_again(run: Path, tmp_path: Path) -> None:
    (tmp_path / "cd" / "experiment").mkdir(parents=True)
    (tmp_path / "cd" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 9\n")
    own = f"hydra.searchpath=[file://{tmp_path}/cd]"
    with Composer(["+experiment=mine", own]) as composer:
        made = composer.config()
        OmegaConf.save(OmegaConf.masked_copy(made, "hydra"), run / ".hydra" / "hydra.yaml")
        assert continue_command(Path("x")).endswith(f" resume x '{own}'")
    (run / ".hydra" / "overrides.yaml").write_text("- +experiment=mine\n")
    with pytest.raises(ConfigError, match=r": hydra\.searchpath=\[.*cd\]: .* type it again"):
        find_resumed([f"resume={run}"])
    with Composer(resumed(f"resume={run}", own).arguments) as composer:
        assert composer.config().seed == 9


def test_a_run_that_lacks_what_is_needed_is_not_continued(run: Path) -> None:
    (run / ".hydra" / "overrides.yaml").unlink()
    with pytest.raises(ValueError, match=r"overrides\.yaml is missing, so it can't be continued"):
        find_resumed([f"resume={run}"])


@pytest.mark.parametrize(
    "name", ["plain", "with space", "a=b", "it's", 'say "x"', "back\\slash", "a,b"]
)
def test_a_path_is_quoted_so_that_it_comes_back(name: str) -> None:
    with Composer([f"+environment.kwargs.path={quoted(Path(name))}"]) as composer:
        assert composer.config().environment.kwargs.path == name


def test_a_finished_run_without_checkpoints_is_not_trained_anew(run: Path) -> None:
    (run / "checkpoints" / "last.ckpt").unlink()
    assert resumed(f"resume={run}").folder == run, "one that had none yet begins anew"
    (run / "summary.json").touch()
    with pytest.raises(ConfigError, match="was finished and has no checkpoint to continue from"):
        resumed(f"resume={run}")


def test_another_checkpoint_than_the_last_is_not_gone_on_from(run: Path) -> None:
    best = run / "checkpoints" / "best.ckpt"
    best.touch()
    with pytest.raises(ConfigError, match=r"from its last\.ckpt; name its folder, or .*ckpt_path="):
        find_resumed([f"resume={best}"])


@pytest.mark.parametrize(
    ("text", "told"), [("", "no configuration of a run"), ("a: [", "can't be read: while")]
)
def test_a_damaged_configuration_is_named(text: str, told: str, made: Path) -> None:
    (made / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"config\.yaml: {told}"):
        check(made)


def test_what_a_checkpoints_run_had_otherwise_is_known(made: Path, tmp_path: Path) -> None:
    def otherwise(*overrides: str, path: Path = made / "checkpoints" / "last.ckpt") -> list[str]:
        with Composer([f"ckpt_path={quoted(path)}", *overrides]) as composer:
            return begun_otherwise(without_hydra(composer.config()))

    assert otherwise("data.batch_size=64", "env_steps=1e6", "name=other") == []
    found = otherwise("module.optimizer.lr=0.5", "seed=3")
    assert sorted(found) == ["data.batch_size=64", "module.optimizer.lr=0.001", "seed=0"]
    assert otherwise("seed=3", path=tmp_path / "alone.ckpt") == []
