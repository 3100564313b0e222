"""Files are there whole or not at all, and nothing is left beside them."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from lightning_dqn.system import files
from lightning_dqn.system.files import (
    check_unused,
    staged,
    staged_folder,
    sweep_temporaries,
    sync_folder,
    write_json,
    write_whole,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_written_is_there(tmp_path):
    path = tmp_path / "a.bin"
    write_whole(path, lambda temporary: temporary.write_bytes(b"content"))
    assert path.read_bytes() == b"content"
    assert names(tmp_path) == {"a.bin"}


def test_the_old_file_stays_whole_until_the_new_one_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    seen = []

    def write(temporary: Path) -> None:
        assert temporary.parent == path.parent, "on the same disk, to be renamed in one step"
        temporary.write_text("ne")
        seen.append(path.read_text())
        temporary.write_text("new")
        seen.append(path.read_text())

    write_whole(path, write)
    assert seen == ["old", "old"]
    assert path.read_text() == "new"
    assert names(tmp_path) == {"a.txt"}


def test_who_holds_the_old_file_open_reads_it_to_its_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader:
        write_whole(path, lambda temporary: temporary.write_text("new and longer"))
        assert reader.read() == "old"


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "a.txt"
    contents = {text * 200_000 for text in "ab"}
    path.write_text(min(contents))
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            for content in contents:
                write_whole(path, lambda temporary, text=content: temporary.write_text(text))

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        assert {path.read_text() for _ in range(200)} <= contents
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("before", ["old", None])
def test_after_a_failure_the_old_file_is_there_and_nothing_else(error, before, tmp_path):
    path = tmp_path / "a.txt"
    if before is not None:
        path.write_text(before)

    def fail(temporary: Path) -> None:
        temporary.write_text("hal")
        raise error("the disk is full")

    with pytest.raises(error, match="the disk is full"):
        write_whole(path, fail)
    assert names(tmp_path) == ({"a.txt"} if before else set())
    assert before is None or path.read_text() == before


def test_a_failure_before_the_first_byte_is_told_as_it_is(tmp_path):
    def fail(temporary: Path) -> None:
        raise OSError("read-only")

    with pytest.raises(OSError, match="read-only"):
        write_whole(tmp_path / "a.txt", fail)
    assert names(tmp_path) == set()


def test_a_place_that_can_not_be_taken_leaves_nothing_beside_it(tmp_path):
    place = tmp_path / "a.txt"
    place.mkdir()
    (place / "inside").touch()
    with pytest.raises(OSError):
        write_whole(place, lambda temporary: temporary.write_text("text"))
    assert names(tmp_path) == {"a.txt"}
    assert names(place) == {"inside"}


def test_the_file_is_put_in_its_place_in_one_step(tmp_path, monkeypatch):
    moves: list[tuple[str, str]] = []

    def replace(source: Any, target: Any) -> None:
        moves.append((Path(source).read_text(), Path(target).name))
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr(files.os, "replace", replace)
    write_whole(tmp_path / "a.txt", lambda temporary: temporary.write_text("whole"))
    assert moves == [("whole", "a.txt")]


def test_json_is_indented_text_that_ends_its_line(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"gamma": 0.99, "layers": [1, None, True]})
    assert path.read_text() == (
        '{\n  "gamma": 0.99,\n  "layers": [\n    1,\n    null,\n    true\n  ]\n}\n'
    )
    assert names(tmp_path) == {"a.json"}


def test_what_json_does_not_know_is_written_as_its_text(tmp_path):
    write_json(tmp_path / "a.json", {"folder": Path("runs/a"), "kind": ValueError("no")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"folder": "runs/a", "kind": "no"}


def test_json_that_can_not_be_made_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        write_json(path, circle)
    assert json.loads(path.read_text()) == {"a": 1}
    assert names(tmp_path) == {"a.json"}


def test_writers_of_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with staged(path) as one, staged(path) as other:
        assert one != other
        assert {one.parent, other.parent} == {tmp_path}
        assert all(temporary.name.startswith(".a.txt.") for temporary in (one, other))
        other.write_text("other")
        write_whole(path, lambda temporary: temporary.write_text("third"))
        assert other.read_text() == "other"
    assert names(tmp_path) == {"a.txt"}


def test_many_writers_at_once_all_succeed(tmp_path):
    path = tmp_path / "a.txt"
    failures: list[BaseException] = []

    def keep_writing(text: str) -> None:
        try:
            for _ in range(30):
                write_whole(path, lambda temporary: temporary.write_text(text * 1000))
                sweep_temporaries(tmp_path)
        except OSError as error:
            failures.append(error)

    writers = [threading.Thread(target=keep_writing, args=(text,)) for text in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert path.read_text() in {text * 1000 for text in "abcd"}
    assert names(tmp_path) == {"a.txt"}


def test_a_name_that_is_claimed_anew_meanwhile_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / ".a.txt.0123456789abcdef.tmp"
    path.touch()
    lock = fcntl.flock

    def locked_after_others(handle: int, how: int) -> None:
        """Lock what was opened, after another sweeper removed it and its writer began again."""
        path.unlink()
        path.write_text("new")
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", locked_after_others)
    sweep_temporaries(tmp_path)
    assert path.read_text() == "new"


def test_the_disk_has_the_content_before_the_name_and_the_name_at_the_end(tmp_path, monkeypatch):
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(*arguments: Any, real: Any = real, name: str = name) -> Any:
            calls.append(name)
            return real(*arguments)

        monkeypatch.setattr(os, name, noted)
    write_whole(tmp_path / "a.txt", lambda temporary: temporary.write_text("text"))
    assert calls == ["fsync", "replace", "fsync"]


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_what_a_dead_writer_left_is_swept_and_what_a_living_one_holds_is_not(tmp_path):
    left = tmp_path / ".a.txt.0123456789abcdef.tmp"
    others = [tmp_path / name for name in (".a.tmp", "a.tmp", ".notes", ".a.txt.0123.tmp")]
    for path in (left, *others):
        path.touch()
    with staged(tmp_path / "a.txt") as temporary:
        sweep_temporaries(tmp_path)
        assert set(tmp_path.iterdir()) == {temporary, *others}
        sweep_temporaries(tmp_path)
        assert temporary.exists()
    sweep_temporaries(tmp_path / "nowhere")


def test_a_name_as_long_as_they_may_be_is_written(tmp_path):
    path = tmp_path / ("a" * 251 + ".txt")
    write_whole(path, lambda temporary: temporary.write_text("text"))
    assert path.read_text() == "text"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_folder_that_can_not_be_synced_is_no_error_and_a_broken_disk_is(
    code, tmp_path, monkeypatch
):
    def fail(handle: int) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(files.os, "fsync", fail)
    if code == errno.EIO:
        with pytest.raises(OSError):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)


def test_a_folder_appears_whole_also_in_the_place_of_an_empty_one_or_behind_a_link(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("linked")
    for name in ("new", "empty", "link"):
        check_unused(tmp_path / name)
        with staged_folder(tmp_path / name) as staged:
            (staged / "a.txt").touch()
            assert not (tmp_path / name / "a.txt").exists()
        assert names(tmp_path / name) == {"a.txt"}
        with pytest.raises(ValueError, match=rf"^output=.*{name}: is there already; name another"):
            check_unused(tmp_path / name)
    assert names(tmp_path) == {"new", "empty", "link", "linked"}
