"""A mistake, told in one line."""

from __future__ import annotations

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.environments.declared import WrongGiven
from lightning_dqn.runs.compose import Composer, compose
from lightning_dqn.runs.mistakes import explain, told


def told_of(*arguments: str) -> str:
    """Return what is said of arguments that can't be composed."""
    with Composer(arguments) as composer:
        with pytest.raises(HydraException) as refused:
            composer.config()
        return composer.explain(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("data.batchsize=3", "data.batchsize: no such key; did you mean data.batch_size?"),
        ("qqq=3", "qqq: no such key; --help lists them all"),
        ("module.head.num_atoms=3", "module.head.num_atoms: no such key; "),
        (
            "module/head=categorical module.head.error=mse",
            "module.head.error: no such key; it belongs to another choice of module/head, ",
        ),
        (
            "trainer.gradient_clip_val=1",
            "trainer.gradient_clip_val: no such key; take module.max_gradient_norm",
        ),
        (
            "trainer.accumulate_grad_batches=2",
            "trainer.accumulate_grad_batches: no such key; take data.updates_per_iteration",
        ),
        ("callbacks/matches=default", "callbacks/matches: not chosen yet, so it takes a plus"),
        ("modul/head=scalar", "modul/head: no such key; did you mean module/head?"),
        ("+experiment=cartpol", "experiment=cartpol: no such option; did you mean cartpole? there"),
        ("module/network=mpl", "module/network=mpl: no such option; did you mean mlp? there are"),
        ("--config-name nope", "--config-name nope: there is no such file"),
        ("data.batch_size=[", "data.batch_size=[: can't be read: "),
        ("seed=1,2", "seed=1,2: to sweep over it add -m; as a list write seed=[1,2]"),
        ("~nonsense", "~nonsense: "),
    ],
)
def test_it_names_the_key_and_what_to_do(arguments: str, message: str) -> None:
    text = told_of(*arguments.split())
    assert text.startswith(message)
    assert "\n" not in text


def test_a_key_that_was_taken_away_is_named_where_a_run_needs_it() -> None:
    config = compose(["~data.batch_size"])
    with pytest.raises(OmegaConfBaseException) as refused:
        config.data.batch_size  # noqa: B018
    message = "data.batch_size: is missing; a run needs it, so set it to something"
    assert explain(refused.value) == message


def test_what_is_no_mistake_of_composing_is_told_as_it_is() -> None:
    assert explain(ValueError("a=1: wrong")) == "a=1: wrong"
    assert explain(ValueError()) == "ValueError"


def test_a_mistake_ends_the_process_with_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as stop, told():
        raise ValueError("a=1: wrong")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "lightning-dqn: a=1: wrong\n"


def test_what_is_no_mistake_goes_through() -> None:
    with pytest.raises(KeyError), told():
        raise KeyError("a fault of the program")


def test_a_traceback_comes_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="wrong"), told():
        raise ValueError("wrong")


def test_a_fault_of_a_run_is_told_in_one_line_with_another_status(capsys, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as caught, told():
        raise WrongGiven("environment 1 gave nonsense")  # a ValueError too
    assert caught.value.code == 1
    assert capsys.readouterr().err == "lightning-dqn: environment 1 gave nonsense\n"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(WrongGiven), told():
        raise WrongGiven
