"""How fast a video shows its episode, and in how many frames; which is tested with the filming."""

import numpy as np
import pytest

from lightning_dqn.collecting.takes import Footage, Take, pace
from lightning_dqn.transitions import Episode


@pytest.mark.parametrize(
    ("fps", "every", "paced"), [(50, 1, 50), (50, 2, 25), (60, 90, 10), (4, 1, 4), (4, 3, 4)]
)
def test_a_video_keeps_the_pace_of_its_episode_down_to_ten_frames_a_second(fps, every, paced):
    assert pace(fps, every) == paced


def frames_of(footage: Footage, ranked: int, length: int) -> int:
    """Return in how many frames an episode is shown, of another length than the one ranked."""
    take = Take("best", 0, 0, Episode(0.0, ranked), footage, fps=10)
    picture, number = np.zeros((1, 1, 3), np.uint8), 0
    for is_last in [False] * length + [True]:
        if is_last or take.passes():
            take.take(picture)
            number += 1
    take.discard()
    return number


@pytest.mark.parametrize("max_frames", [1, 2, 3, 7, 10, 300])
def test_there_are_never_more_frames_than_the_most_and_all_where_they_have_room(
    max_frames, tmp_path
):
    footage = Footage(tmp_path, "", "gif", max_frames, width=1)
    for length in [*range(1, 31), 298, 299, 300, 301, 599, 600, 601]:
        number = frames_of(footage, length, length)
        assert max_frames / 2 <= number <= max_frames or number == length + 1 <= max_frames
        assert frames_of(footage, length, 3 * length) <= max_frames
        assert frames_of(footage, 2 * length, length) <= max_frames
