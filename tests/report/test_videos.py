"""The videos of a run's folder."""

import base64

import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report import videos
from lightning_dqn.report.gather import gather
from lightning_dqn.report.videos import videos_of


def film(folder, *names, content=b"film"):
    (folder / "videos").mkdir(exist_ok=True)
    for name in names:
        (folder / "videos" / name).write_bytes(content)


@pytest.fixture
def setting(tmp_path):
    [found] = gather([make_run(tmp_path / "run")]).settings
    return found


def test_a_run_without_videos_has_none(setting):
    assert videos_of(setting) == []


def test_the_newest_evaluation_is_shown_the_best_first(setting):
    film(
        setting.runs[0].folder,
        "env_step_000000100_best_return_5.mp4",
        "env_step_000000200_worst_return_-1.5.mp4",
        "env_step_000000200_best_return_7e+02.mp4",
        "env_step_000000200_unrepeated_return_3.mp4",
        "other.mp4",
    )
    found = videos_of(setting)
    assert [(one.which, one.episode_return, one.env_step) for one in found] == [
        ("best", 700.0, 200),
        ("worst", -1.5, 200),
    ]


def test_what_was_recorded_afterwards_counts_as_newest(setting):
    film(
        setting.runs[0].folder,
        "env_step_000000200_best_return_7.gif",
        "mine_median_return_3_seed_12.gif",
    )
    [one] = videos_of(setting)
    assert (one.which, one.episode_return, one.env_step, one.is_image) == (
        "median",
        3.0,
        None,
        True,
    )


def test_the_run_of_the_median_return_comes_first(tmp_path):
    sweep = make_sweep(tmp_path, {"lr=1": [1, 3, 2]})
    for seed in (0, 2):
        film(sweep / f"lr=1,seed={seed}", "best_return_1_seed_3.mp4")
    [setting] = gather([sweep]).settings
    assert videos_of(setting)[0].of.name == "lr=1,seed=2"
    (sweep / "lr=1,seed=2" / "videos" / "best_return_1_seed_3.mp4").unlink()
    assert videos_of(setting)[0].of.name == "lr=1,seed=0"


def test_a_small_video_is_in_the_page_and_a_large_one_is_linked(setting, tmp_path, monkeypatch):
    film(setting.runs[0].folder, "best_return_1_seed_3.mp4")
    [one] = videos_of(setting)
    source = one.source(tmp_path / "report")
    assert source == "data:video/mp4;base64," + base64.b64encode(b"film").decode()
    assert one.is_in_the_page()
    monkeypatch.setattr(videos, "LARGEST", 3)
    assert not one.is_in_the_page()
    assert one.source(tmp_path / "report") == "../run/videos/best_return_1_seed_3.mp4"
