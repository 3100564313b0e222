"""``python -m lightning_dqn report FOLDER...``: runs as one page to look at, send and print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lightning_dqn.commands.command import run_command
from lightning_dqn.runs.options import option


@dataclass
class ReportOptions:
    """Write the results of runs as one HTML file that works offline, and as CSV and JSON.

      python -m lightning_dqn report <folder> [<folder> ...] [key=value ...]
      python -m lightning_dqn report runs/cartpole runs/acrobot       all runs in these folders
      python -m lightning_dqn report runs/cartpole metric=train/loss,eval/episode_length

    A folder belongs to a run, finished or not, a study, a sweep or a suite, or holds several. The
    page shows curves with bands over seeds, tests with intervals, performance profiles and
    probabilities of improvement, differences of configuration, findings of the doctor, the best,
    median and worst episodes, hardware, time, and the commands that reproduce it all.
    pip install 'lightning-dqn[plot]'
    """

    folders: tuple[str, ...] = option(
        "folders of runs, studies, sweeps or suites", is_path=True, is_list=True
    )
    folder: str | None = option("folder of the report's files; null: runs/report_<time>", None)
    metric: str | None = option(
        "metrics whose curves come first, separated by commas; null: the returns", None
    )
    open: bool = option("flag: show the page in a browser", False)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, ReportOptions, _run)


def _run(options: ReportOptions) -> None:
    from lightning_dqn.report.writing import write_report  # with torch, not for the help

    default = Path("runs", f"report_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    metrics = [one.strip() for one in (options.metric or "").split(",") if one.strip()]
    folders = [Path(one) for one in options.folders]
    page, notes = write_report(folders, Path(options.folder or default), metrics)
    print("\n".join([*notes, f"report  {page}"]))
    if options.open:
        import webbrowser

        webbrowser.open(page.absolute().as_uri())
