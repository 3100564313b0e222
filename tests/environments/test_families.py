"""Families of environments: how ids become known, and what is said where that fails."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator

import gymnasium as gym
import pytest
from support.scripted_env import IdentityEnv

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.families import (
    ENTRY_POINTS,
    FAMILIES,
    NAMESPACE,
    VECTOR_ENTRY_POINTS,
    family_of,
    missing_extra,
    register_ale,
    register_atari,
    register_environments,
    register_minatar,
    register_pettingzoo,
    registered,
)
from lightning_dqn.environments.spec import EnvironmentSpec

# MinAtar's and pygame's own
pytestmark = pytest.mark.filterwarnings(r"ignore:.*pkg_resources:UserWarning")


def forget(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """Take ids out of gymnasium's registry for the time of a test."""
    for name in [name for name in gym.registry if name.startswith(prefix)]:
        monkeypatch.delitem(gym.registry, name)


def make_absent(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let imports of a module fail, and of those of gymnasium's that need it."""
    for name in list(sys.modules):
        if name.startswith((f"{module}.", "gymnasium.envs.box2d")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture
def registry() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    before = dict(gym.registry)
    yield
    gym.registry.clear()
    gym.registry.update(before)


# Families


@pytest.mark.parametrize(
    ("id", "extra", "register"),
    [
        ("lightning_dqn/Torus-v0", None, register_environments),
        ("lightning_dqn/Nothing-v0", None, register_environments),
        ("pettingzoo/tictactoe_v3", "pettingzoo", register_pettingzoo),
        ("MinAtar/Breakout-v1", "minatar", register_minatar),
        ("Atari/Pong-v0", "atari", register_atari),
        ("ALE/Pong-v5", "atari", register_ale),
        ("LunarLander-v3", "box2d", None),
        ("LunarLanderContinuous-v3", "box2d", None),
        ("BipedalWalkerHardcore-v3", "box2d", None),
        ("CarRacing-v3", "box2d", None),
        ("CartPole-v1", None, None),
        ("mine:LunarLander-v3", None, None),
    ],
)
def test_the_beginning_of_an_id_tells_its_family(id, extra, register):
    assert family_of(id)[:2] == (register, extra)
    assert family_of(id).differs_as_vector == (register is register_ale)


def test_no_id_begins_like_two_families():
    for one in FAMILIES:
        assert [other for other in FAMILIES if other.startswith(one)] == [one]


# Registering


def test_our_own_become_known_once(monkeypatch, registry):
    forget(monkeypatch, NAMESPACE)
    register_environments()
    records = {id: gym.registry[id] for id in VECTOR_ENTRY_POINTS}
    for id, record in records.items():
        assert record.vector_entry_point == VECTOR_ENTRY_POINTS[id]
        assert record.entry_point == ENTRY_POINTS.get(id)
    register_environments()  # gymnasium warns of an id that is registered over another
    assert all(gym.registry[id] is record for id, record in records.items())


@pytest.mark.parametrize("id", VECTOR_ENTRY_POINTS)
def test_asking_for_one_of_our_own_registers_it(id, monkeypatch, registry):
    forget(monkeypatch, NAMESPACE)
    assert registered(id).id == id


def test_what_registers_an_environment_does_not_import_it(monkeypatch, registry):
    forget(monkeypatch, NAMESPACE)
    modules = {where.split(":")[0] for where in VECTOR_ENTRY_POINTS.values()}
    for module in modules:
        monkeypatch.delitem(sys.modules, module, raising=False)
    register_environments()
    assert not modules & sys.modules.keys()


@pytest.mark.parametrize("where", sorted({*VECTOR_ENTRY_POINTS.values(), *ENTRY_POINTS.values()}))
def test_what_makes_an_environment_is_where_it_is_said_to_be(where):
    module, name = where.split(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_a_game_of_pettingzoo_becomes_known_without_it(monkeypatch, registry):
    make_absent(monkeypatch, "pettingzoo")
    id = "pettingzoo/no_such_game_v0"
    record = registered(id)
    assert record.kwargs == {"game": id}
    assert (record.entry_point, record.vector_entry_point) == (
        None,
        "lightning_dqn.games.pettingzoo:PettingZooVectorEnv",
    )
    assert registered(id) is record


def test_an_atari_game_becomes_known_without_the_emulator(monkeypatch, registry):
    make_absent(monkeypatch, "ale_py")
    assert registered("Atari/Pong-v0").kwargs == {"game": "Pong"}
    assert registered("Atari/Pong-v0").max_episode_steps == 27_000
    with pytest.raises(ValueError, match=r"^id=Atari/Pong-v3: "):
        registered("Atari/Pong-v3")


def test_minatar_becomes_known_all_at_once_and_once(monkeypatch, registry):
    pytest.importorskip("minatar")
    forget(monkeypatch, "MinAtar/")
    record = registered("MinAtar/Breakout-v1")
    assert "MinAtar/Freeway-v1" in gym.registry
    make_absent(monkeypatch, "minatar")  # nothing is imported for what is known
    assert registered("MinAtar/Breakout-v1") is record


def test_what_gymnasium_knows_is_left_to_it():
    assert registered("CartPole-v1") is gym.registry["CartPole-v1"]


# What is missing


@pytest.mark.parametrize(
    ("id", "module", "extra"),
    [
        ("MinAtar/Breakout-v1", "minatar", "minatar"),
        ("Atari/Pong-v0", "ale_py", "atari"),
        ("ALE/Pong-v5", "ale_py", "atari"),
        ("pettingzoo/tictactoe_v3", "pettingzoo", "pettingzoo"),
        ("LunarLander-v3", "Box2D", "box2d"),
        ("BipedalWalker-v3", "Box2D", "box2d"),
        ("CarRacing-v3", "Box2D", "box2d"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_brings_it(
    id, module, extra, monkeypatch, registry
):
    make_absent(monkeypatch, module)
    forget(monkeypatch, "MinAtar/")
    command = rf"pip install 'lightning-dqn\[{extra}\]'"
    with pytest.raises(ValueError, match=rf"^id={id}: needs the extra '{extra}': {command}$"):
        _ = EnvironmentFactory(id).spec


def test_an_import_that_fails_where_no_extra_helps_is_told_as_it_is():
    assert missing_extra("Mine-v0", ImportError("No module named 'x'")) == (
        "id=Mine-v0: No module named 'x'"
    )


@pytest.mark.parametrize("id", ["CartPoll-v1", "CartPole-v77", "lightning_dqn/Chess-v0", "no-id"])
def test_an_unknown_id_is_refused_by_name_on_one_line(id):
    with pytest.raises(ValueError) as raised:
        registered(id)
    assert re.fullmatch(rf"id={id}: .+", str(raised.value))


def test_an_unknown_id_is_named_on_one_line_with_the_closest_one():
    with pytest.raises(ValueError) as raised:
        EnvironmentFactory("CartPoll-v1").make()
    assert re.fullmatch(r"id=CartPoll-v1: .*CartPoll.* `CartPole`\?", str(raised.value))


# Modules before ids


def test_an_id_of_a_module_that_is_not_there_is_refused():
    for refused in (registered, lambda id: EnvironmentFactory(id).make()):
        with pytest.raises(ValueError, match=r"id=nowhere_at_all:Thing-v0: No module named"):
            refused("nowhere_at_all:Thing-v0")


def test_an_id_that_its_module_does_not_bring_is_refused():
    with pytest.raises(ValueError, match=r"id=.*Thing-v0: .*`Thing` doesn't exist"):
        registered("support.scripted_env:Thing-v0")


def test_a_module_that_fails_at_length_is_told_by_its_first_line(tmp_path, monkeypatch):
    (tmp_path / "my_broken_games.py").write_text("raise ImportError('no engine\\nInstall one')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"^id=my_broken_games:Mine-v0: no engine$"):
        registered("my_broken_games:Mine-v0")


def test_an_environment_of_ones_own_by_id_and_by_module(registry):
    gym.register("Identity-v0", entry_point=IdentityEnv, kwargs={"one_hot": False})
    spec = EnvironmentSpec((), "int64", 3, num_states=3)
    assert EnvironmentFactory("Identity-v0").spec == spec
    assert EnvironmentFactory("support.scripted_env:Identity-v0").spec == spec


def test_a_module_named_before_the_id_is_imported(tmp_path, monkeypatch, registry):
    (tmp_path / "my_own_games.py").write_text(
        "import gymnasium as gym\n"
        "from support.scripted_env import IdentityEnv\n"
        "gym.register('Mine-v0', entry_point=IdentityEnv)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert registered("my_own_games:Mine-v0").id == "Mine-v0"
        assert EnvironmentFactory("my_own_games:Mine-v0").spec.num_actions == 3
        environment = EnvironmentFactory("my_own_games:Mine-v0", num_envs=2).make()
        assert environment.num_envs == 2
        environment.reset(seed=0)
        environment.step(environment.action_space.sample())
        environment.close()
    finally:
        sys.modules.pop("my_own_games", None)
