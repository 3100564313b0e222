"""Secrets are named in a configuration, and are in nothing that a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from support.processes import SHORT, command

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_keys
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.secrets import check_secrets, without_secrets

SECRET = "0123456789abcdef" * 2 + "deadbeef"

WRITTEN_OUT = {
    "logger.wandb.api_key": "abc",
    "logger.wandb.settings": {"api_key": "abc"},
    "logger.wandb.settings.identity": SECRET,
    "logger.mlflow.tracking_uri": "https://user:word@mlflow.example",
    "environment.kwargs.password": "abc",
    "environment.kwargs.login": [{"DB_PASSWORD": 1234}],
    "environment.kwargs.auth_token": "${name}",
    "environment.kwargs.secret": "${oc.env:A_NAME,a default}",
    "environment.kwargs.client_secret": "${oc.env:A_NAME}-and-more",
}


def changed(key: str, value: Any) -> Any:
    config = compose(["logger=wandb"])
    OmegaConf.update(config, key, value, force_add=True)
    return config


@pytest.mark.parametrize("key", WRITTEN_OUT)
def test_a_secret_that_is_written_out_is_refused_by_its_key_alone(key: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_keys(changed(key, WRITTEN_OUT[key]))
    text = str(error.value)
    assert text.startswith(key)
    assert "${oc.env:NAME}" in text
    for value in ("abc", "word", "1234", SECRET, "a default"):
        assert value not in text.removeprefix(key).replace("password", "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("logger.wandb.api_key", "${oc.env:A_NAME}"),
        ("logger.wandb.api_key", "${oc.env:A_NAME,null}"),
        ("logger.wandb.api_key", None),
        ("environment.kwargs.max_token", 5),
        ("environment.kwargs.num_tokens", 5),
        ("environment.kwargs.keys", "abc"),
        ("environment.kwargs.commit", SECRET),
        ("logger.wandb.name", "a name: 3"),
        ("logger.mlflow.tracking_uri", "https://mlflow.example:5000"),
    ],
)
def test_what_is_no_secret_or_comes_from_the_environment_is_taken(key: str, value: Any) -> None:
    check_secrets(changed(key, value))


def test_what_is_told_of_a_configuration_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_A_TEST", SECRET)
    config = changed("logger.wandb.settings.api_key", "${oc.env:OF_A_TEST}")
    config.tags = ["key ${logger.wandb.settings.api_key}", "plain"]
    told = without_secrets(config)
    assert told["logger"]["wandb"]["settings"]["api_key"] == "${oc.env:OF_A_TEST}"
    assert told["tags"] == ["key ${logger.wandb.settings.api_key}", "plain"]
    assert SECRET not in str(told)
    assert told["environment"]["id"] == told["name"] == "CartPole-v1"


FROM_THE_ENVIRONMENT = {
    "a": "${oc.env:OF_A_TEST}",
    "b": "of ${a} too",
    "c": {"d": "${..a}", "e": ["${c.d}"], "f": "${.d}", "g": "${c.e[0]}"},
    "h": "${c}",
    "i": "${oc.env:IS_NOT_SET,${a}}",
}


def test_what_comes_from_the_environment_is_told_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OF_A_TEST", "a word of the environment")
    config = OmegaConf.create({**FROM_THE_ENVIRONMENT, "j": "plain", "k": "${j}"})
    told = without_secrets(config)
    assert told == {**FROM_THE_ENVIRONMENT, "j": "plain", "k": "plain"}


def test_what_looks_like_a_key_is_hidden_wherever_it_stands() -> None:
    told = without_secrets(OmegaConf.create({"a": {"b": [SECRET, "plain"]}, "c": 40 * "g"}))
    assert told == {"a": {"b": ["***", "plain"]}, "c": 40 * "g"}


def test_no_file_of_a_run_holds_a_secret(tmp_path: Path) -> None:
    arguments = [
        "logger=wandb",
        "logger.wandb.offline=true",
        "+logger.wandb.settings.api_key=${oc.env:OF_A_TEST}",
        "print_config=true",
        "name=secretive",
        *SHORT,
    ]
    result = command(*arguments, cwd=tmp_path, OF_A_TEST=SECRET)
    assert result.returncode == 0, result.stderr
    assert "api_key: ${oc.env:OF_A_TEST}" in result.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"config.yaml", "hparams.yaml", "train.log", "summary.json", "last.ckpt"} <= names
    assert [path for path in files if path.suffix == ".wandb"]
    texts = {path: path.read_bytes() for path in files}
    assert [str(path) for path, text in texts.items() if SECRET.encode() in text] == []
    assert SECRET not in result.stdout + result.stderr


def test_a_secret_on_the_command_line_reaches_no_file(tmp_path: Path) -> None:
    result = command("logger=wandb", f"+logger.wandb.api_key={SECRET}", *SHORT, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("lightning-dqn: logger.wandb.api_key: a secret that is written")
    assert SECRET not in result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []
