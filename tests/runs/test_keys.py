"""What there is to choose and to set, and that each of it is explained."""

import pytest

from lightning_dqn.runs.compose import Composer, chosen_options, compose, without_hydra
from lightning_dqn.runs.keys import choices, explain_key, explain_keys, leaves


def test_help_explains_every_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for experiment in [None, *choices()["experiment"]]:
        with Composer([] if experiment is None else [f"+experiment={experiment}"]) as composer:
            config = composer.config()
        explanations = explain_keys(chosen_options(config))
        keys = [key for key, _ in leaves(without_hydra(config))]
        assert [key for key in keys if not explain_key(key, explanations)] == []


@pytest.mark.parametrize(
    ("key", "text"),
    [("a.b", "of b"), ("a.b.c.d", "of b"), ("a.x", "of a"), ("b", ""), ("", "")],
)
def test_a_key_without_a_word_of_its_own_has_that_of_what_it_is_a_part_of(key, text):
    assert explain_key(key, {"a": "of a", "a.b": "of b"}) == text


def test_comments_are_found_by_the_full_path_of_their_key():
    explanations = explain_keys({})
    assert explanations["data.batch_size"] == "transitions in a minibatch"
    assert explanations["data.collection.epsilon.start"].endswith("at env step 0")
    assert explanations["trainer.max_epochs"].endswith("-1: until stopped")
    assert "_target_" not in explanations


@pytest.mark.parametrize(
    ("group", "option", "key", "text"),
    [
        ("module/network", "mlp", "hidden", "units of each hidden layer"),
        ("module/network", "nature_cnn", "hidden", "units of the hidden layer; null: none"),
        ("module/head", "scalar", "huber_threshold", "from square to linear"),
        ("module/head", "quantile", "huber_threshold", "0: plain quantile regression"),
        ("module/optimizer", "adam", "weight_decay", "L2 penalty"),
        ("module/optimizer", "adamw", "weight_decay", "share of the weights that each step"),
        ("environment", "gymnasium", "num_envs", "environments that training steps at once"),
        ("environment", "atari", "num_envs", "games that training plays at once"),
    ],
)
def test_a_key_is_explained_by_the_option_that_is_chosen(
    group: str, option: str, key: str, text: str
) -> None:
    explanations = explain_keys({group: option})
    assert text in explanations[f"{group.replace('/', '.')}.{key}"]


def test_choices_are_the_files_of_each_folder():
    found = choices()
    assert found["logger"] == ["csv", "many", "mlflow", "tensorboard", "wandb"]
    assert sorted(found["module/target/munchausen"]) == ["default", "none"]
    assert "cartpole" in found["experiment"]
    assert {"dqn", "atari/dqn"} <= set(found["algorithm"])
    assert "algorithm/atari" not in found


def test_leaves_are_as_one_would_type_them():
    keys = dict(leaves(compose(["data.replay.n_step=[1,3]", "data.replay.directory=null"])))
    assert keys["data.replay.n_step"] == "[1,3]"
    assert keys["data.replay.directory"] == "null"
    assert keys["test"] == "true"
    assert keys["name"] == "${environment.id}"
    assert keys["environment.kwargs"] == "{}"
    assert not [key for key in keys if key.endswith("_target_") or key == "run_dir"]
    assert "module.target.munchausen" not in keys, "an empty choice is no value"
