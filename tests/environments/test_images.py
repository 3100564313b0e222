"""Pictures in another form, by hand-computed numbers and by the environments that give them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.images import ImageFormat, ImageObservation


class Pictures(gym.Env[Any, Any]):
    """Shows one picture for ever."""

    def __init__(self, picture: np.ndarray) -> None:
        self.picture = picture
        high = 255 if picture.dtype == np.uint8 else 1
        kind: Any = picture.dtype.type
        self.observation_space = gym.spaces.Box(0, high, picture.shape, kind)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.picture, {}


def shown(picture: np.ndarray, **form: Any) -> np.ndarray:
    """Return a picture in another form, which is as its space declares."""
    environment = ImageObservation(Pictures(picture), ImageFormat(**form))
    given, _ = environment.reset()
    assert environment.observation_space.contains(given)
    assert given.flags.c_contiguous
    return given


FOUR = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)
COLOURS = np.tile(FOUR, (2, 2, 1))
"""Red and green above blue and a dark one, twice in each direction, [4, 4, 3]."""


def test_gray_is_the_luminance_of_red_green_and_blue():
    expected = np.tile([[76, 150], [29, 18]], (2, 2)).tolist()
    assert shown(COLOURS, gray=True).tolist() == expected
    assert shown(np.moveaxis(COLOURS, -1, 0).copy(), gray=True).tolist() == expected


def test_a_smaller_picture_has_the_means_of_areas():
    picture = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert shown(picture, size=(2, 3)).tolist() == [[4, 6, 8], [16, 18, 20]]  # 3.5 to the even one
    mean = shown(picture.astype(np.float32) / 24, size=(2, 3))
    np.testing.assert_allclose(mean * 24, [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]], rtol=1e-6)


def test_one_number_is_both_sides():
    assert shown(np.zeros((4, 6, 3), np.uint8), size=2).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((5, 6, 3), "first", (3, 5, 6)),
        ((3, 5, 6), "last", (5, 6, 3)),
        ((5, 6, 3), "last", (5, 6, 3)),
        ((3, 5, 6), None, (3, 5, 6)),
        ((5, 6), "first", (5, 6)),
    ],
)
def test_channels_are_the_axis_that_is_asked_for(shape, channels, expected):
    picture = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    given = shown(picture, channels=channels)
    assert given.shape == expected
    assert sorted(given.flatten()) == sorted(picture.flatten())
    if len(shape) == 3 and shape != expected:
        moved = np.moveaxis(picture, *((-1, 0) if channels == "first" else (0, -1)))
        np.testing.assert_array_equal(given, moved)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"channels": "middle"}, r"^image=.*channels='middle': first, last, or null$"),
        ({"size": [1, 2, 3]}, r"^image=.*size=\[1, 2, 3\]: expected \[height, width\]$"),
        ({"size": [0, 2]}, r"^image=.*size=0: at least 1$"),
        ({"grey": True}, r"^image=.*unexpected keyword argument 'grey'"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(form, message):
    with pytest.raises(ValueError, match=message):
        EnvironmentFactory("CartPole-v1", image=form)


def test_what_is_no_picture_or_has_no_three_colours_is_refused():
    with pytest.raises(ValueError, match=r"not that of pictures \[H, W\]"):
        _ = EnvironmentFactory("CartPole-v1", image={"size": 8}).spec
    with pytest.raises(ValueError, match=r"image.gray=true: these pictures have 4 channels"):
        shown(np.zeros((10, 10, 4), np.uint8), gray=True)


@pytest.mark.filterwarnings(r"ignore:.*pkg_resources:UserWarning")
def test_minatar_is_given_channels_first_and_larger():
    pytest.importorskip("minatar")
    form = {"channels": "first", "size": 84}
    spec = EnvironmentFactory("MinAtar/Breakout-v1", image=form).spec
    assert (spec.observation_shape, spec.observation_dtype) == ((4, 84, 84), "float32")
    form = {"channels": "first"}
    spec = EnvironmentFactory("MinAtar/Breakout-v1", image=form).spec
    assert (spec.observation_shape, spec.observation_dtype) == ((4, 10, 10), "bool")


def test_minigrid_is_given_gray_and_smaller():
    minigrid = pytest.importorskip("minigrid.wrappers")
    factory = EnvironmentFactory(
        "MiniGrid-Empty-5x5-v0",
        wrappers=[minigrid.RGBImgObsWrapper, minigrid.ImgObsWrapper],
        image={"gray": True, "size": 20},
        frame_stack=4,
    )
    assert (factory.spec.stacked_shape, factory.spec.observation_dtype) == ((4, 20, 20), "uint8")
    environment = factory.make(2)
    observation, _ = environment.reset(seed=[0, 1])
    assert observation.shape == (2, 20, 20)
    assert len(np.unique(observation)) > 2
    environment.close()
