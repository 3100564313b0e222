"""The ring's memory: how much it takes, where it lies, and the refusal of what doesn't fit."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

import pytest
import torch
from support.scripted_env import episodes, spec_of
from support.scripted_rings import places_sampled, ring_of

from lightning_dqn.replay import storage as storage_module
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import (
    ReplayConfig,
    allocate,
    check_batches_fit,
    check_ring_fits,
    ring_bytes,
    ring_device,
    ring_folder,
    ring_layout,
)

# Settings


def of_rows(capacity, storage, folder):
    """Return a ring's configuration, with a folder where a file of it lies in one."""
    return ReplayConfig(capacity, storage, str(folder) if storage == "memmap" else None)


@pytest.mark.parametrize(("key", "value"), [("capacity", 1), ("storage", "disk")])
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        ReplayConfig(**{key: value})


def test_another_capacity_changes_nothing_else():
    config = ReplayConfig(10, "memmap", "here", gamma=0.5, n_step=[1, 3])
    other = ReplayConfig(20, "memmap", "here", gamma=0.5, n_step=[1, 3])
    assert config.with_capacity(20) == other
    assert config.capacity == 10


# Bytes


def test_a_rows_columns_are_those_of_its_environment():
    layout = ring_layout(spec_of("uint8", num_actions=4, frame_stack=3))
    assert layout == {
        "observation": ((3,), torch.uint8),
        "action": ((), torch.int64),
        "reward": ((), torch.float32),
        "terminated": ((), torch.bool),
        "truncated": ((), torch.bool),
    }
    masked = ring_layout(spec_of("uint8", num_actions=4, frame_stack=3, masked=True))
    assert masked == {**layout, "action_mask": ((4,), torch.bool)}


@pytest.mark.parametrize(
    ("dtype", "masked", "row"),
    [
        ("float32", False, 12 + 8 + 4 + 1 + 1),
        ("float32", True, 12 + 8 + 4 + 1 + 1 + 4),
        ("uint8", False, 3 + 8 + 4 + 1 + 1),
        ("int64", False, 8 + 8 + 4 + 1 + 1),
    ],
)
def test_the_bytes_of_a_ring_are_those_of_its_rows_and_starts(dtype, masked, row):
    """A capacity of 5 is 6 rows of 2 environments, each with 8 bytes in the list of starts."""
    spec = spec_of(dtype, masked=masked)
    assert ring_bytes(spec, 2, 5) == 6 * (row + 8)
    ring = ReplayBuffer(spec, 2, ReplayConfig(5))
    tensors = [*ring._columns.by_name.values(), ring._starts.cells]
    assert sum(tensor.nbytes for tensor in tensors) == ring_bytes(spec, 2, 5)


# What fits


@pytest.mark.parametrize(
    ("storage", "beside", "least"),
    [
        ("cpu", 0, {"memory": 255, "disk": 0}),
        ("cpu", 36, {"memory": 300, "disk": 0}),
        ("memmap", 0, {"memory": 60, "disk": 195}),
        ("memmap", 36, {"memory": 105, "disk": 195}),
    ],
)
def test_a_ring_of_the_usable_share_fits_where_it_lies_and_no_larger_one(
    storage, beside, least, monkeypatch, tmp_path
):
    """6 rows of 26 bytes and 8 for their starts are 204, 80 % of 255."""
    free = dict(least)
    monkeypatch.setattr(storage_module, "available_bytes", lambda _: free["memory"])
    monkeypatch.setattr(storage_module, "available_disk_bytes", lambda _: free["disk"])
    config = of_rows(6, storage, tmp_path)
    check_ring_fits(spec_of(), 2, config, beside_bytes=beside)
    for place, number in least.items():
        if number == 0:  # nothing lies there
            continue
        free = {**least, place: number - 1}
        with pytest.raises(ValueError, match=rf"replay\.capacity=6: .*\({storage}\).*: lower it"):
            check_ring_fits(spec_of(), 2, config, beside_bytes=beside)


