"""Augmented minibatches of images: random shifts and intensities, while learning alone.

Shapes: M images of any number of stacked frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.system.numbers import finite_number, keep_plain, keep_whole
from lightning_dqn.system.seeding import seed_of, set_generator
from lightning_dqn.transitions import Transitions


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random shifts and intensities, Kostrikov et al. 2021 (arxiv.org/abs/2004.13649), sec. 4.

    Every image is padded with its edge on all sides, cropped to its size at a random place, and
    multiplied by 1 + intensity * clip(N(0, 1), -2, 2). The frames of a stack share one draw;
    observation, next observation and each step of a sequence have their own. Shifts are made here;
    factors are only drawn, and applied where a loss begins (:meth:`Transitions.with_intensity`).

    Args:
        padding: pixels that an image may shift by, in each direction; 0: none.
        intensity: scale of the factor; 0: none.
    """

    padding: int = 4
    intensity: float = 0.05

    def __post_init__(self) -> None:
        keep_plain(self)
        keep_whole(self, padding=0)
        if finite_number("intensity", self.intensity) < 0:
            raise ValueError(f"intensity={self.intensity}: at least 0")

    @classmethod
    def of(cls, augmentation: Augmentation | Mapping[str, Any] | None) -> Augmentation | None:
        """Return an augmentation, whatever way it is given, None for none or an empty node.

        Raises:
            ValueError: it is no augmentation.
        """
        if isinstance(augmentation, cls):
            return augmentation
        if augmentation is None or not augmentation:
            return None
        if not isinstance(augmentation, Mapping):
            raise ValueError(f"augmentation={augmentation!r}: expected an Augmentation, or None")
        return cls(**augmentation)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, which :meth:`of` takes back."""
        return asdict(self)

    def check_fits(self, spec: EnvironmentSpec) -> None:
        """Refuse observations that are no images with their height and width last.

        Raises:
            ValueError: with the shape.
        """
        shape = spec.observation_shape
        is_image = len(shape) >= 2 and min(shape[-2:]) > 2 * self.padding
        if self.padding and len(shape) == 3 and shape[0] >= shape[-1]:
            is_image = False  # channels come last, and a shift would mix them
        if spec.observation_dtype != "uint8" or not is_image:
            found = f"{spec.observation_dtype}[{', '.join(map(str, shape))}]"
            raise ValueError(
                f"augmentation: the observations are {found}; it takes uint8 images, height and "
                f"width last and above {2 * self.padding}; bring images to that "
                "form (environment.image.channels=first), or set augmentation=None "
                "(module/augmentation=none)"
            )

    def __call__(self, batch: Transitions, generator: torch.Generator) -> Transitions:
        """Return transitions whose images are shifted and have an intensity, of the same shapes.

        Args:
            batch: columns [U, B, ...] or [B, ...]; stays as it is.
            generator: what is drawn from, on the batch's device.
        """
        leading = batch.action.ndim
        axes = {
            "observation": leading,
            "next_observation": leading,
            "sequence_observation": leading + 1,  # each step to come has a draw of its own
        }
        moved: dict[str, Any] = {}
        intensity: dict[str, Tensor] = {}
        for name, own in axes.items():
            if (images := getattr(batch, name)) is None:
                continue
            if self.padding:
                moved[name] = self._shifted(images, own, generator)
            if self.intensity:
                intensity[name] = self._factors(images, own, generator)
        return batch._replace(**moved, intensity=intensity or None)

    def _shifted(self, images: Tensor, leading: int, generator: torch.Generator) -> Tensor:
        flat, end = images.flatten(0, leading - 1), 2 * self.padding + 1
        offsets = torch.randint(end, (2, len(flat)), generator=generator, device=flat.device)
        return shifted(flat, offsets, self.padding).unflatten(0, images.shape[:leading])

    def _factors(self, images: Tensor, leading: int, generator: torch.Generator) -> Tensor:
        shape = images.shape[:leading]
        noise = torch.randn(shape.numel(), generator=generator, device=images.device)
        return (1 + self.intensity * noise.clamp(-2, 2)).view(shape)


class AugmentationStream:
    """Augments minibatch after minibatch, from a generator of its own that a checkpoint holds.

    Args:
        augmentation: None: minibatches stay as they are.
    """

    def __init__(self, augmentation: Augmentation | None) -> None:
        self.augmentation = augmentation
        self._generator: torch.Generator | None = None
        self._state: Tensor | None = None

    @classmethod
    def of(
        cls, augmentation: Augmentation | Mapping[str, Any] | None, spec: EnvironmentSpec
    ) -> AugmentationStream:
        """Return the stream of an augmentation, whatever way it is given.

        Raises:
            ValueError: it is none, or doesn't fit the observations.
        """
        found = Augmentation.of(augmentation)
        if found is not None:
            found.check_fits(spec)
        return cls(found)

    def __call__(self, batch: Transitions) -> Transitions:
        """Return transitions whose observations are augmented, of the same shapes."""
        if self.augmentation is None:
            return batch
        return self.augmentation(batch, self._generator_on(batch.action.device))

    @property
    def state(self) -> Tensor | None:
        """State of the generator; None where nothing was drawn yet."""
        return self._state if self._generator is None else self._generator.get_state()

    def begin_fit(self, state: Tensor | None) -> None:
        """Draw from this state on; None: from torch's seed, as it is at the first draw."""
        self._generator, self._state = None, state

    def to_plain(self) -> dict[str, Any] | None:
        """Return the augmentation's plain values."""
        return None if self.augmentation is None else self.augmentation.to_plain()

    def _generator_on(self, device: torch.device) -> torch.Generator:
        if self._generator is None:
            seed = seed_of(torch.initial_seed(), "augmentation")
            self._generator = torch.Generator(device).manual_seed(seed)
            set_generator(self._generator, self._state)
        return self._generator


def shifted(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Return images padded with their edge, cropped to their size.

    The frames of one image lie beside each other in memory, as convolutions want them.

    Args:
        images: [M, ..., H, W].
        offsets: int64[2, M], rows and columns of the padded image at which the crop begins; with
            ``padding`` each the image stays.
        padding: on each side.
    """
    number, (height, width) = len(images), images.shape[-2:]
    frames = images.reshape(number, -1, height, width).permute(0, 2, 3, 1)
    left, right = (
        edge.expand(-1, -1, padding, -1) for edge in (frames[:, :, :1], frames[:, :, -1:])
    )
    wide = torch.cat([left, frames, right], dim=2)
    depth = frames.shape[3]

    top, start = offsets.unsqueeze(2)
    rows = (torch.arange(height, device=images.device) + top - padding).clamp(0, height - 1)
    first = height * torch.arange(number, device=images.device).unsqueeze(1)
    places = ((first + rows) * wide.shape[2] + start) * depth
    cropped = _windows(wide.flatten(), width * depth).index_select(0, places.flatten())
    return cropped.view(frames.shape).permute(0, 3, 1, 2).view(images.shape)


def _windows(values: Tensor, length: int) -> Tensor:
    """Return all stretches of a vector as a view [N - length + 1, length].

    Where one is picked, its bytes are moved at once.
    """
    return values.as_strided((len(values) - length + 1, length), (1, 1))
