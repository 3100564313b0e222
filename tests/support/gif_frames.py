"""What a gif of a :class:`support.shown_env.ShownEnv` shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from support.shown_env import color


def times_shown(path: Path) -> list[int]:
    """Return which time steps it shows."""
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            red = int(np.asarray(image.convert("RGB"))[0, 0, 0])
            found.append(min(range(12), key=lambda time: abs(color(time)[0] - red)))
        return found
