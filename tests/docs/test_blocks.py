"""No block of code escapes: each is run, read or composed by a test, or says above it why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.commands import commands_of, is_ours
from support.pages import MARK, MORE_PAGES, PAGES, blocks, name_of, prose, text_of

from lightning_dqn.runs.check import check_keys, check_values
from lightning_dqn.runs.compose import Composer
from lightning_dqn.study.suite_file import find_suite

ALL = [*PAGES, *MORE_PAGES]
RUN = {"python": "test_programs", "bash": "test_commands", "yaml": "here", "bibtex": "test_habits"}
"""Language -> by which tests its blocks are held."""
SHOWN = {"text", "{toctree}", "{eval-rst}"}
"""What is printed, or built with the site: nothing that a reader would run."""


def escaped(text: str) -> list[str]:
    """Return the lines of a page at which a block begins that no test would see."""
    rest = prose(text)
    fences = re.findall(r"^.*```.*$|^.*~~~.*$", rest, re.M)
    indented = re.findall(r"(?:^|\n)\n((?: {4}|\t)\S.*)", rest)
    return fences + indented


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_block_has_a_language_that_a_test_knows(page: Path) -> None:
    text = text_of(page)
    assert escaped(text) == []
    assert set(re.findall(r"^```(\S+)$", text, re.M)) <= RUN.keys() | SHOWN


@pytest.mark.parametrize(
    "page",
    [
        "```\nmake train\n```\n",
        "- so:\n  ```bash\n  make train\n  ```\n",
        "so:\n\n    make train\n",
        "~~~bash\nmake train\n~~~\n",
        "```bash\nmake train\n",
    ],
)
def test_a_block_that_escapes_is_found(page: str) -> None:
    assert escaped(page)


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_mark_gives_a_reason_and_stands_above_a_block(page: Path) -> None:
    text = text_of(page)
    marks = re.findall(r"^<!-- (?:not run|only read).*$", text, re.M | re.I)
    found = re.findall(MARK.pattern + r"```(?:bash|python|yaml)\n", text)
    assert len(marks) == len(found)
    assert all(len(reason.split()) >= 3 for _, reason in found)


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_commands_of_others_say_above_them_why_no_test_runs_them(page: Path) -> None:
    """Ours are composed with all their keys; of others only what they name is looked at."""
    for block in blocks(text_of(page), "bash"):
        others = [one for one in commands_of(block.text) if not is_ours(one)]
        assert not others or block.why_not or block.why_read, others


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_what_is_printed_holds_no_command(page: Path) -> None:
    for block in blocks(text_of(page), "text"):
        assert not re.search(r"^(\$ |python |make |pip |lightning-dqn )", block.text, re.M)


def settings() -> list[tuple[str, str]]:
    return [
        (name_of(page), block.text)
        for page in ALL
        for block in blocks(text_of(page), "yaml")
        if not block.why_not
    ]


@pytest.mark.parametrize(("page", "text"), settings())
def test_settings_on_pages_are_found_and_compose(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written where the page says they belong: a suite has an experiment, all else is one."""
    monkeypatch.chdir(tmp_path)
    kind = "suite" if "\nexperiment: " in f"\n{text}" else "experiment"
    (tmp_path / "conf" / kind).mkdir(parents=True)
    (tmp_path / "conf" / kind / "mine.yaml").write_text(text)
    if kind == "suite":
        suite = find_suite("mine")
        assert len(suite.games) > 1
        text = f"+experiment={suite.experiment}"
    with Composer(["+experiment=mine" if kind == "experiment" else text]) as composer:
        [job] = composer.jobs()
        check_keys(job.config)
        check_values(job.config, set())
