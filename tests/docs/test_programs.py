"""Every program on a page runs, shortened to a second, where the page doesn't say why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.pages import FILE_NAME, PAGES, blocks, forget_modules, name_of, text_of, write_modules

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    # Keras's variables, by NumPy 2.4.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
WITH_PROGRAMS = [page for page in PAGES if any(blocks(text_of(page), "python"))]
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
    write_modules(text_of(page), tmp_path)
    try:
        for number, block in enumerate(blocks(text_of(page), "python")):
            is_module = FILE_NAME.match(block.text) and "Trainer(" not in block.text
            if not block.why_not and not is_module:  # the next program imports a module
                where = f"{name_of(page)}, program {number}"
                exec(compile(shortened(block.text), where, "exec"), names)
    finally:
        forget_modules(tmp_path)


def test_a_file_of_one_name_is_the_same_on_all_pages() -> None:
    """Who follows several pages has one folder."""
    found: dict[str, str] = {}
    for page in PAGES:
        for block in blocks(text_of(page), "python"):
            if file := FILE_NAME.match(block.text):
                assert found.setdefault(file[1], block.text) == block.text, (name_of(page), file[1])
    assert len(found) > 8


def test_modules_of_pages_are_run_too() -> None:
    """A module is run where a program imports it, or a command of its page does."""
    for page in WITH_PROGRAMS:
        text = text_of(page)
        for block in blocks(text, "python"):
            file = FILE_NAME.match(block.text)
            if file and "Trainer(" not in block.text:
                name = file[1].removesuffix(".py")
                assert f"from {name} import" in text or f"={name}:" in text, (name_of(page), name)
