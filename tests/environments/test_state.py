"""The state of environments: read as plain values, put back into others like them."""

from __future__ import annotations

import enum
import io
import random
from collections import deque
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch

from lightning_dqn.environments.state import UnknownStateError, read_state, write_state


class Heading(enum.Enum):
    NORTH = 1
    EAST = 2


class Place(NamedTuple):
    row: int
    column: int


class Thing:
    """An object as simulators hold them."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Holder(gym.Env):
    """Holds one value, of any type."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, value: Any = None) -> None:
        self.value = value


def through_a_file(state: Any) -> Any:
    """Return a state as a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def carried(value: Any, into: Any = None) -> Any:
    """Return what an environment that held ``into`` holds when ``value`` was carried there."""
    other = Holder(into)
    write_state(other, through_a_file(read_state(Holder(value))))
    return other.value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**70,
        0.1,
        float("inf"),
        "text",
        b"bytes",
        Heading.EAST,
        Place(2, 3),
        (1, (2, [3])),
        [1, {"a": (2,)}],
        {(0, 1): "by a tuple", 2: None},
        {1, 2},
        frozenset({1}),
        np.float32(0.1),
        np.int64(7),
        np.bool_(True),
    ],
    ids=repr,
)
def test_plain_values_come_back_as_they_are(value: Any) -> None:
    found = carried(value, into=[Heading.NORTH, Place(0, 0)])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16", "bool", "S1", "U3"])
def test_arrays_come_back_bit_for_bit(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    found = carried(array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable


@pytest.mark.parametrize("bits", ["PCG64", "MT19937", "Philox", "SFC64", "PCG64DXSM"])
def test_a_generator_goes_on_where_the_other_one_stood(bits: str) -> None:
    generator = np.random.Generator(getattr(np.random, bits)(5))
    generator.random(7)
    generator.integers(3, dtype=np.int32)  # leaves half a word behind
    found = carried(generator, into=np.random.default_rng(0))
    assert np.array_equal(
        found.integers(100, size=9, dtype=np.int32), generator.integers(100, size=9, dtype=np.int32)
    )


def test_generators_of_other_kinds_go_on_too() -> None:
    legacy, python, torchs = np.random.RandomState(1), random.Random(2), torch.Generator()
    legacy.normal(), python.gauss(0, 1), torchs.manual_seed(4)
    found = carried([legacy, python, torchs])
    assert found[0].normal() == legacy.normal()
    assert found[1].gauss(0, 1) == python.gauss(0, 1)
    assert torch.equal(torch.rand(3, generator=found[2]), torch.rand(3, generator=torchs))


def test_what_is_shared_stays_shared_and_what_is_not_does_not() -> None:
    generator, array = np.random.default_rng(1), np.zeros(2)
    found = carried([generator, array, Thing(generator), Thing(array)], into=[Thing(0)])
    assert found[2].value is found[0]
    assert found[3].value is found[1]
    one = np.zeros(2)
    parted = carried([np.ones(2), np.ones(2)], into=[one, one])
    parted[0][:] = 5
    assert parted[1].tolist() == [1, 1]


def test_objects_keep_who_they_are_and_new_ones_are_of_their_class() -> None:
    old = Thing(1)
    found = carried([Thing(2), Thing(Thing(3))], into=[old])
    assert found[0] is old
    assert (old.value, found[1].value.value) == (2, 3)


def test_attributes_that_were_not_there_go() -> None:
    other = Holder(Thing(0))
    other.value.extra = 1
    write_state(other, read_state(Holder(Thing(2))))
    assert vars(other.value) == {"value": 2}


def test_a_list_that_holds_itself_and_a_queue_come_back() -> None:
    looped: list[Any] = [1]
    looped.append(looped)
    found = carried(looped)
    assert found[1] is found
    queue = carried(deque([1, 2], maxlen=2))
    queue.append(3)
    assert list(queue) == [2, 3]


def test_functions_and_spaces_are_what_an_environment_is_made_with() -> None:
    assert carried([len, gym.spaces.Discrete(3)], into=[sum, gym.spaces.Discrete(9)]) == [
        sum,
        gym.spaces.Discrete(9),
    ]


@pytest.mark.parametrize(
    "value",
    [np.array([object()]), open, iter([1]), memoryview(b"a"), io.BytesIO()],
    ids=["objects", "function", "iterator", "memory", "file"],
)
def test_what_cannot_be_read_is_refused(value: Any) -> None:
    if value is open:
        assert read_state(Holder(value))  # it is only named
        return
    with pytest.raises(UnknownStateError):
        read_state(Holder(value))


@pytest.mark.parametrize(
    "half",
    [np.zeros(2**20 + 1), torch.zeros(2**20 + 1, dtype=torch.float64), bytes(2**23 + 1)],
    ids=["array", "tensor", "bytes"],
)
def test_what_would_be_too_much_at_every_save_is_refused(half: Any) -> None:
    assert read_state(Holder(half))
    with pytest.raises(UnknownStateError, match="more than 16 MiB"):
        read_state(Holder([half, half[:-1], b""]))


def test_what_an_environment_raises_that_reads_itself_is_told() -> None:
    class Fails(Holder):
        def state_dict(self) -> Any:
            raise OSError("the port is closed")

        def load_state_dict(self, state: Any) -> None: ...

    with pytest.raises(UnknownStateError, match="OSError: the port is closed"):
        read_state(Fails(1))


def test_no_class_is_looked_up_by_its_name() -> None:
    state = read_state(Holder(Thing(1)))
    with pytest.raises(UnknownStateError, match=r"no .*Thing is in this environment"):
        write_state(Holder(None), state)


def test_an_environment_that_knows_its_state_is_asked_for_it() -> None:
    class Own(Holder):
        def state_dict(self) -> dict[str, Any]:
            return {"twice": 2 * self.value}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.value = state["twice"] // 2

    other = Own(0)
    write_state(other, read_state(Own(4)))
    assert other.value == 4
