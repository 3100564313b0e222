"""The command that reports runs: its keys, what it prints, and mistakes in one line."""

import webbrowser

import pytest
from support.processes import command
from support.reported_runs import make_run, make_sweep

from lightning_dqn.commands.command import read_options, usage
from lightning_dqn.commands.report import ReportOptions, main


def test_several_folders_are_named_by_themselves_or_by_their_key():
    options = read_options(["a", "b/lr=1,seed=0", "folders=c", "metric=train/loss"], ReportOptions)
    assert options.folders == ("a", "b/lr=1,seed=0", "c")
    assert options.metric == "train/loss"


def test_the_help_names_every_key(capsys):
    for arguments in ([], ["--help"]):
        main(arguments)
        assert capsys.readouterr().out == usage(ReportOptions) + "\n"


def test_a_finished_run_of_training_is_reported(finished_run, tmp_path):
    run, _ = finished_run
    shown = command("report", str(run), f"folder={tmp_path / 'report'}", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-1] == f"report  {tmp_path / 'report' / 'report.html'}"
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<h1>Report of mine</h1>" in page
    assert "python -m lightning_dqn +experiment=mine" in page


def test_without_a_folder_it_lies_below_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_sweep(tmp_path / "s", {"lr=1": [1, 2]})
    make_run(tmp_path / "r", is_finished=False)
    main(["s", "r"])
    [page] = (tmp_path / "runs").glob("report_*/report.html")
    assert capsys.readouterr().out == f"report  {page.relative_to(tmp_path)}\n"


def test_the_page_is_opened_where_that_is_asked_for(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    make_run(tmp_path / "r")
    main([str(tmp_path / "r"), f"folder={tmp_path / 'out'}"])
    assert opened == []
    main([str(tmp_path / "r"), f"folder={tmp_path / 'out'}", "open=true"])
    assert opened == [(tmp_path / "out" / "report.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["folder=x"], "folders=: name folders of runs"),
        (["nothing"], "nothing: there is no such folder"),
        (["r", "metric=train/los"], "metric=train/los: no run logged it"),
        (["r", "folder=r"], "folder=r: holds something else"),
        (["r", "folders="], "folders=: a value is missing"),
        (["r", "colour=1"], "colour: no such key"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, why, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "r")
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lightning-dqn: {why}")
