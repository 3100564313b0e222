"""How minibatches of frames lie in memory, and that it is the same minibatch all the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.replay import storage
from lightning_dqn.replay.gathering import LEAST_SIDE, interleave, wants_stack_last
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig, check_batches_fit
from lightning_dqn.transitions import Rows, Transitions

LARGE = EnvironmentSpec((LEAST_SIDE, LEAST_SIDE + 2), "uint8", num_actions=2, frame_stack=4)


def sampled(spec: EnvironmentSpec) -> Transitions:
    """Return two minibatches of three from a ring of 2 x 12 frames of noise."""
    ring = ReplayBuffer(spec, 2, ReplayConfig(capacity=24), seed=5)
    drawn = np.random.default_rng(0).integers(0, 255, (12, 2, *spec.observation_shape))
    off = np.zeros((12, 2), bool)
    action, reward = off.astype(np.int64), off.astype(np.float32)
    ring.extend(Rows(drawn.astype(spec.observation_dtype), action, reward, off, off, None))
    return ring.sample(2, 3)


def test_stacks_of_large_frames_are_those_of_plain_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    arranged = sampled(LARGE)
    monkeypatch.setattr("lightning_dqn.replay.gathering.LEAST_SIDE", 1_000)
    plain = sampled(LARGE)
    assert plain.observation.is_contiguous()
    assert not arranged.observation.is_contiguous()
    assert arranged.next_observation is not None
    assert plain.next_observation is not None
    assert torch.equal(arranged.observation, plain.observation)
    assert torch.equal(arranged.next_observation, plain.next_observation)
    assert not torch.equal(plain.observation, plain.next_observation)


def test_each_minibatch_of_large_frames_is_channels_last_for_convolutions() -> None:
    for minibatch in sampled(LARGE).minibatches():
        for frames in (minibatch.observation, minibatch.next_observation):
            assert frames is not None
            assert frames.shape == (3, 4, LEAST_SIDE, LEAST_SIDE + 2)
            assert frames.is_contiguous(memory_format=torch.channels_last)
            assert (frames.float() / 255).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "other",
    [
        EnvironmentSpec((LEAST_SIDE, LEAST_SIDE), "uint8", 2),
        EnvironmentSpec((LEAST_SIDE, LEAST_SIDE), "float32", 2, frame_stack=2),
        EnvironmentSpec((LEAST_SIDE - 1, LEAST_SIDE), "uint8", 2, frame_stack=2),
        EnvironmentSpec((LEAST_SIDE, LEAST_SIDE, 3), "uint8", 2, frame_stack=2),
    ],
    ids=["no stack", "floats", "small", "colours"],
)
def test_all_else_stays_in_plain_memory(other: EnvironmentSpec) -> None:
    assert not wants_stack_last(other)
    assert sampled(other).observation.is_contiguous()


def test_the_copy_that_stacks_are_arranged_from_counts_as_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = 10 * 4 * LEAST_SIDE * (LEAST_SIDE + 2)
    needed = 3 * frames + 10 * 32
    for available, fits in ((needed * 5 // 4 + 10, True), (needed * 5 // 4 - 10, False)):
        monkeypatch.setattr(storage, "available_bytes", lambda device, free=available: free)
        if fits:
            check_batches_fit(LARGE, 2, 5)
        else:
            with pytest.raises(ValueError, match=r"^batch_size=5 x updates_per_iteration=2: "):
                check_batches_fit(LARGE, 2, 5)


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("stack", [1, 2, 3, 4, 5, 8])
def test_interleaved_frames_keep_each_byte(
    stack: int, byteorder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 255 in the highest byte is a negative number's.
    frames = torch.tensor([0, 1, 127, 128, 255], dtype=torch.uint8)
    frames = torch.stack([frames.roll(shift) for shift in range(3 * stack)]).unflatten(0, (3, -1))
    memory = torch.empty(3, 5, stack, dtype=torch.uint8)
    if byteorder == "big":
        monkeypatch.setattr("sys.byteorder", byteorder)
    interleave(frames, memory)
    assert torch.equal(memory, frames.transpose(1, 2))
