"""Suites as they are planned, run and continued, with a fake program in place of training."""

from pathlib import Path

import pytest
from support.fake_suites import write_fake_suite

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study import launching
from lightning_dqn.study.asked import Study
from lightning_dqn.study.results_files import read_results
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.suite_file import find_suite
from lightning_dqn.study.suite_planning import continue_suite, plan_suite
from lightning_dqn.study.sweep import read_sweep
from lightning_dqn.study.sweep_results import SweepResults

GAMES = "environment.game"


@pytest.fixture
def fake(fake_runs: Path) -> Suite:
    write_fake_suite(fake_runs)
    return find_suite("fake")


def run(study: Study) -> SweepResults:
    with study.composer:
        return launching.launch(study.composer, study.sweep, lambda config: None)


def names(study: Study) -> list[str]:
    return [job.name for job in study.sweep.jobs]


def test_a_suite_has_all_seeds_of_its_games_the_first_seeds_first(fake: Suite) -> None:
    study = plan_suite(fake, ["+a=1"], games="Pong,alien", seeds=[0, 1], jobs=2, folder="suite")
    assert names(study) == [
        "game=Pong,seed=0",
        "game=Alien,seed=0",
        "game=Pong,seed=1",
        "game=Alien,seed=1",
    ]
    assert study.sweep.name == "fake"
    assert study.sweep.num_at_once == 2
    assert study.sweep.jobs[0].setting == ("+a=1", "+experiment=cartpole", f"+{GAMES}=Pong")
    asked = ("suite", "fake", "+a=1", "games=Pong,Alien", "seeds=0,1")
    assert study.sweep.command == asked
    assert not Path("suite").exists()


def test_without_a_word_a_suite_has_all_games_five_seeds_and_a_new_folder(fake: Suite) -> None:
    sweep = plan_suite(fake, []).sweep
    assert len(sweep.jobs) == 15
    assert sweep.command == ("suite", "fake", "games=all", "seeds=0,1,2,3,4")
    assert sweep.folder.parent == Path("runs", "fake")
    assert sweep.folder.name.startswith("suite_2")


def test_what_a_suite_comes_to_is_its_table(fake: Suite, fake_runs: Path) -> None:
    (fake_runs / "order_2").write_text("fail")
    found = run(plan_suite(fake, [], games="Pong,Alien", seeds=[0, 1, 2], folder="suite"))
    assert found == read_results("suite")
    assert found.suite is not None
    assert found.suite.games == ("Pong", "Alien")
    assert [one.returns.tolist() for one in found.settings] == [[0, 10], [0, 10]]
    table = Path("suite", "table.md").read_text()
    assert "| this suite       |           4 runs | 0.277 [" in table
    assert "game=Alien,seed=2 failed: boom" in table
    assert found.best is None, "returns of games can't be compared"
    assert read_sweep(Path("suite")).suite == found.suite


def test_a_suite_goes_on_with_what_is_missing(fake: Suite, fake_runs: Path) -> None:
    (fake_runs / "order_1").write_text("fail")
    run(plan_suite(fake, ["+a=1"], games="Pong,Alien", seeds=[0, 1], folder="suite"))
    kept = Path("suite", "game=Pong,seed=0", "began").stat().st_mtime_ns
    (fake_runs / "order_1").unlink()
    study = continue_suite(Path("suite"))
    assert [job.name for job in study.sweep.pending] == ["game=Pong,seed=1", "game=Alien,seed=1"]
    assert run(study).failures == ()
    assert Path("suite", "game=Pong,seed=0", "began").stat().st_mtime_ns == kept


