"""How much memory there is, and the refusal before it runs out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from lightning_dqn.system import control_group
from lightning_dqn.system.memory import (
    available_bytes,
    available_disk_bytes,
    check_fits,
    format_bytes,
)


def test_what_takes_the_usable_share_exactly_fits():
    check_fits(80, 100, "the ring", "lower it")


def test_what_takes_more_is_refused_with_both_sizes_and_the_remedy():
    with pytest.raises(
        ValueError, match=r"the ring takes 81 MB, but only 100 MB are free \(80%.*\): lower it"
    ):
        check_fits(81_000_000, 100_000_000, "the ring", "lower it")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (7_060_000_000, "7.06 GB"),
        (56_400_000_000, "56.4 GB"),
        (2.5e12, "2.5 TB"),
        (1e16, "10,000.0 TB"),
    ],
)
def test_sizes_are_written_with_decimal_units(size, text):
    assert format_bytes(size) == text


def test_free_memory_is_that_of_the_machine_where_no_control_group_is_lower(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1_000))
    monkeypatch.setattr(control_group, "free_bytes", lambda: 5_000)
    assert available_bytes(torch.device("cpu")) == 1_000
    monkeypatch.setattr(control_group, "free_bytes", lambda: 400)
    assert available_bytes(torch.device("cpu")) == 400


def test_the_disk_of_a_folder_that_is_not_there_yet_is_its_parents(tmp_path, monkeypatch):
    assert available_disk_bytes(tmp_path / "not" / "there" / "yet") > 0
    monkeypatch.chdir(tmp_path)
    assert available_disk_bytes(Path("not/there")) > 0
