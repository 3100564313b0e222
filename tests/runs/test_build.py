"""From a configuration to objects, with mistakes named by their key."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from support.buildable import Thing

from lightning_dqn.runs.build import ConfigError, build, check_types, invalid

THING = "support.buildable.Thing"


def node(**values: Any) -> dict[str, Any]:
    return {"_target_": THING, **values}


def built(key: str = "thing", /, **config: Any) -> Any:
    return build(OmegaConf.create(config), key)


# Types


@pytest.mark.parametrize(
    "values",
    [
        {"size": 3, "rate": 1, "flag": True, "name": "x", "mode": "b"},
        {"rate": 0.25},
        {"rate": None},
        {"every_n_updates": 3, "until": None},
        {"unknown": "is for the target to refuse"},
        {"schedule": None, "function": "a name that another library resolves"},
    ],
    ids=str,
)
def test_values_that_the_annotations_allow_stay_as_they_are(values: dict[str, Any]) -> None:
    checked = check_types(node(**values), "thing")
    assert checked == node(**values)
    assert {name: type(value) for name, value in checked.items()} == {
        name: type(value) for name, value in node(**values).items()
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": "abc"}, "thing.size='abc': expected a whole number"),
        ({"size": 1.5}, "thing.size=1.5: expected a whole number"),
        ({"size": True}, "thing.size=True: expected a whole number"),
        ({"size": None}, "thing.size=None: expected a whole number"),
        ({"rate": "fast"}, "thing.rate='fast': expected a number or null"),
        ({"rate": False}, "thing.rate=False: expected a number or null"),
        ({"flag": 1}, "thing.flag=1: expected true or false"),
        ({"name": 3}, "thing.name=3: expected text"),
        ({"mode": "c"}, "thing.mode='c': expected a or b"),
        ({"schedule": 0.5}, "thing.schedule=0.5: expected LinearSchedule or null"),
        ({"function": 3}, "thing.function=3: expected Callable or null"),
        (
            {"every_n_updates": "abc"},
            "thing.every_n_updates='abc': expected a whole number or null",
        ),
        ({"start": None}, "thing.start=None: expected a whole number"),
        ({"inner": node(size="x")}, "thing.inner.size='x': expected a whole number"),
        ({"inner": [1, node(size="x")]}, "thing.inner[1].size='x': expected a whole number"),
        ({"inner": {"a": node(size="x")}}, "thing.inner.a.size='x': expected a whole number"),
    ],
    ids=str,
)
def test_another_value_is_refused_by_its_key_with_what_is_expected(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_types(node(**values), "thing")
    assert str(refused.value) == message


def test_a_whole_float_is_an_int_where_an_int_is_asked_for() -> None:
    checked = check_types(node(size=1e5, rate=2.0, inner=node(every_n_updates=3.0)), "thing")
    assert checked == node(size=100_000, rate=2.0, inner=node(every_n_updates=3))
    assert [type(checked[name]) for name in ("size", "rate")] == [int, float]
    assert type(checked["inner"]["every_n_updates"]) is int


def test_a_mapping_without_a_target_may_hold_anything() -> None:
    assert check_types({"size": "abc", "list": [True]}, "thing") == {"size": "abc", "list": [True]}


# Objects


def test_a_node_is_built_from_its_keys_the_inner_ones_first() -> None:
    thing = built(thing=node(size=2, inner=[{"deep": node(size=3)}, 4], every_n_updates=5))
    assert isinstance(thing, Thing)
    assert thing.given["size"] == 2
    assert thing.period == {"every_n_updates": 5}
    [first, second] = thing.given["inner"]
    assert first["deep"].given["size"] == 3
    assert second == 4


def test_values_of_other_keys_are_filled_in_before() -> None:
    assert built(thing=node(size="${other}"), other=7.0).given["size"] == 7


def test_arguments_beside_the_configuration_go_to_the_outer_object_only() -> None:
    thing = build(OmegaConf.create({"thing": node(inner=node())}), "thing", size=9)
    assert thing.given["size"] == 9
    assert thing.given["inner"].given["size"] == 1


def test_a_partial_node_is_a_function_that_still_takes_the_rest() -> None:
    half = built(thing=node(_partial_=True, size=2))
    assert isinstance(half, functools.partial)
    assert half(name="x").given["size"] == 2
    with pytest.raises(ConfigError, match=r"^thing\.nope: .*LinearSchedule has no such argument"):
        built(
            thing={
                "_target_": "lightning_dqn.schedules.LinearSchedule",
                "_partial_": True,
                "nope": 1,
            }
        )


def test_an_empty_node_is_nothing() -> None:
    assert built(thing={}) is None
    assert built(thing=node(inner={})).given["inner"] is None
    assert built(thing=node(inner=None)).given["inner"] is None


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (node(size=-1), "thing.size=-1: at least 0"),
        (node(inner=node(size=-1)), "thing.inner.size=-1: at least 0"),
        (node(inner=[node(size=-2)]), "thing.inner[0].size=-2: at least 0"),
        (
            {"_target_": "support.buildable.fails", "reason": "no luck"},
            "thing: RuntimeError: no luck (HYDRA_FULL_ERROR=1 shows where)",
        ),
        ({"_target_": "support.buildable.fails_for", "value": 3}, "thing: That's too much (3=3)"),
        (
            {"_target_": "support.buildable.Nothing"},
            "thing._target_=support.buildable.Nothing: there is nothing of that name to call",
        ),
        (
            node(inner={"_target_": "support.buildable.THING"}),
            "thing.inner._target_=support.buildable.THING: there is nothing of that name to call",
        ),
    ],
    ids=str,
)
def test_what_fails_is_told_in_one_line_by_its_key(thing: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        built(thing=thing)
    assert str(refused.value) == message
    assert isinstance(refused.value, ValueError)


def test_a_missing_argument_is_told_as_what_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^thing: TypeError: .*missing 1 required .*'reason'"):
        built(thing={"_target_": "support.buildable.fails"})


@pytest.mark.parametrize(
    ("key", "target", "remedy"),
    [
        (
            "module.network",
            "support.buildable.fails",
            "write support.buildable.fails with its own keys into ./conf/module/network/mine.yaml "
            "and choose module/network=mine",
        ),
        (
            "environment",
            "support.buildable.fails",
            "write support.buildable.fails with its own keys into ./conf/environment/mine.yaml "
            "and choose environment=mine",
        ),
        (
            "callbacks.progress",
            "support.buildable.fails",
            "~callbacks.progress.size ~callbacks.progress.rate take them away",
        ),
        (
            "module.head",
            "lightning_dqn.networks.heads.scalar.ScalarHead",
            "~module.head.size ~module.head.rate take them away",
        ),
    ],
)
def test_all_keys_that_another_target_left_are_named_at_once(
    key: str, target: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        check_types({"_target_": target, "size": 3, "rate": 4}, key)
    told, _, end = str(refused.value).partition("; ")
    assert told == f"{key}: {target} has no arguments size, rate"
    assert end.partition("; ")[2] == remedy


def test_a_single_key_too_many_is_named_by_its_path() -> None:
    with pytest.raises(ConfigError) as refused:
        check_types({"_target_": "support.buildable.fails", "reasen": 3}, "module.network")
    assert str(refused.value) == (
        "module.network.reasen: support.buildable.fails has no such argument; did you mean reason? "
        "~module.network.reasen takes the key away"
    )


def test_a_module_that_does_not_import_is_told_with_its_reason(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("import nowhere_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"^thing\._target_=broken_module\.A: .*nowhere_at_all"):
        built(thing={"_target_": "broken_module.A"})
    (tmp_path / "interrupted_module.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        built(thing={"_target_": "interrupted_module.A"})


@pytest.mark.parametrize(
    ("name", "module", "missing", "package"),
    [
        (
            "TensorBoardLogger",
            "lightning_fabric.loggers.tensorboard",
            ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"),
            "'lightning-dqn[tensorboard]'",
        ),
        ("MLFlowLogger", "pytorch_lightning.loggers.mlflow", ("_MLFLOW_AVAILABLE",), "mlflow"),
        ("CometLogger", "pytorch_lightning.loggers.comet", ("_COMET_AVAILABLE",), "comet-ml"),
    ],
)
def test_a_logger_whose_package_is_missing_is_told_with_what_brings_it(
    name: str, module: str, missing: tuple[str, ...], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flag in missing:
        monkeypatch.setattr(f"{module}.{flag}", False)
    target = {"_target_": f"pytorch_lightning.loggers.{name}"}
    arguments = {"save_dir": "x"} if name == "TensorBoardLogger" else {}
    with pytest.raises(ConfigError) as refused:
        built("logger", logger={"mine": {**target, **arguments}})
    assert str(refused.value) == f"logger.mine: isn't installed: pip install {package}"


@pytest.mark.parametrize(
    "target", ["os.system", "lightning_dqn.system.files.os.system", "subprocess.run", "eval"]
)
def test_what_hydra_never_calls_is_not_called_by_us_either(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argument = {"command": "touch canary"} if target.endswith("system") else {}
    with pytest.raises(
        ConfigError, match=r"^thing\._target_=.*: Hydra never calls it by its name$"
    ):
        built(thing={"_target_": target, **argument})
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_not_there_is_told_by_the_node_that_asks_for_it() -> None:
    with pytest.raises(ConfigError, match=r"^thing: Interpolation key 'nowhere' not found$"):
        built(thing=node(size="${nowhere}"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("gamma=3: too large\nmore"), "data.gamma=3: too large"),
        (ValueError("replay.n_step=[3, 1]: the"), "data.replay.n_step=[3, 1]: the"),
        (ValueError("Two of them"), "data: Two of them"),
        (TypeError("f() got"), "data: TypeError: f() got (HYDRA_FULL_ERROR=1 shows where)"),
        (RuntimeError("gamma=3: bad"), "data.gamma=3: bad"),
        (ValueError(), "data: ValueError"),
    ],
    ids=repr,
)
def test_an_error_that_begins_with_an_argument_names_its_key(
    error: Exception, message: str
) -> None:
    assert str(invalid("data", error)) == message
