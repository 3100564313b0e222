"""The videos of a run's folder."""

import base64
import json
import os

import pytest
from support.reported_runs import make_run, make_sweep, summary

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


def record(folder, env_steps, name="", **returns):
    """Write what a recording leaves: the videos, and which belong together."""
    files = {
        which: {"file": f"{name}{which}_return_{value:g}_seed_{value:g}.mp4", "return": value}
        for which, value in returns.items()
    }
    film(folder, *(one["file"] for one in files.values()))
    told = {"env_steps": env_steps, "seed": 3, "videos": files}
    (folder / "videos" / f"{name}recording.json").write_text(json.dumps(told))


def shown(setting):
    return [(one.which, one.episode_return, one.env_step) for one in videos_of(setting)]


def test_the_newest_recording_is_shown_whole(setting):
    folder = setting.runs[0].folder
    record(folder, 200, best=93, median=50, worst=20)
    record(folder, 300, best=500, worst=480)
    assert shown(setting) == [("best", 500, 300), ("worst", 480, 300)]


def test_of_several_recordings_the_longest_trained_is_shown(setting):
    folder = setting.runs[0].folder
    record(folder, 300, "b_", best=500, worst=480)
    record(folder, 200, "a_", best=93, median=50, worst=20)
    record(folder, None, "c_", only=1)
    assert shown(setting) == [("best", 500, 300), ("worst", 480, 300)]


def test_films_of_a_run_that_went_on_are_newer_than_what_was_recorded_before(setting):
    folder = setting.runs[0].folder
    record(folder, 200, best=93)
    film(folder, "env_step_000000100_best_return_7.mp4")
    assert shown(setting) == [("best", 93, 200)]
    film(folder, "env_step_000000300_best_return_500.mp4")
    assert shown(setting) == [("best", 500, 300)]
    record(folder, 300, best=480)
    assert shown(setting) == [("best", 480, 300)]


def test_a_recording_of_the_weights_that_were_tested_comes_first(setting):
    folder = setting.runs[0].folder
    record(folder, 200, best=500)
    film(folder, "env_step_000000300_best_return_93.mp4")
    tested = {**summary(0, 10.0), "tested_env_steps": 200}
    (folder / "summary.json").write_text(json.dumps(tested))
    assert shown(setting) == [("best", 500, 200)]


def test_of_two_films_of_one_evaluation_the_newer_is_shown(setting):
    folder = setting.runs[0].folder
    names = [f"env_step_000000300_best_return_{value}.mp4" for value in (500, 93)]
    film(folder, *names)
    for seconds, name in enumerate(reversed(names)):
        os.utime(folder / "videos" / name, (seconds, seconds))
    assert shown(setting) == [("best", 500, 300)]


def test_what_another_program_wrote_is_no_recording(setting):
    film(setting.runs[0].folder, "recording.json", content=b'{"videos": ["a.mp4"]}')
    film(setting.runs[0].folder, "my_recording.json", content=b"[")
    assert videos_of(setting) == []


@pytest.mark.parametrize(
    "change",
    [
        {"file": "{elsewhere}/private.gif"},
        {"file": "../../private.gif"},
        {"file": "link.gif"},
        {"file": "notes.txt"},
        {"file": 3},
        {"return": "a lot"},
        {"env_steps": "soon"},
    ],
)
def test_a_recording_of_another_shows_no_file_from_elsewhere(setting, tmp_path, change):
    folder = setting.runs[0].folder
    record(folder, 100, best=5.0)
    assert shown(setting) == [("best", 5.0, 100)]
    (tmp_path / "private.gif").write_bytes(b"GIF")
    (folder / "videos" / "link.gif").symlink_to(tmp_path / "private.gif")
    (folder / "videos" / "notes.txt").write_text("of the run")
    told = json.loads((folder / "videos" / "recording.json").read_text())
    for name, value in change.items():
        place = told if name == "env_steps" else told["videos"]["best"]
        place[name] = value.format(elsewhere=tmp_path) if isinstance(value, str) else value
    (folder / "videos" / "recording.json").write_text(json.dumps(told))
    assert shown(setting) == []


def test_the_run_of_the_median_return_comes_first(tmp_path):
    sweep = make_sweep(tmp_path, {"lr=1": [1, 3, 2]})
    for seed in (0, 2):
        record(sweep / f"lr=1,seed={seed}", 300, best=1)
    [setting] = gather([sweep]).settings
    assert videos_of(setting)[0].of.name == "lr=1,seed=2"
    (sweep / "lr=1,seed=2" / "videos" / "best_return_1_seed_1.mp4").unlink()
    assert videos_of(setting)[0].of.name == "lr=1,seed=0"


def test_a_small_video_is_in_the_page_and_a_large_one_is_linked(setting, tmp_path, monkeypatch):
    record(setting.runs[0].folder, 300, best=1)
    [one] = videos_of(setting)
    source = one.source(tmp_path / "report")
    assert source == "data:video/mp4;base64," + base64.b64encode(b"film").decode()
    assert one.is_in_the_page()
    monkeypatch.setattr(videos, "LARGEST", 3)
    assert not one.is_in_the_page()
    assert one.source(tmp_path / "report") == "../run/videos/best_return_1_seed_1.mp4"
