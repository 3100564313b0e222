"""A file and its description belong together."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lightning_dqn.safekeeping.checksums import verify, write_described


def write(folder: Path, content: bytes) -> tuple[Path, Path]:
    path, beside = folder / "a.bin", folder / "a.json"
    described = write_described(path, lambda one: one.write_bytes(content), beside, {"of": "a"})
    assert described == json.loads(beside.read_text())
    return path, beside


def test_the_description_holds_the_files_checksum(tmp_path):
    path, beside = write(tmp_path, b"content")
    assert json.loads(beside.read_text()) == {
        "of": "a",
        "sha256": {"a.bin": hashlib.sha256(b"content").hexdigest()},
    }
    verify(path, beside)
    assert {one.name for one in tmp_path.iterdir()} == {"a.bin", "a.json"}


@pytest.mark.parametrize("content", [b"contenu", b"conten", b"", b"content "])
def test_another_content_is_refused_in_one_line(content, tmp_path):
    path, beside = write(tmp_path, b"content")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path}: differs .* in a\.json") as caught:
        verify(path, beside)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [None, "{}", "[]", "no JSON", '{"sha256": 3}', '{"sha256": {"b": 3}}']
)
def test_without_a_checksum_nothing_is_compared(text, tmp_path):
    path, beside = write(tmp_path, b"content")
    path.write_bytes(b"another")
    beside.unlink() if text is None else beside.write_text(text)
    verify(path, beside)


def test_both_are_exchanged_when_the_new_file_is_whole(tmp_path, monkeypatch):
    path, beside = write(tmp_path, b"old")
    moved: list[str] = []
    rename = os.replace

    def replace(source: Any, target: Any) -> None:
        moved.append(Path(target).name)
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)

    def fail(one: Path) -> None:
        one.write_bytes(b"ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_described(path, fail, beside, {})
    assert moved == []
    verify(path, beside)
    write(tmp_path, b"new")
    assert moved == ["a.json", "a.bin"]
