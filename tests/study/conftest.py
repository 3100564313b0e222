"""What the tests of studies share."""

from pathlib import Path

import pytest
from support.fake_studies import replace_training


@pytest.fixture
def fake_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the fake program in place of training."""
    replace_training(tmp_path, monkeypatch)
    return tmp_path
