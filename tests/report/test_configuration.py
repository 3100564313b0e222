"""Configurations, and in what they differ."""

import pytest
import yaml

from lightning_dqn.report.configuration import (
    differences,
    environment_of,
    read_configuration,
    settings_of,
)
from lightning_dqn.runs.build import ConfigError


def write(folder, config, name=".hydra/config.yaml"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.dump(config))
    return read_configuration(folder)


def test_the_composed_configuration_comes_before_the_hyperparameters(tmp_path):
    assert write(tmp_path, {"name": "later", "run_dir": "/x"}, "hparams.yaml")["name"] == "later"
    assert write(tmp_path, {"name": "composed"})["name"] == "composed"


def test_a_folder_without_any_has_an_empty_one(tmp_path):
    assert read_configuration(tmp_path) == {}


def test_what_looks_like_a_key_is_not_told(tmp_path):
    assert "f" * 40 not in str(write(tmp_path, {"a": {"token": "f" * 40}}))


def test_loggers_and_the_place_of_a_run_are_no_settings(tmp_path):
    config = write(
        tmp_path,
        {
            "run_dir": "${hydra:runtime.output_dir}",
            "seed": 3,
            "logger": {"x": {"key": "${oc.env:MISSING_HERE}"}},
            "callbacks": {"best": {"dirpath": "${run_dir}/checkpoints"}},
        },
    )
    assert settings_of(config) == {"callbacks.best.dirpath": "${run_dir}/checkpoints"}


def test_a_class_is_told_by_its_own_name(tmp_path):
    config = write(tmp_path, {"module": {"_target_": "a.b.Net", "_partial_": True, "width": 8}})
    assert settings_of(config) == {"module._target_": "Net", "module.width": "8"}


OF_LENGTH = {
    "environment": {"num_envs": 4},
    "trainer": {"max_epochs": 3},
    "data": {
        "batch_size": 8,
        "replay": {"capacity": 1_000},
        "env_steps_per_epoch": 60,
        "env_steps_per_iteration": 32,
        "updates_per_iteration": 4,
        "collection": {"warmup_env_steps": 10},
    },
}


def test_a_length_of_the_whole_run_is_known(tmp_path):
    found = write(tmp_path, {**OF_LENGTH, "steps": "${total_env_steps:}"})
    assert found["steps"] == 10 + 3 * 2 * 32


def test_a_sampler_of_ones_own_is_shown_and_not_built(tmp_path):
    sampler = {"_target_": "os.mkdir", "path": str(tmp_path / "made")}
    data = {**OF_LENGTH["data"], "sampler": sampler}
    found = write(tmp_path, {**OF_LENGTH, "data": data, "steps": "${total_iterations:}"})
    assert found["data"]["sampler"] == sampler
    assert found["steps"] == 3 * 2
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", ["a: [", "- a list", "a: ${nothing.there}"])
def test_a_damaged_file_is_told_in_one_line(tmp_path, content):
    (tmp_path / "hparams.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"hparams\.yaml: can't be read") as told:
        read_configuration(tmp_path)
    assert "\n" not in str(told.value)


def test_the_environment_is_that_of_evaluations_with_its_arguments():
    own = {"id": "A-v0", "kwargs": {}}
    assert environment_of({"environment": own}) == "A-v0"
    other = {"id": "B-v0", "kwargs": {"opponent": "random"}}
    config = {"environment": own, "data": {"evaluation": {"environment": other}}}
    assert environment_of(config) == "B-v0 (opponent=random)"
    assert environment_of({"environment": {"game": "nim"}}) == "nim"
    assert environment_of({}) is None


def test_only_keys_that_differ_are_differences():
    found = differences({"x": {"lr": "1", "n": "3", "e": "5"}, "y": {"lr": "2", "n": "3"}, "z": {}})
    assert found == {"lr": {"x": "1", "y": "2"}, "e": {"x": "5", "y": None}}
    assert differences({"x": {"lr": "1"}}) == {}
