"""The protocols are what the literature says, and what the emulators are told."""

from __future__ import annotations

from typing import Any

import pytest

from lightning_dqn.environments.atari import AtariVectorEnv
from lightning_dqn.environments.atari_protocols import PROTOCOLS

# protocol: sticky actions, frames without action, FIRE, life information, epsilon of evaluation
TABLE = {
    "sticky": (0.25, 0, False, False, 0.001),
    "nature": (0.0, 31, True, True, 0.05),
    "100k": (0.0, 30, False, True, 0.001),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_protocol_is_as_the_table_has_it(name):
    one = PROTOCOLS[name]
    assert TABLE[name] == (
        one.repeat_action_probability,
        one.noop_max,
        one.fire,
        one.life_ends,
        one.evaluation_epsilon,
    )
    assert not one.full_action_space
    assert PROTOCOLS.keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_the_emulators_are_told_all_of_it(name, monkeypatch):
    vector_env = pytest.importorskip("ale_py.vector_env")
    told: dict[str, Any] = {}

    class Told:
        single_action_space = type("Actions", (), {"n": 18})

        def __init__(self, rom: str, num_envs: int, **options: Any) -> None:
            told.update(options, rom=rom, num_envs=num_envs)

    arguments = vector_env.AtariVectorEnv.__init__.__kwdefaults__
    monkeypatch.setattr(vector_env, "AtariVectorEnv", Told)
    AtariVectorEnv(3, game="MsPacman", protocol=name, full_action_space=True, num_threads=2)
    assert told.keys() - {"rom", "num_envs"} == arguments.keys()  # none is left to its default
    sticky, noop_max, fire, *_ = TABLE[name]
    expected = {
        "rom": "ms_pacman",
        "num_envs": 3,
        "num_threads": 2,
        "repeat_action_probability": sticky,
        "noop_max": noop_max,
        "use_fire_reset": fire,
        "full_action_space": True,
        "max_num_frames_per_episode": 108_000,
        "frameskip": 4,
        "stack_num": 1,
        "reward_clipping": False,
        "episodic_life": False,
        "life_loss_info": False,
    }
    assert {key: told[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "bounds"), [("sticky", (0, 0)), ("nature", (1, 30)), ("100k", (0, 29))]
)
def test_a_game_begins_with_as_many_frames_without_action_as_its_protocol_has(name, bounds):
    pytest.importorskip("ale_py")
    environment = AtariVectorEnv(1, game="Breakout", protocol=name, num_threads=1)
    environment.reset(seed=0)
    numbers = []
    for _ in range(150):  # unseeded ones go on with the same chance, and are quick
        _, info = environment._games.reset(seed=None)
        numbers.append(int(info["episode_frame_number"][0]))
    assert (min(numbers), max(numbers)) == bounds
    environment.close()
