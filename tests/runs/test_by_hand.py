"""What a run's summary says of hyper-parameters that were changed by hand."""

import pytest

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.by_hand import changed_by_hand
from lightning_dqn.system.files import CHANGED_BY_HAND, write_json


def test_each_change_is_a_line(tmp_path):
    change = {"name": "epsilon", "env_steps": 12_345, "value": 0.06}
    write_json(tmp_path / CHANGED_BY_HAND, [change])
    assert changed_by_hand(tmp_path) == ("epsilon 0.06 from env step 12,345",)


def test_an_unchanged_run_has_none(tmp_path):
    assert changed_by_hand(tmp_path) == ()


@pytest.mark.parametrize("content", ["{", "[1]", '[{"name": "epsilon"}]'])
def test_a_file_that_says_nothing_is_refused_with_the_remedy(tmp_path, content):
    (tmp_path / CHANGED_BY_HAND).write_text(content)
    with pytest.raises(ConfigError, match="remove the file"):
        changed_by_hand(tmp_path)
