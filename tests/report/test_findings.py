"""What a doctor left in a run's folder."""

import json

import pytest

from lightning_dqn.report.findings import ReportedFinding, read_findings
from lightning_dqn.runs.build import ConfigError


def test_a_run_that_nobody_looked_at_is_not_one_without_findings(tmp_path):
    assert read_findings(tmp_path) is None
    (tmp_path / "findings.json").write_text('{"findings": []}')
    assert read_findings(tmp_path) == []


def test_a_finding_says_what_and_what_to_do(tmp_path):
    saved = {"findings": [{"rule": "a", "env_steps": 5, "what": "b", "remedy": "c"}]}
    (tmp_path / "findings.json").write_text(json.dumps(saved))
    assert read_findings(tmp_path) == [ReportedFinding("a", 5, "b", "c")]


@pytest.mark.parametrize(
    "content", ["[", "{}", "[1]", '{"findings": [1]}', '{"findings": [{"rule": "a"}]}']
)
def test_a_damaged_file_is_told_in_one_line(tmp_path, content):
    (tmp_path / "findings.json").write_text(content)
    with pytest.raises(ConfigError, match=r"findings\.json: not the findings of a run") as told:
        read_findings(tmp_path)
    assert "\n" not in str(told.value)
