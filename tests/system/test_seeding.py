"""One seed, and for each who draws a stream of its own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from lightning_dqn.system.seeding import (
    device_generator,
    generator_of,
    generators_kept,
    global_generators,
    seed_of,
    seeds_of,
    set_device_generator,
    set_generator,
    set_global_generators,
    spawned,
)


def numbers(generator: np.random.Generator) -> list[float]:
    return generator.random(4).tolist()


def test_the_same_user_of_the_same_seed_draws_the_same_numbers():
    assert numbers(generator_of(3, "exploration")) == numbers(generator_of(3, "exploration"))
    assert seeds_of(3, "environments", 7, count=4) == seeds_of(3, "environments", 7, count=4)


def test_users_and_seeds_draw_different_numbers():
    users: list[tuple[str | int, ...]] = [
        ("a",),
        ("b",),
        ("a", 0),
        ("a", 1),
        ("a", "0"),
        ("b", "a"),
    ]
    drawn = {tuple(numbers(generator_of(seed, *user))) for seed in (0, 1, 10_000) for user in users}
    assert len(drawn) == 3 * len(users)
    assert tuple(numbers(np.random.default_rng(0))) not in drawn, "what gymnasium draws from seed 0"


def test_streams_do_not_depend_on_the_process():
    # Python's own hash of a name would change from process to process.
    assert seed_of(0, "sampling") == 514_769_124
    assert spawned(5, "x").spawn_key == spawned(6, "x").spawn_key


def test_environments_of_neighbouring_seeds_share_none():
    seen = [seeds_of(seed, "environments", 0, count=16) for seed in range(50)]
    assert len({number for numbers in seen for number in numbers}) == 50 * 16
    assert all(0 <= number < 2**31 for numbers in seen for number in numbers)


@pytest.mark.parametrize("seed", [0, 2**32, 2**63, 2**64 - 1])
def test_seeds_of_any_size_are_taken(seed):
    assert 0 <= seed_of(seed, "noise") < 2**32


def test_generators_that_are_kept_go_on_as_if_nobody_had_drawn():
    def draw() -> tuple[float, ...]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    before = global_generators()
    first = draw()
    set_global_generators(before)
    with generators_kept():
        assert draw() == first
    assert draw() == first


class Accelerator:
    """The module of a device that isn't here, with generators of its own."""

    def __init__(self) -> None:
        self.states: dict[Any, torch.Tensor] = {}

    def get_rng_state(self, device: Any = "the one") -> torch.Tensor:
        return self.states.get(device, torch.zeros(2)).clone()

    def set_rng_state(self, state: torch.Tensor, device: Any = "the one") -> None:
        self.states[device] = state


@pytest.mark.parametrize(
    ("name", "place"), [("cuda:0", torch.device("cuda:0")), ("mps", "the one")]
)
def test_the_generator_of_an_accelerator_goes_on(
    monkeypatch: pytest.MonkeyPatch, name: str, place: Any
) -> None:
    module, device = Accelerator(), torch.device(name)
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    module.states[place] = torch.tensor([3.0, 4.0])
    saved = device_generator(device)
    module.states[place] = torch.zeros(2)
    set_device_generator(device, saved)
    assert module.states[place].tolist() == [3.0, 4.0]


def test_the_generator_of_another_kind_of_device_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = Accelerator()
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    saved = device_generator(torch.device("cuda:0"))
    set_device_generator(torch.device("mps"), saved)
    set_device_generator(torch.device("cpu"), saved)
    set_device_generator(torch.device("cuda:0"), None)
    assert module.states == {}
    assert device_generator(torch.device("cpu")) is None


def test_a_generator_takes_back_its_own_state_and_none_of_another_kind_of_device() -> None:
    generator = torch.Generator().manual_seed(3)
    state, own = generator.get_state(), torch.rand(4, generator=generator)
    for other in (torch.zeros(16, dtype=torch.uint8), None):
        set_generator(generator.manual_seed(3), other)
        assert torch.equal(torch.rand(4, generator=generator), own)
    set_generator(generator.manual_seed(4), state)
    assert torch.equal(torch.rand(4, generator=generator), own)
