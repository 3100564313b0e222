"""Room on a disk is taken before it is used, or refused with numbers."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lightning_dqn.system import disk
from lightning_dqn.system.disk import reserve


def file_of(tmp_path: Path, size: int) -> os.stat_result:
    """Return what is known of a file after room was taken."""
    with (tmp_path / "file").open("wb") as file:
        reserve(file.fileno(), size, "the ring")
    return (tmp_path / "file").stat()


def refuses(error: int):
    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return refuse


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
@pytest.mark.parametrize("way", ["reserved", "unsupported", "missing"])
def test_the_bytes_are_there_and_zero(size, way, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_CHUNK_BYTES", 2**20)
    if way == "unsupported":
        monkeypatch.setattr(os, "posix_fallocate", refuses(errno.EOPNOTSUPP))
    if way == "missing":
        monkeypatch.delattr(os, "posix_fallocate")
    found = file_of(tmp_path, size)
    assert found.st_size == size
    assert found.st_blocks * 512 >= size, "on the disk, not a hole"
    assert (tmp_path / "file").read_bytes() == bytes(size)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_refused_in_one_line_with_numbers(error, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuses(error))
    with pytest.raises(
        ValueError, match=r"^the ring takes 5 kB more, of which .* are free"
    ) as caught:
        file_of(tmp_path, 5_000)
    assert os.strerror(error) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_disk_that_fills_while_zeros_are_written_is_refused_likewise(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(os, "write", refuses(errno.ENOSPC))
    with pytest.raises(ValueError, match=r"^the ring takes 5 kB more"):
        file_of(tmp_path, 5_000)
