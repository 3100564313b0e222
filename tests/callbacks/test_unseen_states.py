"""UnseenStates: how often a table decides where it has never learned, and when that is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from support.q_learning import online, q_learning

from lightning_dqn import DQN, CollectionConfig, EnvironmentSpec
from lightning_dqn.callbacks import UnseenStates

SPEC = EnvironmentSpec((), "int64", 3, num_states=4)

# --- under a Trainer


def one_way() -> gym.Env:
    """Episodes of three steps begin in state 0 of the lake; no step goes astray."""
    return gym.make("FrozenLake-v1", is_slippery=False, max_episode_steps=3)


def test_unseen_states_are_logged_and_a_test_warns_of_them(make_trainer):
    module = q_learning(one_way)
    data = online(one_way, env_steps_per_epoch=4, collection=CollectionConfig(epsilon=0.0))
    trainer = make_trainer(callbacks=[UnseenStates()], limit_val_batches=1.0)
    trainer.fit(module, data)
    assert trainer.callback_metrics["eval/unseen_states"] == 0.0  # pushes against the edge
    with torch.no_grad():
        module.q_network.weight[0, 1] = 1.0  # down, where it has never been
    with pytest.warns(UserWarning, match=r"in 8 of 12 decisions \(66\.7%\) the table had never"):
        [result] = trainer.test(module, data, verbose=False)
    assert result["test/unseen_states"] == pytest.approx(2 / 3)
    assert data.observers == []


def test_a_table_that_tried_everything_knows_the_states_it_decides_in(make_trainer):
    module = q_learning(one_way)
    data = online(one_way, env_steps_per_epoch=400, collection=CollectionConfig(epsilon=1.0))
    trainer = make_trainer(callbacks=[UnseenStates()], limit_val_batches=1.0)
    trainer.fit(module, data)
    assert not module.q_network.seen.all(), "three steps don't lead everywhere"
    with torch.no_grad():
        module.q_network.weight[:, 1] = 1.0
    [result] = trainer.test(module, data, verbose=False)  # a warning would be an error
    assert result["test/unseen_states"] == 0.0


def test_a_network_of_layers_leaves_the_look_at_unseen_states_idle(make_trainer):
    module = q_learning(one_way, network=[{"Linear": 4}])
    data = online(one_way, env_steps_per_epoch=4)
    trainer = make_trainer(callbacks=[UnseenStates()], limit_val_batches=1.0)
    trainer.fit(module, data)
    assert "eval/episode_return" in trainer.callback_metrics
    assert "eval/unseen_states" not in trainer.callback_metrics
    [result] = trainer.test(module, data, verbose=False)
    assert "test/unseen_states" not in result


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_after_an_error_nobody_looks_on(stage, make_trainer):
    class Fails(pl.Callback):
        def on_validation_batch_start(self, *arguments: Any, **others: Any) -> None:
            looking.append(len(data.observers))
            raise RuntimeError("stop here")

        on_test_batch_start = on_validation_batch_start

    looking: list[int] = []
    module, data = q_learning(one_way), online(one_way, env_steps_per_epoch=4)
    trainer = make_trainer(callbacks=[UnseenStates(), Fails()], limit_val_batches=1.0)
    with pytest.raises(RuntimeError, match="stop here"):
        getattr(trainer, stage)(module, data)
    assert looking == [1], "there was somebody to leave"
    assert data.observers == []


# --- by hand


class Evaluation:
    """What the callback sees of a Trainer, and what it logs."""

    def __init__(self, module: DQN, *, sanity_checking: bool = False) -> None:
        self.module = module
        self.trainer: Any = SimpleNamespace(
            datamodule=SimpleNamespace(observers=[]), sanity_checking=sanity_checking
        )
        self.logged: dict[str, float] = {}
        module.log = self.logged.__setitem__  # type: ignore[method-assign, assignment]

    def run(self, callback: UnseenStates, states: list[int], stage: str = "validation") -> None:
        """Evaluate with a decision in each of these states."""
        getattr(callback, f"on_{stage}_start")(self.trainer, self.module)
        for look in self.trainer.datamodule.observers:
            look(np.array(states), np.ones(len(states), bool))
        getattr(callback, f"on_{stage}_epoch_end")(self.trainer, self.module)
        getattr(callback, f"on_{stage}_end")(self.trainer, self.module)


def taught(*states: int) -> DQN:
    """Return a table of 4 states that has learned from some."""
    module = q_learning(SPEC)
    module.q_network(torch.tensor(states))
    return module


def test_the_share_by_hand_counted_anew_each_time():
    evaluation, callback = Evaluation(taught(0, 2)), UnseenStates()
    evaluation.run(callback, [0, 1, 1, 2])
    assert evaluation.logged == {"eval/unseen_states": 0.5}
    evaluation.run(callback, [3, 0, 0, 0])
    assert evaluation.logged == {"eval/unseen_states": 0.25}
    evaluation.run(callback, [0, 2])
    assert evaluation.logged == {"eval/unseen_states": 0.0}
    assert evaluation.trainer.datamodule.observers == []


def test_looking_on_is_no_learning():
    evaluation = Evaluation(taught(0))
    for _ in range(2):
        evaluation.run(UnseenStates(), [0, 1])
        assert evaluation.logged == {"eval/unseen_states": 0.5}
    assert evaluation.module.q_network.seen.tolist() == [True, False, False, False]


def test_a_test_warns_where_a_validation_is_silent():
    evaluation = Evaluation(taught(0))
    evaluation.run(UnseenStates(), [0, 1])  # a warning would be an error
    with pytest.warns(UserWarning, match=r"in 1 of 2 decisions \(50\.0%\)"):
        evaluation.run(UnseenStates(), [0, 1], "test")
    assert evaluation.logged == {"eval/unseen_states": 0.5, "test/unseen_states": 0.5}
    evaluation.run(UnseenStates(), [0, 0], "test")
    assert evaluation.logged["test/unseen_states"] == 0.0


def test_a_sanity_check_logs_nothing():
    evaluation = Evaluation(taught(0), sanity_checking=True)
    evaluation.run(UnseenStates(), [1])
    assert evaluation.logged == {}
    assert evaluation.trainer.datamodule.observers == []


def test_an_error_between_evaluations_finds_nobody_looking():
    evaluation, callback = Evaluation(taught(0)), UnseenStates()
    for _ in range(2):
        callback.on_exception(evaluation.trainer, evaluation.module, KeyboardInterrupt())
        evaluation.run(callback, [0])
    callback.on_exception(evaluation.trainer, evaluation.module, KeyboardInterrupt())
    assert evaluation.trainer.datamodule.observers == []


def test_the_table_that_acts_is_the_one_that_is_asked():
    module = taught(0)
    module.agent.add_network("average_network")
    module.q_network(torch.tensor([1]))
    evaluation = Evaluation(module)
    evaluation.run(UnseenStates(), [0, 1])
    assert evaluation.logged == {"eval/unseen_states": 0.0}
    module.agent.evaluation_network = "average_network"
    evaluation.run(UnseenStates(), [0, 1])
    assert evaluation.logged == {"eval/unseen_states": 0.5}


def test_a_module_that_is_no_dqn_is_refused():
    with pytest.raises(TypeError, match="UnseenStates needs a DQN, not a LightningModule"):
        UnseenStates().on_validation_start(SimpleNamespace(), pl.LightningModule())  # type: ignore[arg-type]
