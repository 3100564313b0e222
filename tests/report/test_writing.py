"""A report's files."""

import csv
import json
import sys

import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report.writing import write_report
from lightning_dqn.runs.build import ConfigError


def test_a_report_is_a_page_with_its_numbers_beside_it(tmp_path):
    sweep = make_sweep(tmp_path / "s", {"lr=1": [1, 2], "lr=2": [3, 4]})
    page, notes = write_report([sweep], tmp_path / "out" / "report")
    assert page == tmp_path / "out" / "report" / "report.html"
    assert notes == []
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "report.csv",
        "report.html",
        "report.json",
    ]
    saved = json.loads((page.parent / "report.json").read_text())
    rows = list(csv.DictReader((page.parent / "report.csv").read_text().splitlines()))
    iqm = [row["value"] for row in rows if row["key"] == "iqm"]
    assert [float(value) for value in iqm] == [one["iqm"] for one in saved["evaluation"]]
    assert f"{saved['evaluation'][0]['iqm']:.3f}" in page.read_text()


def test_it_can_be_written_anew(tmp_path):
    run = make_run(tmp_path / "run")
    for _ in range(2):
        write_report([run], tmp_path / "report")


def test_other_metrics_may_come_first(tmp_path):
    page, _ = write_report([make_run(tmp_path / "run")], tmp_path / "r", ["train/loss"])
    saved = json.loads((page.parent / "report.json").read_text())
    assert [one["metric"] for one in saved["curves"]] == ["train/loss", "eval/episode_return"]


def test_a_folder_of_runs_is_not_written_into(tmp_path):
    run = make_run(tmp_path / "run")
    for folder in (run, make_sweep(tmp_path / "sweep", {"lr=1": [1.0]})):
        before = sorted(folder.iterdir())
        with pytest.raises(ConfigError, match="choose a folder for the report"):
            write_report([run], folder)
        assert sorted(folder.iterdir()) == before


def test_nothing_is_written_where_matplotlib_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="matplotlib is missing"):
        write_report([make_run(tmp_path / "run")], tmp_path / "report")
    assert not (tmp_path / "report").exists()
