"""What is learned stays as it was recorded; see ``learning_recordings.py`` for a new recording."""

import json
from pathlib import Path

import pytest

from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.training import training_module
from support.learning_recordings import CASES, SLOW_CASES, STORED, arguments, read_run

TOLERANCE = 1e-5
"""Of the largest number of a column or tensor: kernels differ from machine to machine."""

stored = json.loads(STORED.read_text())


def test_every_quick_case_is_recorded():
    assert set(stored) == set(CASES) - set(SLOW_CASES)


@pytest.mark.parametrize("case", sorted(stored))
def test_learning_is_as_recorded(case: str, tmp_path: Path):
    config = compose(arguments(case, tmp_path))
    config.run_dir = str(tmp_path)
    training = training_module()
    training.run(training.prepare(config))
    found = read_run(tmp_path)
    assert found.rows.keys() == stored[case]["rows"].keys()
    for name, recorded in stored[case]["rows"].items():
        assert [v is None for v in found.rows[name]] == [v is None for v in recorded], name
        values = [value for value in recorded if value is not None]
        largest = max(map(abs, values), default=0.0)
        expected = pytest.approx(values, rel=TOLERANCE, abs=TOLERANCE * largest)
        assert [value for value in found.rows[name] if value is not None] == expected, name
    assert found.weights == pytest.approx(stored[case]["weights"], rel=TOLERANCE, abs=1e-6)
