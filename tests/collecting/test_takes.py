"""How fast a video shows its episode; what it shows is tested with the filming."""

import pytest

from lightning_dqn.collecting.takes import pace


@pytest.mark.parametrize(
    ("fps", "every", "paced"), [(50, 1, 50), (50, 2, 25), (60, 90, 10), (4, 1, 4), (4, 3, 4)]
)
def test_a_video_keeps_the_pace_of_its_episode_down_to_ten_frames_a_second(fps, every, paced):
    assert pace(fps, every) == paced
