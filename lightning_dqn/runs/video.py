"""Frames as a video in a file, mp4 or gif.

A frame is uint8[H, W, 3].
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightning_dqn.runs.build import ConfigError

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
        ConfigError: it names the extra to install.
    """
    wanted = [*_PACKAGES[format], *(["PIL"] if resizes and format != "gif" else [])]
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        names = ["pillow" if name == "PIL" else name.replace("_", "-") for name in missing]
        instead = "; format=gif takes pillow alone" if format == "mp4" else ""
        raise ConfigError(
            f"{format}: {' and '.join(names)} missing: pip install 'lightning-dqn[video]'{instead}"
        )
    if format == "mp4":
        _check_ffmpeg()


def _check_ffmpeg() -> None:
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"mp4: imageio-ffmpeg finds no ffmpeg here: {reason}") from error


def write_video(
    path: Path, frames: Iterable[np.ndarray], format: VideoFormat, *, fps: float, expected: int
) -> list[str]:
    """Write frames as they come, mp4 without keeping them.

    Args:
        path: it ends with the format's name.
        frames: all of one size.
        format: of the file.
        fps: frames per second.
        expected: how many there will be, by which a gif is thinned out.

    Returns:
        Lines about what was left out.
    """
    if format == "mp4":
        _write_mp4(path, frames, fps)
        return []
    return _write_gif(path, frames, fps, expected)


def as_frame(picture: Any, width: int | None) -> np.ndarray:
    """Return what an environment drew as a frame, of that width in pixels.

    Small ones, as MinAtar's ten by ten, are enlarged by a whole number where no width is given.

    Raises:
        ConfigError: it is no picture.
    """
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind not in "uif":
        found = f"{array.dtype}{list(array.shape)}" if array.ndim else type(picture).__name__
        raise ConfigError(f"rgb_array: the environment gave {found}, expected uint8[H, W, 3]")
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


def _write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    import imageio.v2

    make: Any = imageio.v2.get_writer
    writer = make(
        path,
        format="FFMPEG",
        fps=fps,
        codec="libx264",
        quality=8,
        macro_block_size=1,
        ffmpeg_log_level="error",
    )
    try:
        for frame in frames:
            # The chroma of yuv420p, which every player reads, is halved.
            odd = [(0, size % 2) for size in frame.shape[:2]]
            writer.append_data(np.pad(frame, (*odd, (0, 0)), mode="edge"))
    finally:
        writer.close()


def _write_gif(path: Path, frames: Iterable[np.ndarray], fps: float, expected: int) -> list[str]:
    from PIL import Image

    images: list[Any] = []
    kept: list[int] = []  # their numbers
    number, step, why = -1, 1, ""

    def keep(frame: np.ndarray) -> None:
        kept.append(number)
        image = Image.fromarray(frame)
        images.append(image.quantize(256, method=Image.Quantize.FASTOCTREE))

    for number, frame in enumerate(frames):
        if number == 0:
            step, why = _thinned(frame.shape[0] * frame.shape[1], fps, expected)
        if number % step == 0:
            keep(frame)
    if kept[-1] != number:
        keep(frame)  # how it ends is always shown
    first, *others = images
    first.save(
        path,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=_pauses(kept, number + 1, fps),
        loop=0,
    )
    return [why] if why else []


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
