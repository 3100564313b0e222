"""Random shifts and intensities: by hand, over many draws, and going on where they stood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.switches import switched_dqn
from torch import Tensor

from lightning_dqn import DQN
from lightning_dqn.diagnostics.values import value_diagnostics
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.learning.augmentation import Augmentation, AugmentationStream, shifted
from lightning_dqn.learning.loss_output import LossOutput
from lightning_dqn.transitions import Transitions

FRAMES = EnvironmentSpec((12, 14), "uint8", num_actions=2, frame_stack=4)
SHIFTS = Augmentation(padding=2, intensity=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=generator(), dtype=torch.uint8)


def batch(images: Tensor, following: Tensor | None) -> Transitions:
    leading = images.shape[: images.ndim - 3]
    zeros = torch.zeros(leading)
    return Transitions(images, zeros.long(), zeros, zeros, following, None)


# --- shifts


def test_a_shift_pads_with_the_edge_by_hand() -> None:
    image = torch.tensor([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], dtype=torch.uint8)
    down_and_left = shifted(image, torch.tensor([[0], [2]]), padding=1)
    assert down_and_left.tolist() == [[[2, 3, 3], [2, 3, 3], [5, 6, 6]]]
    assert torch.equal(shifted(image, torch.tensor([[1], [1]]), padding=1), image)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8])
def test_shifts_are_crops_of_the_padded_image_one_for_all_frames(frames: int) -> None:
    images = noise(7, frames, 12, 14)
    offsets = torch.randint(5, (2, 7), generator=generator())
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="replicate")
    expected = [
        padded[i, :, y : y + 12, x : x + 14]
        for i, (y, x) in enumerate(zip(*offsets.tolist(), strict=True))
    ]
    found = shifted(images, offsets, padding=2)
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.stack(expected).to(torch.uint8))


def test_shifted_stacks_are_channels_last_for_convolutions() -> None:
    found = shifted(noise(3, 4, 12, 14), torch.zeros(2, 3, dtype=torch.int64), padding=2)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_every_shift_is_drawn_about_equally_often_and_images_apart() -> None:
    image = torch.zeros(1, 5, 5, dtype=torch.uint8)
    image[0, 2, 2] = 1
    many = image.expand(4_500, 1, 5, 5)
    found = Augmentation(padding=1, intensity=0.0)(batch(many, None), generator())
    counts = found.observation.sum(dim=(0, 1))[
        1:4, 1:4
    ]  # of 9 places 500 each, standard deviation 21
    assert counts.sum() == 4_500
    assert (counts - 500).abs().max() < 100


# --- intensities


def test_intensity_is_one_factor_for_an_image_clipped_at_two_deviations() -> None:
    images = torch.full((5_000, 2, 1, 1), 100, dtype=torch.uint8)
    bright = Augmentation(padding=0, intensity=0.05)(batch(images, None), generator())
    assert torch.equal(bright.observation, images)
    found = bright.with_intensity().observation
    assert found.dtype == torch.float32
    assert torch.equal(found[:, 0], found[:, 1])
    draws = (found[:, 0].flatten() / 100 - 1) / 0.05
    assert draws.abs().max().item() == pytest.approx(2, abs=1e-4)
    assert draws.mean().abs() < 0.05
    assert (draws.abs() > 1.99).float().mean().item() == pytest.approx(0.0455, abs=0.015)
    expected = 1 + 0.05 * torch.randn(5_000, generator=generator()).clamp(-2, 2)
    torch.testing.assert_close(found[:, 0].flatten(), 100 * expected)


def test_the_network_reads_augmented_bytes_as_it_reads_bytes() -> None:
    spec = EnvironmentSpec((12, 14), "uint8", num_actions=2, frame_stack=4)
    network = switched_dqn(spec, network=["Flatten"]).q_network
    images = noise(3, 4, 12, 14)
    torch.testing.assert_close(network(images.float()), network(images))


# --- transitions


def test_each_image_of_each_column_is_multiplied_with_its_own_factor() -> None:
    images, steps = noise(2, 3, 4, 5, 6), noise(2, 3, 7, 4, 5, 6)
    given = batch(images, images.clone())._replace(sequence_observation=steps)
    found = Augmentation(padding=0, intensity=0.5)(given, generator())
    assert found.intensity is not None
    shapes = {name: tuple(factor.shape) for name, factor in found.intensity.items()}
    assert shapes == {
        "observation": (2, 3), "next_observation": (2, 3), "sequence_observation": (2, 3, 7),
    }  # fmt: skip
    [_, second] = found.minibatches()
    bright = second.with_intensity()
    assert bright.intensity is None
    for name, factor in found.intensity.items():
        image, expected = getattr(bright, name), getattr(given, name)[1].float()
        assert factor.unique().numel() > 0.9 * factor.numel()  # some are clipped
        for place in np.ndindex(*factor.shape[1:]):
            assert torch.equal(image[place], expected[place] * factor[1][place])
    assert bright.with_intensity() is bright


def test_a_loss_sees_bright_images_and_so_does_who_looks_at_the_minibatch() -> None:
    seen: list[Transitions] = []

    class Looks(DQN):
        def loss(self, batch: Transitions) -> LossOutput:
            seen.append(batch)
            return super().loss(batch)

    module = Looks(FRAMES, network=["Flatten"], compile=False)
    images = noise(3, 4, 12, 14)
    factor = torch.tensor([0.5, 1.0, 2.0])
    given = batch(images, images)._replace(intensity={"observation": factor})
    module.update.gradients(given)
    assert module.minibatch is None
    module._minibatch = given
    assert module.minibatch is not None
    value_diagnostics(module, module.minibatch)
    assert len(seen) == 2
    for one in seen:
        expected = images.float() * factor.view(3, 1, 1, 1)
        assert torch.equal(one.observation, expected)
        assert one.next_observation is images


def test_observation_and_next_observation_are_drawn_apart_and_shapes_stay() -> None:
    images = noise(2, 3, 4, 12, 14)
    given = batch(images, images.clone())
    found = SHIFTS(given, generator())
    assert found.observation.shape == images.shape
    assert found.next_observation is not None
    assert not torch.equal(found.observation, found.next_observation)
    assert torch.equal(given.observation, images)
    assert torch.equal(SHIFTS(given, generator()).observation, found.observation)


def test_whole_targets_have_no_next_observation() -> None:
    assert SHIFTS(batch(noise(3, 4, 12, 14), None), generator()).next_observation is None


def test_images_without_a_stack_are_augmented_too() -> None:
    spec = EnvironmentSpec((12, 14), "uint8", num_actions=2)
    SHIFTS.check_fits(spec)
    images, zeros = noise(3, 12, 14), torch.zeros(3)
    found = SHIFTS(Transitions(images, zeros.long(), zeros, zeros, None, None), generator())
    assert found.observation.shape == images.shape
    assert not torch.equal(found.observation, images)


# --- the stream of a module


def test_a_stream_goes_on_from_its_state_and_draws_from_no_other_generator() -> None:
    given = batch(noise(5, 4, 12, 14), None)
    torch.manual_seed(3)
    stream = AugmentationStream(SHIFTS)
    assert stream.state is None
    before = torch.get_rng_state()
    stream(given)
    assert torch.equal(torch.get_rng_state(), before)
    state = stream.state
    expected = stream(given).observation
    other = AugmentationStream(SHIFTS)
    torch.manual_seed(4)
    other.begin_fit(state)
    assert torch.equal(other(given).observation, expected)
    other.begin_fit(None)
    assert not torch.equal(other(given).observation, expected)


def test_a_stream_draws_from_its_seed_where_its_state_is_of_another_kind_of_device() -> None:
    given, stream = batch(noise(5, 4, 12, 14), None), AugmentationStream(SHIFTS)
    expected = stream(given).observation
    stream.begin_fit(torch.zeros(16, dtype=torch.uint8))
    assert torch.equal(stream(given).observation, expected)


def test_without_augmentation_transitions_are_the_same_objects() -> None:
    given = batch(noise(2, 4, 12, 14), None)
    assert AugmentationStream(None)(given) is given


def test_a_module_keeps_its_augmentation_as_plain_values() -> None:
    module = switched_dqn(FRAMES, network=["Flatten"], augmentation=SHIFTS)
    plain = module.hparams["augmentation"]
    assert plain == {"padding": 2, "intensity": 0.0}
    again = switched_dqn(FRAMES, network=["Flatten"], augmentation=plain)
    assert again.augmentation.augmentation == SHIFTS
    assert (
        switched_dqn(FRAMES, network=["Flatten"], augmentation={}).augmentation.to_plain() is None
    )


def test_acting_is_not_augmented() -> None:
    module = switched_dqn(FRAMES, network=["Flatten"], augmentation=SHIFTS)
    images = noise(6, 4, 12, 14).numpy()
    assert torch.equal(module.agent.q_values(images), module.agent.q_values(images))
    assert module.augmentation.state is None


# --- mistakes


def test_channels_that_come_last_get_their_intensity_but_not_shifted() -> None:
    spec = EnvironmentSpec((10, 10, 3), "uint8", num_actions=2)
    with pytest.raises(ValueError, match=r"uint8\[10, 10, 3\].*environment\.image\.channels=first"):
        Augmentation(padding=1).check_fits(spec)
    Augmentation(padding=0).check_fits(spec)
    Augmentation(padding=1).check_fits(EnvironmentSpec((3, 10, 10), "uint8", num_actions=2))


@pytest.mark.parametrize(
    "spec",
    [
        EnvironmentSpec((4,), "float32", 2),
        EnvironmentSpec((84, 84), "float32", 2),
        EnvironmentSpec((84, 84, 3), "uint8", 2),
        EnvironmentSpec((4, 84), "uint8", 2),
    ],
    ids=lambda spec: f"{spec.observation_dtype}{spec.observation_shape}",
)
def test_what_is_no_image_is_refused_with_its_shape(spec: EnvironmentSpec) -> None:
    with pytest.raises(ValueError, match=r"^augmentation: the observations are .*\[.*none\)$"):
        switched_dqn(spec, augmentation=Augmentation())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"padding": -1}, "^padding=-1: at least 0$"), ({"intensity": -1.0}, "^intensity=-1.0: ")],
)
def test_a_negative_size_names_itself(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Augmentation(**arguments)


def test_another_object_is_no_augmentation() -> None:
    with pytest.raises(ValueError, match=r"^augmentation=4: expected an Augmentation, or None$"):
        Augmentation.of(4)  # type: ignore[arg-type]
