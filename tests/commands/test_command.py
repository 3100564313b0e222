"""What commands have in common: options, their help, their checks, and how a mistake ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from lightning_dqn.commands.command import (
    part_arguments,
    read_options,
    run_command,
    usage,
)
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.options import option


@dataclass(frozen=True)
class Example:
    """Do something.

    how to write it
    """

    run: str = option("a folder", is_path=True, former=["checkpoint"])
    num_envs: int = option("how many", 10, least=1, most=99)
    epsilon: float = option("a probability", 0.0, least=0, most=1)
    limit: int | Literal["auto"] | None = option("steps", "auto", least=1)
    name: str | None = option("a word", None)
    kind: str | None = option("one of three", None, choices=["a", "b", "c"])
    only: str | None = option("one", None, choices=["a"])
    where: Literal["here", "there"] = option("a place", "here")
    mapping: Any = option("whatever", None)
    json: bool = option("flag: as JSON", False)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["run=x", "--help"]])
def test_help_is_printed_and_nothing_done(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(arguments, Example, lambda given: pytest.fail(f"acted on {given}"))
    assert capsys.readouterr().out == usage(Example) + "\n"


def test_the_help_has_every_option_with_its_default() -> None:
    lines = usage(Example).splitlines()
    assert lines[:3] == ["Do something.", "", "how to write it"]
    for text in ("run ", "num_envs=10 ", "epsilon=0.0 ", "limit=auto ", "name=null ", "--json "):
        assert any(line.startswith(f"  {text}") for line in lines), text


def test_long_explanations_are_wrapped() -> None:
    @dataclass
    class Long:
        """L."""

        x: int = option("word " * 60, 1)

    assert max(map(len, usage(Long).splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run=runs/x"], {"run": "runs/x"}),
        (["runs/x"], {"run": "runs/x"}),
        (["./a=b/c"], {"run": "./a=b/c"}),
        (["checkpoint=x.ckpt"], {"run": "x.ckpt"}),
        (["run=runs/x", "checkpoint=x.ckpt"], {"run": "x.ckpt"}),
        (["checkpoint=x.ckpt", "run=runs/x"], {"run": "x.ckpt"}),
        (["x", "num_envs=3", "epsilon=1e-1"], {"num_envs": 3, "epsilon": 0.1}),
        (["x", "num_envs=1e1"], {"num_envs": 10}),
        (["x", "limit=5"], {"limit": 5}),
        (["x", "limit=null"], {"limit": None}),
        (["x", "name=3"], {"name": "3"}),
        (["x", "name=null"], {"name": None}),
        (["x", "kind=b", "where=there"], {"kind": "b", "where": "there"}),
        (["x", "mapping={a: b}"], {"mapping": {"a": "b"}}),
        (["x", "--json"], {"json": True}),
        (["x", "json=true"], {"json": True}),
        (["run=[", "num_envs=2"], {"run": "[", "num_envs": 2}),
    ],
    ids=str,
)
def test_values_are_read_by_their_types(arguments: list[str], expected: dict[str, Any]) -> None:
    options = read_options(arguments, Example)
    assert {name: getattr(options, name) for name in expected} == expected
    left = {"num_envs": 10, "epsilon": 0.0, "limit": "auto", "name": None, "json": False}
    for name in left.keys() - expected.keys():
        assert getattr(options, name) == left[name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["num_envs=2"], "run=: name a folder, as run=... (--help lists all)"),
        (["x", "nun_envs=2"], "nun_envs: no such key; did you mean num_envs? there are run, num"),
        (["x", "--jsn"], "--jsn: not an option; did you mean json? there are"),
        (["x", "y"], "y: run is given already"),
        (["x", "num_envs=2", "num_envs=3"], "num_envs=3: num_envs is given already"),
        (["x", "num_envs=0"], "num_envs=0: expected a number from 1 to 99"),
        (["x", "num_envs=100"], "num_envs=100: expected a number from 1 to 99"),
        (["x", "num_envs=abc"], "num_envs='abc': expected a whole number"),
        (["x", "num_envs=1.5"], "num_envs=1.5: expected a whole number"),
        (["x", "num_envs=true"], "num_envs=True: expected a whole number"),
        (["x", "num_envs="], "num_envs=: a value is missing"),
        (["run="], "run=: a value is missing"),
        (["x", "epsilon=3"], "epsilon=3: expected a number from 0 to 1"),
        (["x", "epsilon=nan"], "epsilon=nan: expected a number from 0 to 1"),
        (["x", "limit=never"], "limit='never': expected a whole number or auto or null"),
        (["x", "limit=0"], "limit=0: expected a number from 1"),
        (["x", "kind=d"], "kind=d: choose a, b or c"),
        (["x", "only=d"], "only=d: choose a"),
        (["x", "where=nowhere"], "where='nowhere': expected here or there"),
        (["x", "json=maybe"], "json='maybe': expected true or false"),
        (["x", "mapping=["], "mapping=[: can't be read: "),
        (["x", "mapping=${y"], "mapping=${y: can't be read: "),
    ],
    ids=str,
)
def test_what_can_not_be_meant_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_options(arguments, Example)
    assert str(refused.value).startswith(message)


def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def act(options: Example) -> None:
        raise ValueError(f"run={options.run}: there is no such folder")

    with pytest.raises(SystemExit) as stop:
        run_command(["a"], Example, act)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "lightning-dqn: run=a: there is no such folder\n"


def test_a_commands_own_arguments_are_parted_from_those_of_a_configuration() -> None:
    own, rest = part_arguments(
        ["+experiment=x", "runs/a", "num_envs=2", "--json", "--config-dir", "d", "seed=1", "-m"],
        Example,
    )
    assert own == ["runs/a", "num_envs=2", "--json"]
    assert rest == ["+experiment=x", "--config-dir=d", "seed=1", "-m"]


def test_folders_that_are_named_by_keys_are_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "game=Pong,seed=0"
    job.mkdir()
    monkeypatch.chdir(tmp_path)
    named = [str(job), f"./{job.name}", job.name, "../study/seed=1"]
    assert part_arguments([*named, "game=Pong,seed=3", "seed=1"], Example) == (
        named,
        ["game=Pong,seed=3", "seed=1"],
    )
    for folder in named:
        assert read_options([folder], Example).run == folder
