"""What of a configuration is a path of this machine, and what only looks like one."""

import pytest
from omegaconf import OmegaConf

from lightning_dqn.runs.machine_paths import holds_a_path, take_paths


@pytest.mark.parametrize(
    "text",
    [
        "/home/me/runs/1",
        "~/runs/1",
        "~me/runs",
        "C:\\runs\\1",
        "D:/runs",
        "file:///home/me",
        "sqlite:////home/me/study.db",
        "[random,/home/me/runs/1]",
        "{_target_: mine.Opponent, path:/home/me}",
        "best of /home/me/runs/1",
        "/home/me/${now:%Y}",
        "runs/1",
        "runs/of mine",
        "'runs/of mine'",
        "{path:runs/1}",
        "agent.ckpt",
    ],
)
def test_a_path_is_absolute_or_of_what_is_there(text, tmp_path, monkeypatch):
    (tmp_path / "runs" / "1").mkdir(parents=True)
    (tmp_path / "runs" / "of mine").mkdir()
    (tmp_path / "agent.ckpt").touch()
    monkeypatch.chdir(tmp_path)
    assert holds_a_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "small",
        "search:4",
        "lightning_dqn/TicTacToe-v0",
        "lightning_dqn.games.opponents.policy.CheckpointOpponent",
        "https://example.org/a/b",
        "s3://bucket/a",
        "${run_dir}/checkpoints",
        "${hydra:runtime.cwd}/${now:%Y}/a",
        "${a:${b}}/c",
        "wins / losses, 1/2 of them",
        "runs/2",
    ],
)
def test_a_name_an_address_and_a_place_of_a_later_run_are_none(text, tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not holds_a_path(text)


def test_what_is_taken_has_to_be_given():
    config = OmegaConf.create({"a": {"b": ["random", "/home/me"]}, "c": 1, "d": "${a.b}"})
    assert take_paths(config) == ["a.b[1]"]
    assert OmegaConf.to_container(config) == {"a": {"b": ["random", "???"]}, "c": 1, "d": "${a.b}"}


def test_an_id_is_a_name_whatever_folders_there_are(tmp_path, monkeypatch):
    (tmp_path / "lightning_dqn" / "TicTacToe-v0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    environment = {"id": "lightning_dqn/TicTacToe-v0", "folder": "lightning_dqn/TicTacToe-v0"}
    config = OmegaConf.create(
        {"environment": environment, "data": {"evaluation": {"environment": environment}}}
    )
    assert take_paths(config) == ["environment.folder", "data.evaluation.environment.folder"]
