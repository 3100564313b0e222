"""What a suite is: its file, its games and what plays them."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.keys import choices
from lightning_dqn.study.atari_scores import atari_100k
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.suite_file import find_suite

PLAIN = {"name": "mine", "experiment": "x", "key": "environment.game", "games": ["Pong", "Alien"]}


def test_atari_100k_has_the_games_of_its_table() -> None:
    suite = find_suite("atari100k")
    assert suite.games == atari_100k().games
    assert suite.scores is atari_100k()
    assert suite.override(["Pong", "MsPacman"]) == "environment.game=Pong,MsPacman"


def test_minatar_has_its_five_games_and_no_scores_of_others() -> None:
    suite = find_suite("minatar")
    assert suite.scores is None
    assert suite.override(suite.games[:2]) == (
        "environment.id=MinAtar/Asterix-v1,MinAtar/Breakout-v1"
    )
    setting = ("+experiment=minatar", "environment.id=MinAtar/Seaquest-v1", "data.batch_size=8")
    assert suite.game_of(setting) == "Seaquest"


@pytest.mark.parametrize("games", [("my_env:Env-v0", "other:Env-v0"), ("-2e0", "1e-3", '"-1.50"')])
def test_a_game_is_known_by_its_value_however_that_is_written(games: tuple[str, ...]) -> None:
    suite = Suite.of({**PLAIN, "games": list(games)})
    parsed = OverridesParser.create().parse_overrides([suite.override(games)])
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    assert [suite.game_of(job) for job in jobs] == list(games)


@pytest.mark.parametrize("setting", [["environment.game=Boxing"], ["seed=1"]])
def test_what_plays_no_game_of_the_suite_is_refused(setting: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^games: none of Pong, Alien is what .* plays"):
        Suite.of(PLAIN).game_of(setting)


def test_shipped_suites_open_with_their_command_and_name_an_experiment() -> None:
    folder = Path(__file__).resolve().parents[2] / "conf" / "suite"
    names = {path.stem for path in folder.iterdir()}
    assert names == {"atari100k", "minatar"}
    for name in names:
        first = (folder / f"{name}.yaml").read_text().splitlines()[0]
        assert first.startswith(f"# python -m lightning_dqn suite {name} ")
        assert find_suite(name).experiment in choices()["experiment"]
    assert "suite" not in choices(), "no configuration is composed of one"


def test_a_suite_is_read_as_it_was_saved() -> None:
    suite = find_suite("minatar").choose("breakout")
    assert Suite.of(asdict(suite)) == suite


@pytest.mark.parametrize(
    ("asked", "games"),
    [
        (None, ("Alien", "MsPacman")),
        ("all", ("Alien", "MsPacman")),
        ("MsPacman", ("MsPacman",)),
        ("ms_pacman, alien", ("MsPacman", "Alien")),
        ("[Alien]", ("Alien",)),
    ],
)
def test_games_are_chosen_by_any_spelling(asked: str | None, games: tuple[str, ...]) -> None:
    suite = Suite("a", "x", "k", ("Alien", "MsPacman"))
    assert suite.choose(asked).games == games


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("Pnog", r"^games=Pnog: mine has no game Pnog; did you mean Pong\? there are all, Pong, A"),
        ("Zaxxon", r"^games=Zaxxon: mine has no game Zaxxon; there are all, Pong, Alien$"),
        ("Pong,", r"^games=Pong,: mine has no game ; there"),
        ("Pong,pong", "^games=Pong,pong: a game is named twice$"),
    ],
)
def test_games_that_there_are_not_are_refused(asked: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Suite.of(PLAIN).choose(asked)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"games": []}, r"games=\[\]: expected a list of different names"),
        ({"games": "Pong"}, "games=Pong: expected a list of different names"),
        ({"games": ["Pong", "Pong"]}, "expected a list of different names"),
        ({"key": None}, "key=None: expected a text"),
        ({"experiment": 3}, "experiment=3: expected a text"),
        ({"value": "Pong"}, "value=Pong: expected a text with {game} in it"),
        ({"table": "atari_57"}, "table=atari_57: there are atari_100k, and null"),
        ({"table": ["a"]}, r"table=\['a'\]: expected a text"),
        ({"tabel": "a"}, "tabel: no key of a suite; there are name, experiment, key"),
        (
            {"games": ["Pong", "Enduro"], "table": "atari_100k"},
            "games: the table atari_100k has no scores of Enduro; leave them out",
        ),
    ],
)
def test_a_suite_that_is_none_is_refused_by_its_file(
    changed: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "suite").mkdir(parents=True)
    saved = {key: value for key, value in {**PLAIN, **changed}.items() if key != "name"}
    Path("conf", "suite", "mine.yaml").write_text(yaml.dump(saved))
    with pytest.raises(ConfigError, match=rf"^conf/suite/mine\.yaml: .*{message}"):
        find_suite("mine")


def test_a_suite_of_ones_own_that_hides_a_shipped_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    find_suite("minatar")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "suite").mkdir(parents=True)
    for name in ("mine", "minatar"):
        saved = {key: value for key, value in PLAIN.items() if key != "name"}
        Path("conf", "suite", f"{name}.yaml").write_text(yaml.dump(saved))
    find_suite("mine")
    find_suite("atari100k")
    assert capsys.readouterr().err == ""
    find_suite("minatar")
    told = "lightning-dqn: suite minatar is conf/suite/minatar.yaml, not the shipped minatar\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "games: 3"])
def test_a_file_that_holds_no_suite_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "suite").mkdir(parents=True)
    Path("own", "suite", "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"^own/suite/mine\.yaml: [^\n]+$"):
        find_suite("mine", ["--config-dir", "own"])


def test_a_suite_of_ones_own_comes_before_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, game in (("conf", "Here"), ("own", "There")):
        (tmp_path / place / "suite").mkdir(parents=True)
        text = yaml.dump({"experiment": "x", "key": "k", "games": [game]})
        Path(place, "suite", "minatar.yaml").write_text(text)
    assert find_suite("minatar").games == ("Here",)
    assert find_suite("minatar", ["--config-dir=own", "a=1"]).games == ("There",)


def test_an_unknown_suite_is_refused_with_the_nearest() -> None:
    message = r"^suite=atari100: neither a suite nor the folder of one; did you mean atari100k\?"
    with pytest.raises(ConfigError, match=message):
        find_suite("atari100")
