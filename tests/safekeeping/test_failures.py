"""Which errors of a save a run may outlive."""

from __future__ import annotations

import errno

import pytest

from lightning_dqn.safekeeping.failures import reason_of


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EIO", "EACCES", "EROFS"])
def test_an_error_of_the_disk_is_told_by_its_reason(number):
    code = getattr(errno, number)
    assert reason_of(OSError(code, "the reason")) == "the reason"
    assert reason_of(OSError("in words alone")) == "in words alone"


def test_torchs_complaint_is_told_by_its_cause():
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos\nmore")
    assert reason_of(error) == "[enforce fail at inline_container.cc:672] . unexpected pos"
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert reason_of(error) == "No space left on device"


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("inline")])
def test_other_errors_end_the_run(error):
    assert reason_of(error) is None
