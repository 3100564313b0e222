"""What a run was asked for: its own, without its place, and the last value of each key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lightning_dqn.runs.compose import compose
from lightning_dqn.system.overrides import (
    OVERRIDES,
    last_of_each_key,
    own_overrides,
    path_of,
    unquoted,
)

RESUMED = ["+experiment=cartpole", "trainer.max_epochs=2", "ckpt_path='/run/last.ckpt'"]


def saved(folder: Path, text: str) -> Path:
    path = folder / OVERRIDES
    path.parent.mkdir()
    path.write_text(text)
    return folder


def test_what_makes_a_run_anew_has_nothing_of_its_place_and_each_value_once(tmp_path: Path) -> None:
    places = ["+run_dir=/run", "hydra.run.dir=/run", "hydra/launcher=joblib", "++ckpt_path=null"]
    later = ["trainer.max_epochs=14", "notes=${oc.env:NOT_THERE}"]
    saved(tmp_path, yaml.safe_dump([*RESUMED, *places, *later]))
    assert own_overrides(tmp_path) == (
        "+experiment=cartpole",
        "trainer.max_epochs=14",
        "notes=${oc.env:NOT_THERE}",
    )


@pytest.mark.parametrize("text", ["{not: [a list", "a: mapping", ""])
def test_of_a_file_that_is_none_of_hydras_nothing_is_known(text: str, tmp_path: Path) -> None:
    assert own_overrides(tmp_path / "nowhere") is None
    assert own_overrides(saved(tmp_path, text)) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("seed=1 test=true seed=2", "seed=2 test=true"),
        ("++seed=1 seed=2 seed=3", "++seed=3"),
        ("+experiment=cartpole seed=1 experiment=acrobot", "+experiment=acrobot seed=1"),
        ("data/sampler=uniform data/sampler=prioritized", "data/sampler=prioritized"),
        ("module/augmentation=none seed=1", "module/augmentation=none seed=1"),
        # What lies above, below or is another key may not be taken for the same.
        ("a@b=x a@c=y a@b=z", "a@b=x a@c=y a@b=z"),
        ("logger=csv logger.csv.name=x logger=none", "logger=csv logger.csv.name=x logger=none"),
        ("data.x=1 data={x:2} data.x=3", "data.x=1 data={x:2} data.x=3"),
        ("data={x:1} data={y:2}", "data={x:1} data={y:2}"),
        ("callbacks.redo.tau=1 ~callbacks.redo", "callbacks.redo.tau=1 ~callbacks.redo"),
        ("~notes +notes=a notes=b", "~notes +notes=b"),
        ("--cfg job -m -m seed=1", "--cfg job -m -m seed=1"),
        ("data.x=1 data.xy=2 data.x=3", "data.x=3 data.xy=2"),
    ],
)
def test_the_last_value_of_a_key_is_kept(given: str, kept: str) -> None:
    assert last_of_each_key(given.split()) == kept.split()


@pytest.mark.parametrize(
    "given",
    [
        "+experiment=cartpole seed=1 experiment=acrobot module.optimizer.lr=0.1 seed=2",
        "data/sampler=uniform data.batch_size=8 data/sampler=prioritized data.batch_size=16",
        "+environment.kwargs.a=1 environment.kwargs.a=2 +environment.kwargs={b:1}",
        "+environment.kwargs.a=1 +environment.kwargs={b:1} environment.kwargs.a=2",
        "+environment.kwargs={a:1} +environment.kwargs={b:2}",
        "logger=csv logger=tensorboard ~callbacks.progress +callbacks.progress={a:1}",
    ],
)
def test_what_is_kept_composes_to_the_same(given: str) -> None:
    assert compose(last_of_each_key(given.split())) == compose(given.split())


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("+a.b=1", "a.b"),
        ("~a", "a"),
        ("module/augmentation=none", "module.augmentation"),
        ("optimizer@module.optimizer=adam", "optimizer"),
    ],
)
def test_the_path_of_what_is_set(override: str, path: str) -> None:
    assert path_of(override) == path


def test_quotes_are_taken_off_in_pairs_unless_they_are_the_names_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("'runs/a b'", '"runs/a b"'):
        assert unquoted(text) == "runs/a b"
    for text in ("my 'a'", "'a' b", "runs/a", "'", ""):
        assert unquoted(text) == text
    Path("'mine'").mkdir()
    assert unquoted("'mine'") == "'mine'"
