"""The stack of newest frames that a policy acts on."""

from __future__ import annotations

import numpy as np

from lightning_dqn.environments.frame_stack import FrameStack


def frames(*values: int) -> np.ndarray:
    """Return a frame of shape [1] per environment."""
    return np.array(values, np.uint8)[:, None]


def test_one_frame_passes_through_untouched():
    frame = frames(1, 2)
    assert FrameStack(1).push(frame) is frame
    assert FrameStack(1).push(frame, np.array([True, False])) is frame


def test_the_first_frame_fills_the_stack():
    stack = FrameStack(3).push(frames(1, 2))
    assert stack.shape == (2, 3, 1)
    assert stack.dtype == np.uint8
    assert stack[..., 0].tolist() == [[1, 1, 1], [2, 2, 2]]


def test_the_newest_frame_is_the_last():
    stack = FrameStack(3)
    for i in range(1, 6):
        newest = stack.push(frames(i), None if i == 1 else np.array([False]))
    assert newest[0, :, 0].tolist() == [3, 4, 5]


def test_an_episode_begins_with_its_own_frames_and_leaves_the_others_alone():
    stack = FrameStack(3)
    stack.push(frames(1, 10))
    stack.push(frames(2, 20), np.array([False, False]))
    newest = stack.push(frames(3, 30), np.array([True, False]))
    assert newest[..., 0].tolist() == [[3, 3, 3], [10, 10 + 10, 30]]


def test_without_flags_all_environments_begin_anew():
    stack = FrameStack(2)
    stack.push(frames(1, 10))
    assert stack.push(frames(2, 20))[..., 0].tolist() == [[2, 2], [20, 20]]


def test_a_stack_given_out_is_not_changed_by_later_frames():
    stack = FrameStack(2)
    first = stack.push(frames(1))
    second = stack.push(frames(2), np.array([False]))
    stack.push(frames(3), np.array([True]))
    stack.push(frames(4), np.array([False]))
    assert first[0, :, 0].tolist() == [1, 1]
    assert second[0, :, 0].tolist() == [1, 2]


def test_a_frame_that_is_written_over_does_not_change_the_stack():
    stack = FrameStack(2)
    frame = frames(1)
    newest = stack.push(frame)
    frame[:] = 9
    assert newest[0, :, 0].tolist() == [1, 1]


def test_discrete_states_are_stacked_too():
    stack = FrameStack(2)
    stack.push(np.array([3, 4]))
    assert stack.push(np.array([5, 6]), np.array([False, True])).tolist() == [[3, 5], [6, 6]]
