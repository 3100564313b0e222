"""The text of a model card, and the metadata at its top that a hub reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from lightning_dqn.formats.card import Evaluation, Facts, Training, card, metadata

FACTS = Facts(
    name="cartpole",
    environment="CartPole-v1",
    observation="float32[4]",
    num_actions=2,
    license=None,
    trust=(),
    evaluation=Evaluation("some test", 499.25, 1.5, 100, 3, 0.0, 7, {"interval": [498.0, 500.0]}),
    training=Training(
        env_steps=50_000,
        updates=6_250,
        seconds=12.34,
        weights="the last weights",
        seed=3,
        overrides=("+experiment=cartpole", "seed=3"),
        changed_by_hand=("epsilon 0.5 from env step 100",),
        origin={"commit": "abc", "versions": {"torch": "2.9"}, "hardware": {"device": "cpu"}},
    ),
    replay="one episode",
    left_out=("model.onnx: why not",),
)


def parted(text: str) -> tuple[Any, str]:
    """Return a card's metadata and what follows."""
    empty, top, rest = text.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(top), rest


def test_the_metadata_have_what_a_hub_requires_of_results() -> None:
    found, _ = parted(card(FACTS, {}))
    assert found == metadata(FACTS)
    assert found["library_name"] == "lightning-dqn"
    assert {"CartPole-v1", "reinforcement-learning", "deep-reinforcement-learning"} <= {
        *found["tags"]
    }
    [model] = found["model-index"]
    assert model["name"] == "cartpole"
    [result] = model["results"]
    assert result["task"]["type"] == "reinforcement-learning"
    assert result["dataset"] == {"type": "CartPole-v1", "name": "CartPole-v1"}
    [metric] = result["metrics"]
    assert metric == {"type": "mean_reward", "value": "499.25 +/- 1.50", "name": "mean_reward"}


def test_text_that_yaml_would_take_for_something_else_stays_text() -> None:
    odd = replace(FACTS, name="on: {x}", environment="yes", license="1.0")
    found, _ = parted(card(odd, {}))
    assert found["model-index"][0]["name"] == "on: {x}"
    assert found["tags"][0] == "yes"
    assert found["license"] == "1.0"


@pytest.mark.parametrize(
    "told",
    [
        'agent = lightning_dqn.load("path/to/this/folder")',
        "The numbers are of some test.",
        "| mean return ± standard deviation | 499.25 ± 1.50 |",
        "| 95 % interval of that | 498.00 to 500.00 |",
        "| episodes | 100, 3 of them cut |",
        "[replay.mp4](replay.mp4) shows one episode.",
        "| budget | 50,000 env steps, 6,250 updates, 12.3 s |",
        "| seed | 3 |",
        "| started with | `+experiment=cartpole` `seed=3` |",
        "| changed by hand | epsilon 0.5 from env step 100 |",
        "| versions | torch 2.9 |",
        "| commit | abc |",
        "| `model.safetensors` | the weights, without code, 1,234 bytes |",
        "Left out: model.onnx: why not.",
        "None was chosen for the weights yet",
    ],
)
def test_the_card_tells_all_that_there_is_to_tell(told: str) -> None:
    _, text = parted(card(FACTS, {"model.safetensors": 1234}))
    assert told in text


def test_what_isnt_known_is_left_out() -> None:
    training = replace(FACTS.training, overrides=(), changed_by_hand=(), origin={})
    evaluation = replace(FACTS.evaluation, epsilon=None, seed=None, more={})
    text = card(replace(FACTS, training=training, evaluation=evaluation, replay=""), {})
    for word in ("None |", "started with", "by hand", "versions", "random action", "replay.mp4"):
        assert word not in text


def test_code_of_ones_own_is_named_where_it_must_be_trusted() -> None:
    text = card(replace(FACTS, trust=("my_net", "my_env")), {})
    assert 'lightning_dqn.load("path/to/this/folder", trust="my_net,my_env")' in text
    assert "lightning-dqn evaluate path/to/this/folder trust=my_net,my_env" in text
    assert "Its configuration names my_net,my_env: that isn't in this folder" in text


def test_a_license_is_told_at_the_top_and_at_the_end() -> None:
    found, text = parted(card(replace(FACTS, license="cc-by-4.0"), {}))
    assert found["license"] == "cc-by-4.0"
    assert "The weights: cc-by-4.0." in text
    assert "license" not in metadata(FACTS)
