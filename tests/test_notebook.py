"""The notebook shows what a run gives: its cells run as they are and print what is stored."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "tour.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
MOST_BYTES = 300_000

RUNNER = """
import contextlib, io, json, sys
import matplotlib
matplotlib.use("Agg")
names, printed = {"__name__": "__main__"}, []
for source in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(source, names)
    printed.append(out.getvalue())
print(json.dumps(printed))
"""
"""Runs cells in order, as a notebook does, and tells what each of them printed."""


def text_of(cell: dict[str, Any]) -> str:
    """Return what a cell is stored to have printed."""
    return "".join(
        "".join(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream"
    )


def kind_of(printed: str) -> str:
    """Return a text in which a number is a number, however large: other machines have others."""
    return re.sub(r" *-?\d[\d,.]*", " #", printed).replace("True", "?").replace("False", "?")


def test_its_outputs_are_stored_and_no_error_is_among_them() -> None:
    counts = [cell["execution_count"] for cell in CODE]
    assert counts == [*range(1, len(CODE) + 1)]  # once, from top to bottom
    assert all(text_of(cell) for cell in CODE[1:])
    for cell in CODE:
        for output in cell["outputs"]:
            assert output["output_type"] in ("stream", "display_data")
            assert output.get("name", "stdout") == "stdout"


def test_a_cell_that_draws_holds_its_picture() -> None:
    for cell in CODE:
        pictures = [one for one in cell["outputs"] if "image/png" in one.get("data", {})]
        assert len(pictures) == "".join(cell["source"]).count("plt.show()")


def test_it_is_small_and_names_no_place_of_a_machine() -> None:
    text = NOTEBOOK.read_text()
    assert len(text) < MOST_BYTES
    assert not re.search(r'[ "\'(](?:/[\w.-]+){2,}', re.sub(r'"image/png": "[^"]*"', "", text))


def test_what_it_claims_of_the_exported_program_was_so() -> None:
    printed = text_of(CODE[-1])
    assert "files: policy.onnx, policy.onnx.json, policy.safetensors" in printed
    assert re.findall(r"the same .*: (\w+)", printed) == ["True", "True"]


def test_its_links_lead_to_files() -> None:
    text = "".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert all((NOTEBOOK.parent / link).is_file() for link in links)


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_its_cells_run_as_they_are_and_print_what_is_stored(tmp_path: Path) -> None:
    """All but the size of numbers."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("onnxruntime")
    result = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(["".join(cell["source"]) for cell in CODE]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1_400,
    )
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout.splitlines()[-1])
    assert [kind_of(one) for one in printed] == [kind_of(text_of(cell)) for cell in CODE]
    assert "the same actions: True\n" in printed[-1]
    assert list(tmp_path.iterdir()) == []
