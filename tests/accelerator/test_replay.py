"""A ring and its priorities on the device that learns are those on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.scripted_env import EpisodeScript, scripted_rows, spec_of

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.replay.sum_tree import SumTree
from lightning_dqn.transitions import Rows

SCRIPTS = [
    [EpisodeScript((1.0, 2.0, 3.0, 4.0), lives_lost=(1,)), EpisodeScript((5.0,), False, True)],
    [EpisodeScript((0.5, -1.0, 2.0), lives_lost=(0, 2)), EpisodeScript((1.0, 7.0), True, True)],
]


def rings(device: torch.device, num_times: int) -> list[ReplayBuffer]:
    """Return two rings that have come round, on the device and on the CPU."""
    spec = spec_of("uint8", masked=True, frame_stack=3, has_life_losses=True)
    rows = scripted_rows(SCRIPTS, num_times, spec)
    made = []
    for where in (device, torch.device("cpu")):
        config = ReplayConfig(40, gamma=0.9, n_step=3, reward_clip=4.0, storage="accelerator")
        ring = ReplayBuffer(spec, 2, config, device=where)
        for begin in range(0, num_times, 7):
            ring.extend(Rows(*(c if c is None else c[begin : begin + 7] for c in rows)))  # type: ignore[arg-type]
        made.append(ring)
    return made


@pytest.mark.parametrize("num_times", [9, 70])
def test_every_transition_of_a_ring_on_the_device_is_the_cpus(
    device: torch.device, num_times: int
) -> None:
    on_device, on_cpu = rings(device, num_times)
    cells = on_device.start_cells()
    assert cells.device == device
    assert torch.equal(cells.cpu(), on_cpu.start_cells())
    found = on_device.transitions_at(cells)
    for name, expected in on_cpu.transitions_at(cells.cpu())._asdict().items():
        column = getattr(found, name)
        if expected is None:
            assert column is None
            continue
        assert column.device == device, name
        torch.testing.assert_close(column.cpu(), expected, msg=name)


def test_what_is_drawn_on_the_device_are_starts(device: torch.device) -> None:
    on_device, _ = rings(device, 70)
    drawn = on_device.sample(3, 64)
    assert (drawn.action.shape, drawn.action.device) == ((3, 64), device)
    assert on_device.newest_read is not None
    assert set(on_device.newest_read.tolist()) <= set(on_device.start_cells().tolist())


def filled(size: int, device: torch.device | str) -> SumTree:
    """Return a tree whose every third leaf is 0, some of them changed in place."""
    random = np.random.default_rng(0)
    tree = SumTree(size, device)
    values = torch.from_numpy(random.random(size)).to(tree.dtype)
    values[::3] = 0.0
    tree.fill(0, size, values.to(device))
    index = torch.from_numpy(random.integers(0, size, 20))
    tree.update(index.to(device), torch.linspace(0, 2, 20).to(device))
    return tree


@pytest.mark.parametrize("size", [1, 33, 5_000])
def test_the_tree_on_the_device_holds_what_the_cpus_holds(device: torch.device, size: int) -> None:
    found, expected = filled(size, device), filled(size, "cpu")
    torch.testing.assert_close(found[:].cpu(), expected[:], rtol=0, atol=0)
    torch.testing.assert_close(found.total.cpu(), expected.total)


def test_draws_on_the_device_are_in_proportion_and_never_of_a_leaf_of_0(
    device: torch.device,
) -> None:
    tree = filled(33, device)
    generator = torch.Generator(device).manual_seed(3)
    drawn = tree.sample(400, 128, generator)
    assert drawn.device == device
    shares = torch.bincount(drawn.cpu(), minlength=33).double() / len(drawn)
    expected = tree[:].cpu().double() / float(tree.total)
    assert (shares[expected == 0] == 0).all()
    torch.testing.assert_close(shares, expected, atol=2e-3, rtol=0.0)


def test_a_draw_reads_nothing_back(device: torch.device, no_read_back: Any) -> None:
    tree, ring = filled(5_000, device), rings(device, 70)[0]
    generator = torch.Generator(device).manual_seed(3)
    ring.sample(2, 32)  # the first makes the memory that is used again
    with no_read_back():
        tree.sample(4, 32, generator)
        ring.sample(2, 32)