@pytest.mark.parametrize(
    ("storage", "free", "text"),
    [
        ("cpu", {}, "the replay ring (cpu) takes 204 B, but .*: lower it or choose storage=memmap"),
        ("memmap", {}, "the replay ring (memmap) takes 156 B, .*: lower it or choose another dir"),
        (
            "memmap",
            {"disk": 195},
            "the starts of the replay ring (memmap) takes 48 B, .*: lower it",
        ),
    ],
)
def test_what_does_not_fit_is_named(storage, free, text, monkeypatch, tmp_path):
    monkeypatch.setattr(storage_module, "available_bytes", lambda _: 0)
    monkeypatch.setattr(storage_module, "available_disk_bytes", lambda _: free.get("disk", 0))
    pattern = text.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=pattern):
        check_ring_fits(spec_of(), 2, of_rows(6, storage, tmp_path))


def test_a_folder_for_a_ring_in_memory_is_refused(tmp_path):
    told = r"^directory=.*: is that of a file, and storage=cpu has none; choose storage=memmap"
    with pytest.raises(ValueError, match=told):
        ReplayConfig(6, directory=str(tmp_path))


def test_a_full_disk_leaves_no_file(monkeypatch, tmp_path):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(ValueError, match=r"^replay.directory=.*: the replay ring takes 80 B more"):
        allocate((10,), torch.int64, torch.device("cpu"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("storage", ["cpu", "accelerator", "memmap"])
def test_a_huge_ring_is_refused_at_once_by_the_name_of_its_capacity(storage, tmp_path):
    config = of_rows(10**13, storage, tmp_path)
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=r"capacity=10000000000000: .* free"):
        ReplayBuffer(spec_of(), 8, config)
    assert time.perf_counter() - begin < 1
    assert not list(tmp_path.iterdir())


def test_batches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="batch_size=1000000000 x updates_per_iteration=1000"):
        check_batches_fit(spec_of(), 1_000, 10**9)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool", "int64"])
def test_a_memory_mapped_ring_equals_one_in_memory(dtype, tmp_path):
    spec = spec_of(dtype, masked=True, frame_stack=2)
    arguments = {"keeps": 9, "spec": spec, "n_step": 2}
    scripts = [episodes(3, 5), episodes(4)]
    in_memory = ring_of(scripts, 30, **arguments)
    mapped = ring_of(scripts, 30, storage="memmap", directory=str(tmp_path), **arguments)
    for one, other in zip(in_memory.sample(2, 60), mapped.sample(2, 60), strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    assert not list(tmp_path.iterdir()), "the open files are removed already, so none is left over"


def test_memory_mapped_rings_in_one_directory_are_apart(tmp_path):
    rings = [ring_of([episodes(n)], 30, storage="memmap", directory=str(tmp_path)) for n in (30, 2)]
    assert [ring.num_starts for ring in rings] == [29, 20]
    assert places_sampled(rings[0]) == {(0, 0, step) for step in range(29)}


# Where it lies


@pytest.mark.parametrize(
    ("storage", "device"), [("cpu", "cpu"), ("memmap", "cpu"), ("accelerator", "cuda:1")]
)
def test_only_storage_on_the_accelerator_lies_on_the_device_that_learns(storage, device):
    assert ring_device(ReplayConfig(storage=storage), "cuda:1") == torch.device(device)


def test_the_folder_is_the_configurations_before_the_runs_before_the_systems():
    own, without = ReplayConfig(10, "memmap", "own"), ReplayConfig(10, "memmap")
    assert ring_folder(own, "of the run") == Path("own")
    assert ring_folder(without, "of the run") == Path("of the run")
    assert ring_folder(without, None) == Path(tempfile.gettempdir())


@pytest.mark.parametrize("storage", ["cpu", "accelerator"])
def test_memory_has_no_folder(storage):
    assert ring_folder(ReplayConfig(10, storage), "of the run") is None


@pytest.mark.parametrize("is_mapped", [True, False])
def test_what_is_allocated_is_zero_and_can_be_written(is_mapped, tmp_path):
    folder = tmp_path / "made" / "on the way" if is_mapped else None
    tensor = allocate((3, 2), torch.int64, torch.device("cpu"), folder)
    assert torch.equal(tensor, torch.zeros(3, 2, dtype=torch.int64))
    tensor[1] = 7
    assert tensor.tolist() == [[0, 0], [7, 7], [0, 0]]
    assert (tmp_path / "made").exists() == is_mapped
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
