"""Writes a report: the page, and its numbers as CSV and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_dqn.report.drawing import check_installed
from lightning_dqn.report.gather import gather, is_run
from lightning_dqn.report.numbers import Numbers, plain
from lightning_dqn.report.page import page_text
from lightning_dqn.report.rows import csv_text
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.sweep import is_sweep
from lightning_dqn.system.files import write_json, write_text

PAGE, ROWS, JSON = "report.html", "report.csv", "report.json"


def write_report(
    folders: Sequence[Path], folder: Path, metrics: Sequence[str] = ()
) -> tuple[Path, list[str]]:
    """Write a report of what lies in folders.

    Args:
        folders: of runs, studies, sweeps or suites, or of several of them.
        folder: of the report's files; made if need be.
        metrics: whose curves it begins with; none: the returns.

    Returns:
        The page's path, and what is to be said of it, in a line each.

    Raises:
        ConfigError: there is nothing to report, a file is damaged, a metric isn't there, or
            matplotlib is missing; nothing was written.
    """
    check_installed()
    if folder.is_file() or is_sweep(folder) or (folder.is_dir() and is_run(folder)):
        raise ConfigError(f"folder={folder}: holds something else; choose a folder for the report")
    numbers = Numbers.of(gather(folders), metrics)
    page, notes = page_text(numbers, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ROWS, csv_text(numbers))
    write_json(folder / JSON, plain(numbers))
    write_text(folder / PAGE, page)
    return folder / PAGE, [*numbers.reported.notes, *notes]
