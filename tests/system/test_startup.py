"""The garbage collector rests for a while and comes back as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from lightning_dqn.system.startup import uncollected


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Give the collector back its state, whatever a test makes of it."""
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


def test_the_collector_rests_inside_and_works_again_afterwards():
    gc.enable()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with uncollected():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_one_inside_another_leaves_it_off_until_the_outer_ends():
    gc.enable()
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("freeze", [False, True])
def test_an_error_passes_and_the_collector_works_again(freeze, monkeypatch):
    monkeypatch.setattr(gc, "freeze", lambda: None)
    gc.enable()
    with pytest.raises(KeyError), uncollected(freeze=freeze):
        raise KeyError("inside")
    assert gc.isenabled()


@pytest.mark.parametrize("freeze", [False, True])
def test_what_exists_is_left_alone_afterwards_only_on_request(freeze, monkeypatch):
    """Frozen before the collector works again: its first walk would be the one to be spared."""
    tape: list[str] = []
    enable = gc.enable
    monkeypatch.setattr(gc, "freeze", lambda: tape.append(f"freeze, enabled {gc.isenabled()}"))
    gc.enable()
    with uncollected(freeze=freeze):
        tape.append("inside")
        monkeypatch.setattr(gc, "enable", lambda: (tape.append("enable"), enable()))
    expected = ["inside", "freeze, enabled False", "enable"]
    assert tape == (expected if freeze else ["inside", "enable"])


def test_when_the_process_ends_all_that_exists_by_then_is_left_alone():
    program = """
        import atexit, gc
        atexit.register(lambda: print(gc.get_freeze_count() - before))  # runs last
        from lightning_dqn.system.startup import uncollected
        with uncollected(freeze=True):
            pass
        before = gc.get_freeze_count()
        later = [[] for _ in range(1_000)]
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 500, "those of the lists, less what has gone since"
