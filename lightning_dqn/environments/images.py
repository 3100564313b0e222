"""Pictures in the form that a network wants: gray, of another size, channels first or last.

Shapes: H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from torch.nn.functional import interpolate

from lightning_dqn.system.numbers import whole_number

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue count for the eye (ITU-R BT.601)."""


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How pictures are given to the network.

    Args:
        gray: [H, W] of red, green and blue, by luminance.
        size: (height, width) that they are resized to, each pixel the mean of the area that it
            covers; one number for both; None: as they are.
        channels: which axis they become; None: as they are. Channels are the shorter one of a
            picture's first and last axis, the last if both are alike.
    """

    gray: bool = False
    size: int | Sequence[int] | None = None
    channels: Literal["first", "last"] | None = None

    def __post_init__(self) -> None:
        if self.channels not in (None, "first", "last"):
            raise ValueError(f"channels={self.channels!r}: first, last, or null")
        if self.size is None:
            return
        sides = list(self.size) if isinstance(self.size, Sequence) else [self.size] * 2
        if len(sides) != 2:
            raise ValueError(f"size={self.size}: expected [height, width]")
        both = tuple(whole_number("size", side, least=1) for side in sides)
        object.__setattr__(self, "size", both)

    @classmethod
    def of(cls, given: ImageFormat | Mapping[str, Any] | None) -> ImageFormat:
        """Return a format, whatever way it is given.

        Raises:
            ValueError: a key or a value means nothing.
        """
        if isinstance(given, ImageFormat):
            return given
        try:
            return cls(**(given or {}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"image={dict(given or {})}: {error}") from error

    @property
    def changes_nothing(self) -> bool:
        """Whether pictures stay as they are."""
        return self == ImageFormat()

    def wrap(self, environment: gym.Env) -> gym.Env:
        """Return an environment whose pictures have this format.

        Raises:
            ValueError: its observations are no pictures, or have no three colours to be gray.
        """
        return ImageObservation(environment, self)


class ImageObservation(gym.ObservationWrapper):
    """Pictures in another format: uint8 stays so, others become float32 where they are resized.

    Args:
        environment: gives pictures [H, W], [H, W, C] or [C, H, W].
        form: what they become.

    Raises:
        ValueError: see :meth:`ImageFormat.wrap`.
    """

    def __init__(self, environment: gym.Env, form: ImageFormat) -> None:
        super().__init__(environment)
        space = environment.observation_space
        shape = space.shape
        if not isinstance(space, gym.spaces.Box) or shape is None or len(shape) not in (2, 3):
            raise ValueError(
                f"image={form}: the observation space is {space}, not that of pictures [H, W], "
                "[H, W, C] or [C, H, W]; name a wrapper that gives these"
            )
        self._form = form
        self._is_first = len(shape) == 3 and shape[0] < shape[-1]
        channels = 1 if len(shape) == 2 else min(shape[0], shape[-1])
        if form.gray and len(shape) == 3 and channels != 3:
            raise ValueError(
                f"image.gray=true: these pictures have {channels} channels, not red, green and "
                "blue; set gray=false"
            )
        example = self.observation(np.zeros(shape, space.dtype))
        low, high = float(space.low.min()), float(space.high.max())
        kind: Any = example.dtype.type
        self.observation_space = gym.spaces.Box(low, high, example.shape, kind)

    def observation(self, observation: Any) -> np.ndarray:
        """Return a picture in the format, a new array."""
        form, picture = self._form, np.asarray(observation)
        is_first = self._is_first
        if is_first:
            picture = np.moveaxis(picture, 0, -1)
        if form.gray and picture.ndim == 3:
            picture = _like(picture, picture.astype(np.float32) @ LUMINANCE)
        if form.size is not None and picture.shape[:2] != form.size:
            picture = _like(picture, _resized(picture, form.size))
        wants_first = form.channels == "first" or (form.channels is None and is_first)
        if picture.ndim == 3 and wants_first:
            picture = np.moveaxis(picture, -1, 0)
        return np.array(picture, order="C")


def _resized(picture: np.ndarray, size: Any) -> np.ndarray:
    """Return the means of areas, float32[*size] or float32[*size, C]."""
    planes = np.atleast_3d(picture).astype(np.float32)
    tensor = torch.from_numpy(planes).movedim(-1, 0)[None]
    means = interpolate(tensor, size=tuple(size), mode="area")[0].movedim(0, -1).numpy()
    return means if picture.ndim == 3 else means[..., 0]


def _like(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return float32 values as bytes where the picture was of these."""
    return np.rint(values).astype(np.uint8) if picture.dtype == np.uint8 else values
