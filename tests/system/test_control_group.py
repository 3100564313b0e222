"""The memory that control groups leave, read from trees of files like the system's."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_dqn.system.control_group import UNLIMITED, free_bytes

NAMES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def make_group(folder: Path, version: int, limit: object, used: object, cached: int = 0) -> None:
    """Write the files of a group."""
    folder.mkdir(parents=True, exist_ok=True)
    limits, usages, cache = NAMES[version]
    (folder / limits).write_text(f"{limit}\n")
    (folder / usages).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{cache} {cached}\nactive_file 7\n")


def free(tmp_path: Path, membership: str) -> int:
    (tmp_path / "membership").write_text(membership)
    return free_bytes(tmp_path / "mounted", tmp_path / "membership")


@pytest.mark.parametrize(
    ("version", "line", "place"),
    [
        (2, "0::/", "mounted"),
        (2, "0::/a/b", "mounted/a/b"),
        (2, "0::/a", "mounted/unified/a"),
        (2, "0::/not/mounted/here", "mounted"),
        (1, "4:cpu,memory:/", "mounted/memory"),
        (1, "4:memory:/a/b", "mounted/memory/a/b"),
        (1, "4:memory:/docker/0123", "mounted/memory"),
    ],
)
def test_the_own_group_is_found_in_both_versions(version, line, place, tmp_path):
    make_group(tmp_path / place, version, 1000, 300)
    assert free(tmp_path, f"{line}\n2:freezer:/\n") == 700


@pytest.mark.parametrize("version", [1, 2])
def test_the_least_of_all_groups_up_to_the_root_counts(version, tmp_path):
    root = tmp_path / "mounted" / ("memory" if version == 1 else "")
    line = "3:memory:/a/b\n" if version == 1 else "0::/a/b\n"
    make_group(root / "a" / "b", version, 900, 100)
    assert free(tmp_path, line) == 800
    make_group(root / "a", version, 1000, 990)
    assert free(tmp_path, line) == 10, "its neighbours use the rest"
    make_group(root, version, 500, 495)
    assert free(tmp_path, line) == 5
    make_group(tmp_path, version, 1, 1)
    assert free(tmp_path, line) == 5, "what is above the root is no group"


@pytest.mark.parametrize("version", [1, 2])
def test_pages_of_files_that_nobody_uses_count_as_free(version, tmp_path):
    root = tmp_path / "mounted" / ("memory" if version == 1 else "")
    make_group(root, version, 1000, 950, cached=600)
    assert free(tmp_path, "") == 650


def test_without_a_limit_there_is_none(tmp_path):
    make_group(tmp_path / "mounted", 2, "max", 300)
    make_group(tmp_path / "mounted" / "memory", 1, 2**63 - 4096, 300)
    assert free(tmp_path, "0::/\n3:memory:/\n") > 2**62
    assert free_bytes(tmp_path / "absent", tmp_path / "absent") == UNLIMITED


def test_a_group_above_its_limit_leaves_nothing(tmp_path):
    make_group(tmp_path / "mounted", 2, 100, 300)
    assert free(tmp_path, "0::/\n") == 0


def test_a_group_without_statistics_has_no_pages_to_drop(tmp_path):
    make_group(tmp_path / "mounted", 2, 1000, 300)
    (tmp_path / "mounted" / "memory.stat").unlink()
    assert free(tmp_path, "0::/\n") == 700


def test_the_systems_own_can_be_read():
    assert free_bytes() > 0
