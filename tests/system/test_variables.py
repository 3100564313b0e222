"""Variables are as they were after a block that changed them, however it ended."""

from __future__ import annotations

import os

import pytest

from lightning_dqn.system.variables import given_back


def change_all() -> None:
    with given_back("CHANGED", "TAKEN", "NEW"):
        os.environ.update(CHANGED="within", NEW="within", OTHER="within")
        del os.environ["TAKEN"]
        raise KeyError("inside")


def test_variables_are_as_they_were_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHANGED", "TAKEN", "OTHER"):
        monkeypatch.setenv(name, "before")
    monkeypatch.delenv("NEW", raising=False)
    with pytest.raises(KeyError, match="inside"):
        change_all()
    found = [os.environ.get(name) for name in ("CHANGED", "TAKEN", "NEW", "OTHER")]
    assert found == ["before", "before", None, "within"]
