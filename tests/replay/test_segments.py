"""Segments: each row is written once, what comes back is what was there, damage is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.counted_ring import CountedRing

from lightning_dqn import EnvironmentSpec, ReplayBuffer, ReplayConfig
from lightning_dqn.replay import segments
from lightning_dqn.replay.segments import SegmentWriter, delete_unnamed, load
from lightning_dqn.transitions import NO_ACTION, Rows


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def same(one: CountedRing, other: CountedRing) -> bool:
    theirs = other.content()
    return one.total_times == other.total_times and all(
        torch.equal(column, theirs[name]) and column.dtype == theirs[name].dtype
        for name, column in one.content().items()
    )


@pytest.mark.parametrize("collected", [1, 7, 10, 11, 25])
def test_a_ring_comes_back(collected, tmp_path):
    ring, other = CountedRing(10), CountedRing(10)
    ring.collect(collected)
    description = SegmentWriter(tmp_path).save(ring)
    load(tmp_path, description, other)
    assert same(ring, other)


def test_a_description_is_what_a_checkpoint_may_hold(tmp_path):
    ring = CountedRing(10)
    ring.collect(4)
    description = SegmentWriter(tmp_path).save(ring)
    torch.save(description, tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True) == description


def test_a_save_writes_the_new_rows_alone(tmp_path):
    ring, writer = CountedRing(100), SegmentWriter(tmp_path)
    ring.collect(50)
    writer.save(ring)
    [first] = tmp_path.iterdir()
    ring.collect(5)
    description = writer.save(ring)
    [second] = set(tmp_path.iterdir()) - {first}
    assert 10 * second.stat().st_size == first.stat().st_size
    assert [(one["first_time"], one["end_time"]) for one in description] == [(0, 50), (50, 55)]
    other = CountedRing(100)
    load(tmp_path, description, other)
    assert same(ring, other)


def test_without_new_rows_nothing_is_written(tmp_path, monkeypatch):
    ring, writer = CountedRing(10), SegmentWriter(tmp_path)
    ring.collect(5)
    description = writer.save(ring)
    monkeypatch.setattr(segments, "_write", None)
    assert writer.save(ring) == description


def test_segments_of_overwritten_rows_are_named_no_more(tmp_path):
    ring, writer = CountedRing(10), SegmentWriter(tmp_path)
    described = []
    for _ in range(6):
        ring.collect(4)
        described.append(writer.save(ring))
    assert [one["first_time"] for one in described[-1]] == [12, 16, 20]
    for description in described[-2:]:
        other = CountedRing(10)
        load(tmp_path, description, other)
        assert other.total_times == description[-1]["end_time"]
        expected = CountedRing(10)
        expected.collect(other.total_times)
        assert same(expected, other)


def test_only_what_no_checkpoint_names_is_deleted(tmp_path):
    ring, writer = CountedRing(10), SegmentWriter(tmp_path)
    (tmp_path / "notes.txt").touch()
    described = []
    for _ in range(6):
        ring.collect(4)
        described.append(writer.save(ring))
    delete_unnamed(tmp_path, described[-2:])
    kept = {one["file"] for description in described[-2:] for one in description}
    assert names(tmp_path) == kept | {"notes.txt"}
    assert len(kept) == 4
    delete_unnamed(tmp_path / "nowhere", [])


def test_memory_and_files_are_bounded_however_large_the_ring_is(tmp_path, monkeypatch):
    ring = CountedRing(1000)
    ring.collect(1000)
    row = sum(column[0].nbytes for column in ring.content().values())
    ring.largest_read = 0
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 50 * row)
    description = SegmentWriter(tmp_path).save(ring)
    assert len(description) == 20
    assert ring.largest_read == 50
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {50 * row}


def test_a_resumed_run_goes_on_with_the_segments_it_loaded(tmp_path):
    ring = CountedRing(100)
    ring.collect(30)
    description = SegmentWriter(tmp_path).save(ring)
    resumed = CountedRing(100)
    load(tmp_path, description, resumed)
    resumed.collect(3)
    later = SegmentWriter(tmp_path, description).save(resumed)
    assert later[:-1] == description
    assert (later[-1]["first_time"], later[-1]["end_time"]) == (30, 33)


def test_two_runs_from_one_checkpoint_never_share_what_differs(tmp_path):
    """The rows after an older checkpoint are others than those that a newer one names."""
    ring, writer = CountedRing(100), SegmentWriter(tmp_path)
    ring.collect(10)
    older = writer.save(ring)
    ring.collect(5)
    newer = writer.save(ring)
    resumed = CountedRing(100)
    load(tmp_path, older, resumed)
    columns = {
        name: 1 - column
        for name, column in ring.read_times(10, 15).items()
        if column.dtype != torch.bool
    }
    resumed.write_times(10, {**columns, "terminated": torch.ones(5, 2, dtype=torch.bool)})
    other = SegmentWriter(tmp_path, older).save(resumed)
    for description, expected in ((newer, ring), (other, resumed)):
        found = CountedRing(100)
        load(tmp_path, description, found)
        assert same(expected, found)


def rows_of(actions: list[list[int]], terminated: list[list[bool]]) -> Rows:
    """Return rows of two environments that pay 1 for every step, [T, 2]."""
    action, ended = np.array(actions), np.array(terminated)
    observation = np.arange(action.size, dtype=np.float32).reshape(*action.shape, 1)
    reward = (action != NO_ACTION).astype(np.float32)
    return Rows(observation, action, reward, ended, np.zeros_like(ended), None)


def test_an_episode_that_was_cut_off_after_its_rows_were_saved_stays_cut_off(tmp_path):
    spec = EnvironmentSpec((1,), "float32", num_actions=2)
    rings = [ReplayBuffer(spec, 2, ReplayConfig(capacity=20, n_step=3)) for _ in range(2)]
    ring, other = rings
    writer = SegmentWriter(tmp_path)
    ring.extend(rows_of([[0, 1], [1, 0]], [[False, False], [False, True]]))
    writer.save(ring)
    # As where a run begins anew: the first episode was open, the second had ended.
    ring.extend(rows_of([[NO_ACTION] * 2, [0, 0], [1, 1]], [[False] * 2] * 3))
    load(tmp_path, writer.save(ring), other)
    other.resume_at(ring.total_times)
    expected = [[False, False], [True, False], *[[False, False]] * 3]
    for one in rings:
        assert one.read_times(0, 5)["truncated"].tolist() == expected
        # Chains of three: one of two rewards, which bootstraps from the row that cut it off.
        transition = one.transitions_at(torch.tensor([0]))
        assert transition.reward.tolist() == pytest.approx([1 + 0.99])
        assert transition.discount.tolist() == pytest.approx([0.99**2])


def test_a_ring_that_began_anew_is_written_anew(tmp_path):
    ring, writer = CountedRing(10), SegmentWriter(tmp_path)
    ring.collect(8)
    writer.save(ring)
    anew = CountedRing(10)
    anew.collect(3)
    [only] = writer.save(anew)
    assert (only["first_time"], only["end_time"]) == (0, 3)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("damage", ["flip", "cut", "longer"])
def test_a_damaged_segment_is_named(damage, share, tmp_path):
    ring, writer = CountedRing(100), SegmentWriter(tmp_path)
    ring.collect(50)
    description = writer.save(ring)
    path = tmp_path / description[0]["file"]
    content = bytearray(path.read_bytes())
    place = int(share * len(content))
    flipped = bytearray(content)
    flipped[place] ^= 1
    longer = content[:] + b"x"
    path.write_bytes({"flip": flipped, "cut": content[:place], "longer": longer}[damage])
    other = CountedRing(100)
    with pytest.raises(ValueError, match=rf"{path.name}: .*damaged") as caught:
        load(tmp_path, description, other)
    assert "\n" not in str(caught.value)
    assert other.total_times == 0


def test_memory_that_happens_to_hold_the_rows_does_not_stand_in_for_them(tmp_path, monkeypatch):
    ring = CountedRing(10)
    ring.write_times(0, {name: torch.zeros_like(c[:5]) for name, c in ring._columns.items()})
    description = SegmentWriter(tmp_path).save(ring)
    os.truncate(tmp_path / description[0]["file"], 3)
    monkeypatch.setattr(segments.torch, "empty", torch.zeros)
    with pytest.raises(ValueError, match="damaged"):
        load(tmp_path, description, CountedRing(10))


def test_a_missing_segment_is_named(tmp_path):
    ring, writer = CountedRing(100), SegmentWriter(tmp_path)
    for _ in range(3):
        ring.collect(5)
        description = writer.save(ring)
    with pytest.raises(ValueError, match=rf"{description[2]['file']}: rows before .* missing"):
        load(tmp_path, [description[0], description[2]], CountedRing(100))
    (tmp_path / description[1]["file"]).unlink()
    with pytest.raises(ValueError, match=rf"{description[1]['file']}: can't be read"):
        load(tmp_path, description, CountedRing(100))


@pytest.mark.parametrize("name", ["../segment_0_5_00000000.bin", "/etc/passwd", "a.bin"])
def test_a_checkpoint_can_not_name_files_elsewhere(name, tmp_path):
    ring = CountedRing(10)
    ring.collect(5)
    [segment] = SegmentWriter(tmp_path).save(ring)
    with pytest.raises(ValueError, match="it is none"):
        load(tmp_path, [{**segment, "file": name}], CountedRing(10))


def test_a_segment_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls: list[str] = []

    def note(name: str) -> Any:
        real = getattr(segments.os, name)
        monkeypatch.setattr(
            segments.os, name, lambda *a, **k: (calls.append(name), real(*a, **k))[1]
        )

    for name in ("fsync", "replace"):
        note(name)
    ring = CountedRing(10)
    ring.collect(5)
    SegmentWriter(tmp_path).save(ring)
    assert calls == ["fsync", "replace", "fsync"]


def test_a_save_that_failed_goes_on_where_it_was(tmp_path, monkeypatch):
    ring, writer = CountedRing(100), SegmentWriter(tmp_path)
    ring.collect(90)
    row = sum(column[0].nbytes for column in ring.content().values())
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 30 * row)
    real = segments.sync_file
    calls = []

    def full(path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(path)

    monkeypatch.setattr(segments, "sync_file", full)
    with pytest.raises(OSError, match="No space"):
        writer.save(ring)
    assert len(names(tmp_path)) == 1
    description = writer.save(ring)
    assert len(calls) == 4
    other = CountedRing(100)
    load(tmp_path, description, other)
    assert same(ring, other)