def test_further_seeds_and_games_join_those_that_there_are(fake: Suite) -> None:
    run(plan_suite(fake, ["+a=1"], games="Pong", seeds=[1], folder="suite"))
    had = names(continue_suite(Path("suite")))
    study = continue_suite(Path("suite"), games="Alien", seeds=[2], jobs=3, known=fake)
    assert names(study)[0] == had[0] == "seed=1"
    assert names(study)[1:] == ["game=Alien,seed=1", "game=Pong,seed=2", "game=Alien,seed=2"]
    assert study.sweep.num_at_once == 3
    assert study.sweep.command == ("suite", "fake", "+a=1", "games=Pong,Alien", "seeds=1,2")
    found = run(study)
    assert found.suite is not None
    assert found.suite.games == ("Pong", "Alien")
    assert [one.returns.tolist() for one in found.settings] == [[10, 20], [10, 20]]
    assert read_sweep(Path("suite")).suite == found.suite


def test_the_same_command_goes_on_in_its_folder_and_another_is_refused(fake: Suite) -> None:
    run(plan_suite(fake, ["+a=1"], games="Pong", seeds=[1], folder="suite"))
    again = plan_suite(fake, ["+a=1"], games="Pong,Alien", seeds=[1], folder="suite")
    assert [job.name for job in again.sweep.pending] == ["game=Alien,seed=1"]
    message = (
        r"^folder=suite: holds what suite fake \+a=1 games=Pong seeds=1, asked for; continue it by "
        "its folder alone, or choose another folder$"
    )
    with pytest.raises(ConfigError, match=message):
        plan_suite(fake, ["+a=2"], folder="suite")


def test_a_suite_goes_on_with_a_folder_of_ones_own_or_another(fake: Suite, fake_runs: Path) -> None:
    asked = ["+a=1", "--config-dir=conf"]
    run(plan_suite(fake, asked, games="Pong", seeds=[1], folder="suite"))
    for again in (asked, ["+a=1"], ["+a=1", "--config-dir=."]):
        study = plan_suite(fake, again, games="Pong", seeds=[1], folder="suite")
        assert names(study) == ["seed=1"]
    assert study.composer.flags.config_dir == "."


def test_the_folder_of_a_study_is_none_of_a_suite(fake: Suite, fake_runs: Path) -> None:
    study = plan_suite(fake, [], games="Pong", seeds=[1], folder="study")
    study.sweep.write()
    path = Path("study", "sweep.json")
    path.write_text(path.read_text().replace('"suite": {', '"was": {'))
    with pytest.raises(ConfigError, match=r"^suite=study: holds no suite; what it holds is"):
        continue_suite(Path("study"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=3"], "seed=3: a suite takes its seeds as seeds=5"),
        (["+experiment=cartpole"], "+experiment=cartpole: a suite has its experiment"),
        ([f"+{GAMES}=Pong"], f"+{GAMES}=Pong: a suite takes its games as games=Pong,Breakout"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir=x: a suite's folder is folder=<folder>"),
        (["data.batch_size=8,16"], "data.batch_size=8,16: a suite has one setting; run one for"),
        (["-m"], "-m: of the flags a suite takes --config-dir only"),
    ],
    ids=str,
)
def test_what_is_none_of_a_suite_is_refused(
    fake: Suite, arguments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan_suite(fake, arguments, seeds=[0], folder="suite")
    assert str(refused.value).startswith(message)
    assert not Path("suite").exists()


def test_games_that_a_table_could_not_tell_apart_are_refused_before_the_first_run(
    fake_runs: Path,
) -> None:
    write_fake_suite(fake_runs, f"experiment: cartpole\nkey: +{GAMES}\ngames: ['a,b', c]\n")
    with pytest.raises(ConfigError, match=r"^games: none of a,b, c is what .*game=a plays"):
        plan_suite(find_suite("fake"), [], seeds=[0], folder="suite")
    assert not Path("suite").exists()


def test_seeds_and_jobs_are_checked(fake: Suite) -> None:
    with pytest.raises(ConfigError, match="expected different whole numbers"):
        plan_suite(fake, [], seeds=[1, 1])
    with pytest.raises(ConfigError, match=r"^jobs=0: expected a whole number from 1$"):
        plan_suite(fake, [], jobs=0)
