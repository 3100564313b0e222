"""One Ray for the tests of a file, whose actors find what the tests import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightning_dqn.collecting.remote.session import Session

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Ray, which sources find begun and leave running."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
        begun = Session(None)
        yield begun
        begun.close()
