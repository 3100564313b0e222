"""The best, the median and the worst episode, and that a video shows what its name says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from PIL import Image
from support.gif_frames import times_shown
from support.shown_env import FakeRun, ShownEnv, UndrawnEnv, UnrepeatableEnv

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.options import RecordOptions
from lightning_dqn.runs.finished.recording import Output, Played, Recording, chosen, record
from lightning_dqn.runs.finished.showing import Stage
from lightning_dqn.transitions import Episode


def recorded(folder: Path, environment: Any = ShownEnv, **changed: Any) -> Recording:
    run: Any = FakeRun(environment)
    how = {"format": "gif", "episodes": 7, "seed": 3, **changed}
    return record(run, RecordOptions(run="fake", output=f"{folder}/", **how))


def test_three_episodes_are_shown_whole_and_named_by_what_they_are(tmp_path):
    recording = recorded(tmp_path)
    returns = [one.episode.episode_return for one in recording.episodes]
    ranked = sorted(returns)
    by_name = {one.which: one for one in recording.videos}
    assert [*by_name] == ["best", "median", "worst"]
    assert by_name["best"].episode.episode_return == ranked[-1]
    assert by_name["median"].episode.episode_return == ranked[3]
    assert by_name["worst"].episode.episode_return == ranked[0]
    for which, one in by_name.items():
        told = f"{which}_return_{one.episode.episode_return:g}_seed_{one.seed}.gif"
        assert one.path == tmp_path / told
        assert times_shown(one.path) == [*range(one.episode.episode_length + 1)]
        assert one.is_repeated
    assert recording.notes == []
    names = {one.path.name for one in by_name.values()}
    assert {path.name for path in tmp_path.iterdir()} == {"recording.json", *names}
    assert json.loads((tmp_path / "recording.json").read_text()) == {
        "env_steps": 700,
        "seed": 3,
        "videos": {
            which: {"file": one.path.name, "return": one.episode.episode_return}
            for which, one in by_name.items()
        },
    }


def test_each_episode_can_be_had_again_by_its_seed(tmp_path):
    for one in recorded(tmp_path / "all").episodes:
        [again] = recorded(tmp_path / "one", seed=one.seed, episodes=1).episodes
        assert again == one


def test_nothing_is_drawn_while_episodes_are_ranked(tmp_path, monkeypatch):
    drawn: list[int] = []
    render = ShownEnv.render
    monkeypatch.setattr(ShownEnv, "render", lambda env: drawn.append(1) or render(env))
    recording = recorded(tmp_path, episodes=30)
    frames = sum(one.episode.episode_length + 1 for one in recording.videos)
    assert len(drawn) == frames + 1, "one more to see whether it can be drawn at all"


def test_a_video_that_does_not_repeat_its_episode_is_named_by_what_it_shows(tmp_path):
    recording = recorded(tmp_path, UnrepeatableEnv)
    assert len(recording.notes) == 3
    for video, note in zip(recording.videos, recording.notes, strict=True):
        assert not video.is_repeated
        shown = video.episode.episode_return
        assert shown != video.ranked.episode_return
        assert video.path == tmp_path / f"unrepeated_return_{shown:g}_seed_{video.seed}.gif"
        assert video.path.is_file()
        assert f"gave return {video.ranked.episode_return:g} in" in note
        assert f"but return {shown:g} in" in note
        assert "\n" not in note
    assert json.loads((tmp_path / "recording.json").read_text())["videos"] == {}


def test_cut_episodes_are_told(tmp_path):
    recording = recorded(tmp_path, max_episode_steps=2)
    assert recording.notes == ["7 of 7 episodes were cut; max_episode_steps=N sets where"]
    assert all(times_shown(one.path) == [0, 1, 2] for one in recording.videos)


@pytest.fixture
def unplayed(monkeypatch):
    """Fails where more is played than the first moment of one episode."""
    begun: list[int] = []
    play = Stage.play

    def once(stage: Stage, seed: int) -> Any:
        begun.append(seed)
        assert len(begun) < 2
        yield next(play(stage, seed))
        raise AssertionError("an episode was played")

    monkeypatch.setattr(Stage, "play", once)


def refused(folder: Path, environment: Any = ShownEnv, **changed: Any) -> str:
    with pytest.raises(ValueError) as error:
        recorded(folder / "videos", environment, **changed)
    assert not (folder / "videos").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_environment_without_pictures_is_refused_with_the_modes_it_has(tmp_path, unplayed):
    class OnlyText(ShownEnv):
        metadata = {"render_modes": ["human", "ansi"]}  # noqa: RUF012

    assert refused(tmp_path, OnlyText) == (
        "OnlyText gives no pictures (render mode rgb_array): its render modes are human, ansi"
    )
    assert refused(tmp_path, "lightning_dqn/Torus-v0").endswith("it has no render mode at all")


def test_what_is_missing_to_draw_is_told_before_anything_is_played(tmp_path, unplayed):
    assert "pygame is not installed, run `pip" in refused(tmp_path, UndrawnEnv)


def test_a_function_that_takes_no_render_mode_is_refused(tmp_path, unplayed):
    def make() -> gym.Env:
        return ShownEnv()

    assert refused(tmp_path, make).startswith("id=make: this function takes no render_mode")


def test_a_missing_package_is_told_before_anything_is_played(tmp_path, unplayed, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'lightning-dqn[video]'" in refused(tmp_path, format="mp4")


def test_a_file_that_can_not_be_finished_leaves_nothing(tmp_path, monkeypatch):
    def write(image: Image.Image, path: Path, **_: Any) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", write)
    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "format", "path"),
    [
        ("videos", None, "videos/best_return_12.5_seed_3.mp4"),
        ("videos/", "gif", "videos/best_return_12.5_seed_3.gif"),
        ("a/b.mp4", None, "a/b_best_return_12.5_seed_3.mp4"),
        ("b.GIF", None, "b_best_return_12.5_seed_3.gif"),
        ("v1.5/", None, "v1.5/best_return_12.5_seed_3.mp4"),
    ],
)
def test_output_is_a_folder_or_how_the_names_begin(output, format, path):
    made, shown = Output.of(output, format), Episode(12.5, 4)
    name = made.name("best", Played(3, shown), shown)
    assert made.folder / f"{name}.{made.format}" == Path(path)


@pytest.mark.parametrize(
    ("output", "format", "message"),
    [
        ("a.avi", None, "output=a.avi: no video ends so here; there are .mp4 and .gif"),
        ("a.mp4", "gif", "format=gif: output=a.mp4 ends with .mp4"),
        ("taken", None, "output=taken: is a file; name a folder"),
    ],
)
def test_other_outputs_are_refused(output, format, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("")
    with pytest.raises(ConfigError) as error:
        Output.of(output, format)
    assert str(error.value).startswith(message)


def test_an_existing_folder_with_a_dot_is_one(tmp_path):
    (tmp_path / "v1.5").mkdir()
    assert Output.of(str(tmp_path / "v1.5"), None).folder == tmp_path / "v1.5"


def test_videos_are_of_the_best_the_median_and_the_worst():
    played = [Played(seed, Episode(one, 1)) for seed, one in enumerate([5.0, 2.0, 3.0])]
    found = {which: one.seed for which, one in chosen(played).items()}
    assert found == {"best": 0, "median": 2, "worst": 1}
