"""``resume=<run folder>``: the arguments of a run, to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.resume import expand_resume, quoted


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with what is looked at of a run."""
    folder = tmp_path / "a run, n=1's"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    saved = "- data.batch_size=64\n- trainer.max_epochs=2\n- ckpt_path='/old.ckpt'\n"
    (folder / ".hydra" / "overrides.yaml").write_text(saved + "- hydra.run.dir='/old'\n")
    return folder


def test_the_saved_overrides_come_before_the_new_ones(run: Path) -> None:
    expanded = expand_resume([f"resume={run}", "trainer.max_epochs=5"])
    assert expanded[:2] == ["data.batch_size=64", "trainer.max_epochs=2"]
    assert expanded[-1] == "trainer.max_epochs=5"
    assert len(expanded) == 5


def test_folder_and_checkpoint_are_the_runs_own_whatever_its_name(run: Path) -> None:
    with Composer(expand_resume([f"resume={run}"])) as composer:
        config = without_hydra(composer.config())
        assert config.run_dir == str(run)
    assert config.ckpt_path == str(run / "checkpoints" / "last.ckpt")
    assert config.data.batch_size == 64


def test_arguments_without_resume_stay_as_they_are() -> None:
    arguments = ["+experiment=cartpole", "seed=1", "-m"]
    assert expand_resume(arguments) == arguments


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
        expand_resume([f"resume={run}"])
    with pytest.raises(ConfigError, match=r": --config-name=other: no flag is taken"):
        expand_resume([f"resume={run}", *flags[:2]])
    with Composer(expand_resume([f"resume={run}", *flags])) as composer:
        config = composer.config()
    assert (config.seed, config.test) == (9, False)


@pytest.mark.parametrize("missing", [".hydra/overrides.yaml", "checkpoints/last.ckpt"])
def test_a_run_that_lacks_what_is_needed_is_not_continued(missing: str, run: Path) -> None:
    (run / missing).unlink()
    with pytest.raises(ValueError, match=rf"{missing} is missing, so it can't be continued"):
        expand_resume([f"resume={run}"])


@pytest.mark.parametrize(
    "name", ["plain", "with space", "a=b", "it's", 'say "x"', "back\\slash", "a,b"]
)
def test_a_path_is_quoted_so_that_it_comes_back(name: str) -> None:
    with Composer([f"+environment.kwargs.path={quoted(Path(name))}"]) as composer:
        assert composer.config().environment.kwargs.path == name
