"""Frames as a video in a file, mp4 or gif.

A frame is uint8[H, W, 3].
"""

from __future__ import annotations

import importlib.util
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightning_dqn.system.faults import first_line

VideoFormat = Literal["mp4", "gif"]

GIF_MEMORY = 256 * 2**20
"""Bytes that a gif's frames may take: they are written all at once, when the last one is there."""

_PACKAGES = {"mp4": ("imageio", "imageio_ffmpeg"), "gif": ("PIL",)}
_GIF_FPS = 50
_SMALLEST = 256


def check_installed(format: VideoFormat, *, resizes: bool) -> None:
    """Refuse a format whose packages are missing.

    Args:
        format: of the video.
        resizes: frames are scaled to a width.

    Raises:
        ValueError: it names the extra to install.
    """
    wanted = [*_PACKAGES[format], *(["PIL"] if resizes and format != "gif" else [])]
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        names = ["pillow" if name == "PIL" else name.replace("_", "-") for name in missing]
        instead = "; format=gif takes pillow alone" if format == "mp4" else ""
        raise ValueError(
            f"{format}: {' and '.join(names)} missing: pip install 'lightning-dqn[video]'{instead}"
        )
    if format == "mp4":
        _check_ffmpeg()


def _check_ffmpeg() -> None:
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        reason = first_line(error)
        raise ValueError(f"mp4: imageio-ffmpeg finds no ffmpeg here: {reason}") from error


class Clip:
    """A video that is being written, frame by frame, so that several can be at once.

    It lies hidden beside its place until it is finished.

    Args:
        folder: of the file.
        stem: of its name until then, another one than those of other clips there.
        format: of the file.
        fps: frames per second.
        expected: how many frames there will be, by which a gif is thinned out.
    """

    def __init__(
        self, folder: Path, stem: str, format: VideoFormat, *, fps: float, expected: int
    ) -> None:
        self._folder, self._format = folder, format
        self._temporary = path = folder / f".{stem}.tmp.{format}"
        self._file: _File = _Mp4(path, fps) if format == "mp4" else _Gif(path, fps, expected)

    def add(self, frame: np.ndarray) -> None:
        """Write a frame, of the size that the first one had; an mp4 keeps none of them."""
        self._file.add(frame)

    def finish(self, name: str) -> tuple[Path, list[str]]:
        """Put the file in its place.

        Args:
            name: of the file, without its suffix.

        Returns:
            Its path, and lines about what was left out.
        """
        notes = self._file.finish()
        path = self._folder / f"{name}.{self._format}"
        os.replace(self._temporary, path)
        return path, notes

    def discard(self) -> None:
        """Leave nothing that isn't finished; may be called after :meth:`finish`, too."""
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def as_frame(picture: Any, width: int | None) -> np.ndarray:
    """Return what an environment drew as a frame, of that width in pixels.

    Small ones, as MinAtar's ten by ten, are enlarged by a whole number where no width is given.

    Raises:
        ValueError: it is no picture.
    """
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind not in "uif":
        found = f"{array.dtype}{list(array.shape)}" if array.ndim else type(picture).__name__
        raise ValueError(f"rgb_array: the environment gave {found}, expected uint8[H, W, 3]")
    if array.dtype.kind == "f":  # from 0 to 1, as MinAtar has it
        array = (255 * array.clip(0, 1)).round()
    frame = np.ascontiguousarray(array.astype(np.uint8))
    height, found_width = frame.shape[:2]
    if width is None:
        width = found_width * max(1, _SMALLEST // min(height, found_width))
    if width == found_width:
        return frame
    if width % found_width == 0:
        return frame.repeat(width // found_width, 0).repeat(width // found_width, 1)
    from PIL import Image

    size = width, max(1, round(height * width / found_width))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


class _File(ABC):
    """A file of frames that come one by one."""

    @abstractmethod
    def add(self, frame: np.ndarray) -> None:
        """Take a frame."""

    def finish(self) -> list[str]:
        """End the file; return lines about what was left out."""
        self.close()
        return []

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, finished or not; may be called more than once."""


class _Mp4(_File):
    """Hands each frame on to an encoder and keeps none."""

    def __init__(self, path: Path, fps: float) -> None:
        import imageio.v2

        make: Any = imageio.v2.get_writer
        self._writer = make(
            path,
            format="FFMPEG",
            fps=fps,
            codec="libx264",
            quality=8,
            macro_block_size=1,
            ffmpeg_log_level="error",
        )

    def add(self, frame: np.ndarray) -> None:
        # The chroma of yuv420p, which every player reads, is halved.
        odd = [(0, size % 2) for size in frame.shape[:2]]
        self._writer.append_data(np.pad(frame, (*odd, (0, 0)), mode="edge"))

    def close(self) -> None:
        self._writer.close()


class _Gif(_File):
    """Keeps what it shows of the frames, with few colours, until the last one is there."""

    def __init__(self, path: Path, fps: float, expected: int) -> None:
        self._path, self._fps, self._expected = path, fps, expected
        self._images: list[Any] = []
        self._kept: list[int] = []  # their numbers
        self._number, self._step, self._why = -1, 1, ""
        self._last: np.ndarray

    def add(self, frame: np.ndarray) -> None:
        self._number, self._last = self._number + 1, frame
        if self._number == 0:
            pixels = frame.shape[0] * frame.shape[1]
            self._step, self._why = _thinned(pixels, self._fps, self._expected)
        if self._number % self._step == 0:
            self._keep(frame)

    def finish(self) -> list[str]:
        if self._kept[-1] != self._number:
            self._keep(self._last)  # how it ends is always shown
        first, *others = self._images
        first.save(
            self._path,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=_pauses(self._kept, self._number + 1, self._fps),
            loop=0,
        )
        return [self._why] if self._why else []

    def close(self) -> None:
        self._images.clear()

    def _keep(self, frame: np.ndarray) -> None:
        from PIL import Image

        self._kept.append(self._number)
        image = Image.fromarray(frame)
        self._images.append(image.quantize(256, method=Image.Quantize.FASTOCTREE))


def _thinned(pixels: int, fps: float, expected: int) -> tuple[int, str]:
    """Return which frames a gif keeps, every so many, and why."""
    by_memory = math.ceil(pixels * expected / GIF_MEMORY)
    by_speed = math.ceil(fps / _GIF_FPS)
    step = max(by_memory, by_speed)
    if step == 1:
        return 1, ""
    reason = (
        f"{expected:,} of them would take more than {GIF_MEMORY // 2**20} MiB of memory"
        if by_memory >= by_speed
        else f"it shows at most {_GIF_FPS} a second"
    )
    return step, f"a gif keeps one frame in {step}: {reason}; mp4 keeps all"


def _pauses(kept: Sequence[int], end: int, fps: float) -> list[int]:
    """Return for how many milliseconds each frame is shown, in whole hundredths of a second.

    They are differences of rounded times, so that their sum is that of all frames.
    """
    times = [round(100 * number / fps) for number in [*kept, end]]
    return [10 * max(1, after - before) for before, after in pairwise(times)]
