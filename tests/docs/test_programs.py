"""Every program on a page runs, shortened to a second, where the page doesn't say why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.pages import PAGES, blocks, name_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]
WITH_PROGRAMS = [page for page in PAGES if any(blocks(page.read_text(), "python"))]
SHORTER = {
    "Trainer(max_epochs=10": (
        "Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_checkpointing=False"
        ", enable_model_summary=False"
    ),
    "ReplayDataModule(": "ReplayDataModule(env_steps_per_epoch=640, environment=",
}
"""What a program says -> what a test makes of it."""


def shortened(program: str) -> str:
    """Return a program that learns a second; it must say how long as all pages do."""
    if "Trainer(" in program:
        for text, shorter in SHORTER.items():
            assert text in program, f"write {text!r}, so that a test can make it shorter"
            program = program.replace(text, shorter)
    return program


@pytest.mark.parametrize("page", WITH_PROGRAMS, ids=name_of)
def test_the_programs_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, in one folder; a block that opens with a file's name is that file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page.read_text(), "python")):
        if block.why_not:
            continue
        if file := re.match(r"# (\w+\.py)\n", block.text):
            Path(file[1]).write_text(block.text)
            if "Trainer(" not in block.text:
                continue  # a module that the next program imports
        where = f"{name_of(page)}, program {number}"
        exec(compile(shortened(block.text), where, "exec"), names)


def test_files_of_pages_have_names_of_their_own() -> None:
    """They are imported in one process, where the first of a name would stand for all."""
    found = [
        file
        for page in PAGES
        for block in blocks(page.read_text(), "python")
        for file in re.findall(r"\A# (\w+\.py)\n", block.text)
    ]
    twice = {file for file in found if found.count(file) > 1}
    assert twice <= {"fit.py"}  # of the README and the page that begins with it
