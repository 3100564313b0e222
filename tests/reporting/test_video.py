"""Frames as files: read back, thinned out, refused where a package is missing."""

from __future__ import annotations

import importlib.util
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_dqn.reporting import video
from lightning_dqn.reporting.video import Clip, VideoFormat, as_frame, check_installed


def frames(number: int, height: int = 20, width: int = 30) -> list[np.ndarray]:
    """Return frames of one colour each, brighter from one to the next."""
    return [np.full((height, width, 3), 5 * i, np.uint8) for i in range(number)]


def read_gif(path: Path) -> tuple[list[int], list[int]]:
    """Return the brightness and the milliseconds of each frame."""
    with Image.open(path) as image:
        brightness, pauses = [], []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            brightness.append(int(np.asarray(image.convert("RGB"))[0, 0, 0]))
            pauses.append(int(image.info["duration"]))
    return brightness, pauses


def written(
    folder: Path, frames: Iterable[np.ndarray], format: VideoFormat, *, fps: float, expected: int
) -> tuple[Path, list[str]]:
    """Return the path of a finished clip, and its notes."""
    clip = Clip(folder, "clip", format, fps=fps, expected=expected)
    try:
        for frame in frames:
            clip.add(frame)
        return clip.finish("a")
    finally:
        clip.discard()


def test_a_gif_is_read_back_frame_by_frame(tmp_path):
    path, notes = written(tmp_path, frames(10), "gif", fps=5, expected=10)
    assert (path, notes) == (tmp_path / "a.gif", [])
    assert read_gif(path) == ([5 * i for i in range(10)], [200] * 10)


def test_a_gif_lasts_as_long_as_its_frames_though_it_counts_in_hundredths(tmp_path):
    path, _ = written(tmp_path, frames(30), "gif", fps=30, expected=30)
    _, pauses = read_gif(path)
    assert sum(pauses) == 1000
    assert set(pauses) == {30, 40}


def test_a_fast_gif_is_thinned_out_and_keeps_its_end_and_its_pace(tmp_path):
    path, [note] = written(tmp_path, frames(12), "gif", fps=100, expected=12)
    assert note == "a gif keeps one frame in 2: it shows at most 50 a second; mp4 keeps all"
    brightness, pauses = read_gif(path)
    assert brightness == [0, 10, 20, 30, 40, 50, 55]
    assert sum(pauses) == 120


def test_a_long_gif_is_thinned_out_by_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "GIF_MEMORY", 20 * 30 * 10)
    path, [note] = written(tmp_path, frames(35), "gif", fps=10, expected=35)
    assert note.startswith("a gif keeps one frame in 4: 35 of them would take more than")
    brightness, pauses = read_gif(path)
    assert brightness == [5 * i for i in [*range(0, 33, 4), 34]]
    assert sum(pauses) == 3500


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # imageio's, when it reads
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_mp4_is_read_back_frame_by_frame(tmp_path):
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    path, _ = written(tmp_path, iter(frames(12, 201, 133)), "mp4", fps=12.5, expected=12)
    with imageio.get_reader(path) as reader:
        assert reader.get_meta_data()["fps"] == 12.5
        found = [frame for frame in reader]
    assert [frame.shape for frame in found] == [(202, 134, 3)] * 12, "a pixel more for odd sizes"
    assert [round(float(frame.mean()) / 5) for frame in found] == [*range(12)]


def test_an_mp4_takes_frames_one_by_one(tmp_path):
    """Never more than two of them are there, however long the video."""
    pytest.importorskip("imageio_ffmpeg")
    made: list[weakref.ref[np.ndarray]] = []

    def one_by_one() -> Iterator[np.ndarray]:
        for number in range(50):
            frame = np.full((16, 16, 3), number, np.uint8)
            made.append(weakref.ref(frame))
            yield frame
            del frame
            assert sum(one() is not None for one in made) <= 2

    written(tmp_path, one_by_one(), "mp4", fps=10, expected=50)
    assert len(made) == 50


@pytest.mark.parametrize("format", ["gif", "mp4"])
def test_a_clip_is_hidden_until_it_is_finished_and_gone_if_it_never_is(format, tmp_path):
    if format == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    clips = [Clip(tmp_path, stem, format, fps=10, expected=3) for stem in ("one", "two")]
    for frame in frames(3):
        for clip in clips:
            clip.add(frame)
        assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    path, _ = clips[0].finish("best")
    for clip in clips:
        clip.discard()
        clip.discard()
    assert [*tmp_path.iterdir()] == [path] == [tmp_path / f"best.{format}"]


@pytest.mark.parametrize(
    ("format", "resizes", "without", "message"),
    [
        ("mp4", False, {"imageio"}, "mp4: imageio missing: pip install 'lightning-dqn[video]'; "),
        ("mp4", False, {"imageio", "imageio_ffmpeg"}, "mp4: imageio and imageio-ffmpeg missing: "),
        ("mp4", True, {"imageio_ffmpeg", "PIL"}, "mp4: imageio-ffmpeg and pillow missing: "),
        ("gif", False, {"PIL"}, "gif: pillow missing: pip install 'lightning-dqn[video]'"),
    ],
)
def test_missing_packages_are_named_with_the_extra(format, resizes, without, message, monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in without else object()
    )
    with pytest.raises(ValueError) as refused:
        check_installed(format, resizes=resizes)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_gif_takes_pillow_alone(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "PIL" or None)
    check_installed("gif", resizes=True)


def test_no_ffmpeg_is_told(monkeypatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    pytest.importorskip("imageio")

    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.\nInstall it.")

    monkeypatch.setattr(ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(ValueError, match=r"^mp4: imageio-ffmpeg finds no ffmpeg here: No .* found"):
        check_installed("mp4", resizes=False)


def test_small_pictures_are_enlarged_by_a_whole_number_and_others_stay():
    small = np.zeros((10, 12, 3), np.uint8)
    small[3, 4] = 255
    enlarged = as_frame(small, None)
    assert enlarged.shape == (250, 300, 3)
    assert (enlarged[75:100, 100:125] == 255).all()
    assert enlarged.sum() == 255 * 3 * 25 * 25
    assert as_frame(np.zeros((300, 400, 3), np.uint8), None).shape == (300, 400, 3)


@pytest.mark.parametrize("width", [60, 45, 15])
def test_a_width_is_kept_and_the_height_follows(width):
    frame = as_frame(frames(9)[8], width)
    assert frame.shape == (width * 2 // 3, width, 3)
    assert (frame == 40).all()


def test_floats_are_shares_of_white():
    assert (as_frame(np.full((300, 300, 3), 0.2), None) == 51).all()
    assert (as_frame(np.ones((300, 300, 3), np.float32), None) == 255).all()


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (None, "NoneType"),
        (np.zeros((3, 3), np.uint8), r"uint8\[3, 3\]"),
        (np.zeros((3, 3, 4), np.uint8), r"uint8\[3, 3, 4\]"),
    ],
)
def test_what_is_no_picture_is_refused(picture, told):
    with pytest.raises(ValueError, match=rf"^rgb_array: the environment gave {told}, expected"):
        as_frame(picture, None)
