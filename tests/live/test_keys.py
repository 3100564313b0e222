"""Keys by the bytes that terminals send for them."""

import pytest

from lightning_dqn.live.keys import Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA", ["up"]),
        (b"\t\x1b[Z", ["tab", "back-tab"]),
        (b"+-p", ["+", "-", "p"]),
        (b"\x1b[1;5Cs", ["s"]),  # a sequence that means nothing here is passed over whole
        ("é".encode() + b"s", ["s"]),
    ],
)
def test_bytes_are_keys(data, keys):
    assert Keys().feed(data) == keys


def test_a_sequence_may_come_in_parts():
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.feed(b"[") == []
    assert keys.feed(b"Aq") == ["up", "q"]


def test_an_escape_behind_which_nothing_comes_is_a_key():
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.feed(b"") == ["escape"]
