"""The page: whole by itself, readable by machines that read aloud, and of enough contrast."""

from __future__ import annotations

import itertools
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report import page as page_module
from lightning_dqn.report.drawing import COLORS
from lightning_dqn.report.gather import gather
from lightning_dqn.report.numbers import Numbers
from lightning_dqn.report.page import page_text

STYLE = Path(page_module.__file__).parent / "page" / "report.css"
VOID = {"meta", "link", "img", "br", "path", "use", "wbr"}


class Tree(HTMLParser):
    """The elements of a page with their attributes, those around them, and their texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[dict] = []
        self.open: list[dict] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", "around": list(self.open), **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "text": "", "around": list(self.open), **dict(attrs)})

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [one for one in self.elements if one["tag"] in tags]


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> str:
    """A page of everything: settings, environments, findings, videos, failures."""
    folder = tmp_path_factory.mktemp("rich")
    sweep = make_sweep(folder / "sweep", {"lr=1": [1, 2], "lr=2": [3, 4]})
    (sweep / "lr=2,seed=0" / "summary.json").unlink()
    (sweep / "lr=2,seed=0" / "failure.json").write_text(json.dumps({"error": "<b>it broke</b>"}))
    other = make_run(folder / "other", environment="Other-v0", config={"name": "<i>other</i>"})
    found = [{"rule": "grows", "env_steps": 7, "what": "it grows", "remedy": "lower lr"}]
    (other / "findings.json").write_text(json.dumps({"findings": found}))
    (other / "env_step_300_best_return_1.mp4").write_bytes(b"film")
    (other / "env_step_300_worst_return_0.gif").write_bytes(b"GIF89a")
    text, notes = page_text(Numbers.of(gather([sweep, other])), folder / "report")
    assert notes == []
    return text


@pytest.fixture(scope="module")
def tree(rich) -> Tree:
    return Tree(rich)


def test_every_element_is_closed_and_no_name_is_given_twice(tree):
    assert tree.open == []
    names = [one["id"] for one in tree.elements if "id" in one]
    twice = {name for name in names if names.count(name) > 1}
    assert {name for name in twice if not name.startswith("swatch")} == set()


def test_every_table_has_a_caption_and_header_cells(tree):
    tables = tree.all("table")
    assert len(tables) >= 6
    for table in tables:
        inner = [one for one in tree.elements if table in one["around"]]
        assert [one["text"].strip() != "" for one in inner if one["tag"] == "caption"] == [True]
        heads = [one for one in inner if one["tag"] == "th"]
        assert {one["scope"] for one in heads} == {"col", "row"}
        assert all(one["text"].strip() for one in heads)
        rows = [one for one in inner if one["tag"] == "tr"]
        widths = [
            sum(row in cell["around"] for cell in inner if cell["tag"] in ("th", "td"))
            for row in rows
        ]
        assert len(set(widths)) == 1


def test_long_keys_break_at_their_dots_on_a_small_screen(tmp_path):
    runs = [make_run(tmp_path / n, config={"module": {"<b>": n}, "name": n}) for n in ("a", "b")]
    text, _ = page_text(Numbers.of(gather(runs)), tmp_path / "report")
    assert ">module.<wbr>&lt;b&gt;</th>" in text


def test_wide_tables_scroll_by_keyboard_too(tree):
    for table in tree.all("table"):
        around = table["around"][-1]
        assert (around["class"], around["role"], around["tabindex"]) == ("scroll", "region", "0")
        assert around["aria-label"]


def test_every_picture_has_a_text(tree):
    pictures = [one for one in tree.elements if one.get("role") == "img"]
    assert len(pictures) >= 4
    assert all(one["aria-label"].strip() for one in pictures)
    for svg in tree.all("svg"):
        named = any(one.get("role") == "img" for one in svg["around"])
        sample = any(one.get("class") == "key" for one in svg["around"])
        assert named or sample
        assert svg["aria-hidden"] == "true"
    assert all(one["alt"] for one in tree.all("img"))
    assert all(one["aria-label"] for one in tree.all("video"))
    assert all(
        any(inner["tag"] == "figcaption" and figure in inner["around"] for inner in tree.elements)
        for figure in tree.all("figure")
    )


def test_the_page_has_one_title_and_landmarks_and_no_level_is_left_out(tree):
    assert len(tree.all("h1")) == len(tree.all("main")) == len(tree.all("nav")) == 1
    assert tree.all("html")[0]["lang"] == "en"
    levels = [int(one["tag"][1]) for one in tree.elements if re.fullmatch("h[1-6]", one["tag"])]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    names = {one["id"] for one in tree.elements if "id" in one}
    links = [one["href"] for one in tree.all("a") if one["href"].startswith("#")]
    assert {link[1:] for link in links} <= names
    for section in tree.all("section"):
        assert section["aria-labelledby"] in names


def test_nothing_is_fetched_and_no_script_runs(rich, tree):
    assert tree.all("script") == []
    sources = [one[key] for one in tree.elements for key in ("src", "href") if one.get(key)]
    assert not [one for one in sources if re.match(r"(\w+:)?//", one)]
    assert "@import" not in rich
    assert not re.search(r"url\((?!#)", rich)
    [policy] = [one for one in tree.all("meta") if "http-equiv" in one]
    assert policy["content"].startswith("default-src 'none'")


def test_what_others_wrote_is_text(rich, tree):
    assert tree.all("b", "i") == []
    assert "&lt;b&gt;it broke&lt;/b&gt;" in rich


def test_states_findings_and_commands_are_told(rich):
    for text in (
        "1 failed",
        "it grows",
        "lower lr",
        "python -m lightning_dqn study lr=1 seeds=0,1",
        "data:video/mp4;base64,",
        "data:image/gif;base64,",
        "0123456789" * 4,
    ):
        assert text in rich


def test_a_run_that_no_command_makes_again_is_told_first(tmp_path):
    sweep = make_sweep(tmp_path / "sweep", {"lr=1": [1, 2]})
    change = {"name": "epsilon", "env_steps": 100, "value": 0.06}
    (sweep / "lr=1,seed=1" / "changed_by_hand.json").write_text(json.dumps([change]))
    text, _ = page_text(Numbers.of(gather([sweep])), tmp_path / "report")
    assert "of 2 runs 1 changed by hand, see Runs</li>" in text
    assert "Seed 1 was changed by hand: epsilon 0.06 from env step 100." in text


def test_a_single_unfinished_run_without_evaluations_is_a_page(tmp_path):
    run = make_run(tmp_path / "run", is_finished=False, evaluated=())
    text, _ = page_text(Numbers.of(gather([run])), tmp_path)
    tree = Tree(text)
    assert "no result" in text
    assert "The doctor has looked at none of these runs." in text
    assert not [one for one in tree.all("a") if one["href"] == "#curves"]


def blocks() -> dict[str, dict[str, str]]:
    """Return the colours of the style sheet, of the light and of the dark page."""
    text = STYLE.read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\n\s*\}", text, re.DOTALL)[:2]
    )
    return {"light": light, "dark": dark}


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 has it, from 1 to 21."""

    def luminance(color: str) -> float:
        parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_four_and_a_half_and_lines_of_three(scheme):
    colors = blocks()[scheme]
    for ground in ("paper", "panel"):
        for text in ("ink", "quiet", "link", "bad"):
            assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    for number in range(COLORS):
        assert contrast(colors[f"series-{number}"], colors["paper"]) >= 3, number


SEEN = {
    "all": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}
"""What eyes make of red, green and blue: Machado et al. 2009, at full severity."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", SEEN)
def test_colours_of_lines_differ_for_those_who_see_no_red_or_no_green(scheme, eyes):
    colors = blocks()[scheme]
    seen = []
    for number in range(COLORS):
        text = colors[f"series-{number}"]
        rgb = [int(text[i : i + 2], 16) for i in (1, 3, 5)]
        seen.append([sum(w * c for w, c in zip(row, rgb, strict=True)) for row in SEEN[eyes]])
    for one, other in itertools.combinations(seen, 2):
        assert math.dist(one, other) > 35  # of 442 between black and white


def test_every_colour_of_the_sheet_is_there_dark_and_light():
    found = blocks()
    assert set(found["light"]) == set(found["dark"])
    used = set(re.findall(r"var\(--([\w-]+)\)", STYLE.read_text()))
    assert used <= set(found["light"])


def test_paper_is_always_light():
    text = STYLE.read_text()
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "(prefers-color-scheme: dark)" not in text.replace("screen and (prefers", "")
