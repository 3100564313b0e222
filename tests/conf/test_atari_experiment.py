"""The experiments on Atari set a protocol and a length; sizes are those of the preset."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from lightning_dqn.environments.atari_protocols import MAX_EPISODE_STEPS, PROTOCOLS
from lightning_dqn.runs.compose import compose

OF_PRESETS = ("module", "callbacks.target_network", "data.collection", "data.sampler")


def composed(*overrides: str) -> Any:
    return OmegaConf.to_container(compose(list(overrides)), resolve=False)


def values(config: Any, key: str) -> Any:
    for word in key.split("."):
        config = config[word]
    return config


@pytest.mark.parametrize("preset", ["dqn", "rainbow", "der", "btr", "pqn"])
def test_a_presets_sizes_hold_in_an_experiment(preset: str) -> None:
    alone = composed("environment=atari", f"algorithm=atari/{preset}")
    with_experiment = composed("+experiment=atari", f"algorithm=atari/{preset}")
    for key in OF_PRESETS:
        assert values(with_experiment, key) == values(alone, key), key
    for key in ("batch_size", "updates_per_iteration", "env_steps_per_iteration"):
        assert with_experiment["data"][key] == alone["data"][key], key
    assert with_experiment["data"]["replay"] == {**alone["data"]["replay"], "reward_clip": 1.0}


def test_without_a_preset_it_is_dqn_at_its_papers_sizes() -> None:
    assert composed("+experiment=atari") == composed("+experiment=atari", "algorithm=atari/dqn")


def test_in_100k_the_protocol_and_the_length_are_those_of_the_benchmark() -> None:
    config = composed("+experiment=atari_100k", "environment.game=Pong", "algorithm=atari/der")
    assert config["environment"]["protocol"] == "100k"
    assert config["env_steps"] == 100_000
    assert config["data"]["replay"]["reward_clip"] == 1.0


def test_in_100k_the_last_weights_play_100_whole_games_and_few_on_the_way() -> None:
    config = composed("+experiment=atari_100k", "environment.game=Pong", "algorithm=atari/der")
    evaluation = config["data"]["evaluation"]
    assert evaluation["num_envs"] * evaluation["test_episodes_per_env"] == 100
    assert evaluation["epsilon"] == "auto"
    assert PROTOCOLS["100k"].evaluation_epsilon == 0.001
    assert evaluation["max_episode_steps"] == 10_000 < MAX_EPISODE_STEPS
    assert config["callbacks"]["best_checkpoint"]["save_top_k"] == 0
    assert evaluation["num_envs"] * evaluation["episodes_per_env"] == 5
