"""From the arguments of a command line to a configuration."""

import pytest
from hydra.errors import HydraException

from lightning_dqn.runs.compose import compose, expand_resume, explain, grid_jobs, parse_arguments


def test_resume_puts_the_saved_overrides_before_the_new_ones(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    saved = "- data.batch_size=64\n- trainer.max_epochs=2\n- ckpt_path='/old.ckpt'\n"
    (tmp_path / ".hydra" / "overrides.yaml").write_text(saved)
    expanded = expand_resume([f"resume={tmp_path}", "trainer.max_epochs=5"])
    assert expanded[:2] == ["data.batch_size=64", "trainer.max_epochs=2"]
    assert expanded[-1] == "trainer.max_epochs=5"
    assert f"ckpt_path='{tmp_path}/checkpoints/last.ckpt'" in expanded
    assert "ckpt_path='/old.ckpt'" not in expanded


def test_the_folder_of_a_continued_run_stays_its_own(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- hydra.run.dir='/old'\n- seed=3\n")
    expanded = expand_resume([f"resume={tmp_path}"])
    assert expanded[0] == "seed=3"
    assert [one for one in expanded if one.startswith("hydra.run.dir=")] == [
        f"hydra.run.dir='{tmp_path}'"
    ]


def test_arguments_without_resume_stay_as_they_are():
    arguments = ["+experiment=cartpole", "seed=1", "-m"]
    assert expand_resume(arguments) == arguments


@pytest.mark.parametrize("missing", [".hydra/overrides.yaml", "checkpoints/last.ckpt"])
def test_a_run_that_lacks_what_is_needed_is_not_continued(missing, tmp_path):
    for name in {".hydra/overrides.yaml", "checkpoints/last.ckpt"} - {missing}:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("[]")
    with pytest.raises(ValueError, match=rf"^resume={tmp_path}: .*{missing} is missing, so it"):
        expand_resume([f"resume={tmp_path}"])


def test_a_grid_sweep_is_checked_job_by_job():
    assert grid_jobs(["seed=0,1", "data.batch_size=8"]) == [
        ["seed=0", "data.batch_size=8"],
        ["seed=1", "data.batch_size=8"],
    ]


def test_jobs_of_another_sweeper_are_not_known_before(tmp_path):
    assert grid_jobs(["hydra/sweeper=own", "seed=0,1"]) == []


def test_flags_are_parted_from_overrides():
    parsed = parse_arguments(["-m", "seed=0,1", "+a=1", "--config-dir", "mine"])
    assert (parsed.multirun, parsed.config_dir) == (True, "mine")
    assert parsed.overrides == ["seed=0,1", "+a=1"]


def test_an_experiment_is_found_in_conf_of_the_working_directory_and_in_a_given_folder(
    tmp_path, monkeypatch
):
    for folder, size in (("conf", 5), ("given", 6)):
        (tmp_path / folder / "experiment").mkdir(parents=True)
        own = f"# @package _global_\ndata:\n  batch_size: {size}\n"
        (tmp_path / folder / "experiment" / f"in_{folder}.yaml").write_text(own)
    monkeypatch.chdir(tmp_path)
    assert compose(["+experiment=in_conf"]).data.batch_size == 5
    assert compose(["+experiment=in_given"], config_dir="given").data.batch_size == 6
    with pytest.raises(HydraException, match="experiment/in_given"):
        compose(["+experiment=in_given"])


def told(override: str) -> str:
    """Return what is said of an override that can't be composed."""
    with pytest.raises(HydraException) as refused:
        compose([override])
    return explain(refused.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batchsize=3", "data.batchsize: no such key; did you mean data.batch_size?"),
        ("qqq=3", "qqq: no such key; --help lists them all"),
        (
            "module.head.num_atoms=3",
            "module.head.num_atoms: no such key; ",
        ),
    ],
)
def test_a_key_that_is_not_there_is_told_with_the_nearest(override, message):
    text = told(override)
    assert text.startswith(message)
    key = override.partition("=")[0]
    assert text.endswith(f"(a new key of your own takes a plus: +{key}=...)")


def test_a_key_of_another_choice_is_told_as_such(monkeypatch):
    with pytest.raises(HydraException) as refused:
        compose(["module/head=categorical", "module.head.error=mse"])
    assert explain(refused.value).startswith(
        "module.head.error: no such key; it belongs to another choice of module/head, "
    )


def test_what_is_no_unknown_key_is_told_as_it_is():
    assert explain(ValueError("a=1: wrong")) == "a=1: wrong"
