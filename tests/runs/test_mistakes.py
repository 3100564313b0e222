"""A mistake, told in one line."""

from __future__ import annotations

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.environments.declared import WrongGiven
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_keys
from lightning_dqn.runs.compose import Composer, compose
from lightning_dqn.runs.mistakes import exit_on_mistake, explain, hint_of


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


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("num_envs", "did you mean environment.num_envs or data.evaluation.num_envs?"),
        ("data.num_envs", "did you mean environment.num_envs or data.evaluation.num_envs?"),
        ("n_step", "did you mean data.replay.n_step?"),
        ("lr", "did you mean module.optimizer.lr?"),
        ("module.lr", "did you mean module.optimizer.lr?"),
        ("gamma", "did you mean data.replay.gamma?"),
        ("tau", "did you mean callbacks.target_network.tau?"),
        ("epsilon", "did you mean data.collection.epsilon or data.evaluation.epsilon?"),
        ("head", "did you mean module/head?"),
        (
            "enable_version_counter",
            "did you mean callbacks.best_checkpoint.enable_version_counter or "
            "callbacks.last_checkpoint.enable_version_counter?",
        ),
        ("data.replay.size", "take data.replay.capacity"),
        (
            "train_freq",
            "here that is data.env_steps_per_iteration and data.updates_per_iteration",
        ),
        ("buffer_size", "here that is data.replay.capacity"),
        ("total_timesteps", "here that is env_steps"),
        ("env", "here that is environment.id"),
        ("module.learning_rate", "here that is module.optimizer.lr"),
        ("device", "here that is trainer=<option>"),
        ("n_atoms", "here that is algorithm=c51 and module.head.num_atoms"),
    ],
)
def test_a_key_that_is_elsewhere_is_told_before_one_that_is_spelt_alike(
    key: str, hint: str
) -> None:
    text = told_of(f"{key}=1")
    assert text.partition(" (")[0] == f"{key}: no such key; {hint}"


def test_what_has_the_same_last_name_is_told_in_the_order_of_its_paths_up_to_three() -> None:
    keys = ["a.b.c.size", "a.b.size", "z.y.size", "z.size.x", "a.x.y.size"]
    assert hint_of("a.size", keys) == "did you mean z.size or a.b.size or z.y.size?"
    assert hint_of("q.size", ["q.p"], ["q/size"]) == "did you mean q/size?"
    assert hint_of("q.siza", ["q.size"], alike=["nothing"]) == ""


def test_a_key_that_is_taken_away_or_added_is_told_likewise() -> None:
    assert told_of("~lr") == "~lr: no such key; did you mean module.optimizer.lr?"
    with pytest.raises(ConfigError, match=r"; did you mean data\.replay\.gamma\?$"):
        check_keys(compose(["+gamma=0.9"]))
    with pytest.raises(ConfigError, match=r"; here that is data\.replay\.capacity$"):
        check_keys(compose(["+buffer_size=3"]))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "data.collection.epsilon={start: 0.5, foo: 1}",
            "data.collection.epsilon.foo: no such key; did you mean data.collection.epsilon.end? "
            "(a new key of your own takes a plus: +data.collection.epsilon.foo=...)",
        ),
        (
            "module={head: {huber_treshold: 1}}",
            "module.head.huber_treshold: no such key; did you mean module.head.huber_threshold? "
            "(a new key of your own takes a plus: +module.head.huber_treshold=...)",
        ),
        (
            "environment.kwargs={max_episode_steps: 30, map: 'a b'}",
            "environment.kwargs.max_episode_steps: not there yet, so it takes a plus: "
            "+environment.kwargs.max_episode_steps=30 +environment.kwargs.map=...",
        ),
        (
            "environment.kwargs.max_episode_steps=30",
            "environment.kwargs.max_episode_steps: not there yet, so it takes a plus: "
            "+environment.kwargs.max_episode_steps=30",
        ),
        (
            "module.network={_target_: mine.Net, width: 64}",
            "module.network.width: no such key; a mapping is laid over what is there, whose other "
            "keys would stay; write mine.Net with its own keys into "
            "./conf/module/network/mine.yaml and choose module/network=mine",
        ),
        (
            "module.lr_scheduler={_target_: mine.Rate, rate: 1}",
            "module.lr_scheduler: nothing is there yet, so it takes a plus: "
            "+module.lr_scheduler={_target_: mine.Rate, rate: 1}",
        ),
        (
            "module.target.munchausen.alpha=0.9",
            "module.target.munchausen.alpha: no such key; choose what has it: "
            "module/target/munchausen=<option>",
        ),
    ],
)
def test_a_key_within_a_mapping_is_told_by_its_own_path(argument: str, message: str) -> None:
    assert told_of(argument) == message


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
    with pytest.raises(SystemExit) as stop, exit_on_mistake():
        raise ValueError("a=1: wrong")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "lightning-dqn: a=1: wrong\n"


def test_what_is_no_mistake_goes_through() -> None:
    with pytest.raises(KeyError), exit_on_mistake():
        raise KeyError("a fault of the program")


def test_a_traceback_comes_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="wrong"), exit_on_mistake():
        raise ValueError("wrong")


def test_a_fault_of_a_run_is_told_in_one_line_with_another_status(capsys, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as caught, exit_on_mistake():
        raise WrongGiven("environment 1 gave nonsense")  # a ValueError too
    assert caught.value.code == 1
    assert capsys.readouterr().err == "lightning-dqn: environment 1 gave nonsense\n"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(WrongGiven), exit_on_mistake():
        raise WrongGiven
