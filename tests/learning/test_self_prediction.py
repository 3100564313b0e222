"""Self-prediction beside the value loss: by hand, with every head, who learns, and a fit."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.foretelling import LAYERS, PROJECTED, SPEC, foreteller, minibatch

from lightning_dqn import DQN, CollectionConfig, EnvironmentFactory, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, PeriodicReset, ShrinkAndPerturb
from lightning_dqn.formats.saved import load_agent, save_weights
from lightning_dqn.learning.augmentation import Augmentation
from lightning_dqn.learning.self_prediction import SelfPredictionLoss, SelfPredictor
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.latents import Latents
from lightning_dqn.networks.self_prediction import renormalised
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling

HEADS: list[Head] = [
    ScalarHead(),
    CategoricalHead(num_atoms=5, v_min=-2.0, v_max=2.0),
    QuantileHead(num_quantiles=3),
    ImplicitQuantileHead(num_quantiles=4, num_evaluation_quantiles=3, num_cosines=5),
    ProposedQuantileHead(num_quantiles=4, num_cosines=5),
]
ONE_NETWORK = Target(double=False, slow_copy=False)


def plain_twin(module: DQN, **arguments: Any) -> DQN:
    """Return the same DQN without self-prediction."""
    twin = foreteller(self_prediction=None, **arguments)
    twin.agent.load_state_dict(module.agent.state_dict())
    return twin


def part(module: DQN) -> SelfPredictor:
    assert module.predictor is not None
    return module.predictor


# --- the loss


@pytest.mark.parametrize("layers", [LAYERS, [one for one in LAYERS if one != "Renormalise"]])
@torch.no_grad()
def test_the_error_is_the_papers_by_plain_loops(layers: Any) -> None:
    module = foreteller(network=layers)
    for parameter in module.target_network.parameters():  # a target of its own
        parameter.add_(0.1 * torch.randn_like(parameter))
    batch = minibatch()
    within = torch.tensor([[True, True, True], [True, False, False], [False, False, False]] * 2)
    batch = batch._replace(sequence_within=within)
    predictor = part(module)
    _, latent = predictor.output(batch.observation)
    found = predictor.error(batch, latent)
    assert batch.sequence_observation is not None
    assert batch.sequence_action is not None
    online, slow = Latents(module.q_network, SPEC), Latents(module.target_network, SPEC)
    for b in range(6):
        latent, total = renormalised(online.encode(batch.observation[b : b + 1])), 0.0
        for k in range(3):
            latent = predictor.model.transition(latent, batch.sequence_action[b, k].view(1))
            predicted = predictor.model.prediction(online.project(latent))[0]
            came = slow.project(renormalised(slow.encode(batch.sequence_observation[b, k][None])))
            unit, goal = predicted / predicted.norm(), came[0] / came[0].norm()
            total += float((unit - goal).square().sum()) * bool(within[b, k])
        assert float(found[b]) == pytest.approx(total / 3, abs=1e-5)


def test_it_is_added_with_its_weight_and_each_transitions_own() -> None:
    batch = minibatch(weight=torch.tensor([0.1, 1.0, 0.5, 0.2, 0.9, 0.3]))
    module = foreteller(self_prediction={"weight": 2.5})
    _, latent = part(module).output(batch.observation)
    error = part(module).error(batch, latent)
    expected = plain_twin(module).loss(batch)
    found = module.loss(batch)
    assert batch.weight is not None
    torch.testing.assert_close(found.loss, expected.loss + 2.5 * (batch.weight * error).mean())
    torch.testing.assert_close(found.self_prediction, error.mean().detach())
    assert expected.self_prediction is None
    assert found.priority is not None
    assert torch.equal(found.priority, expected.priority), "priorities are those of values"


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("target", [Target(), ONE_NETWORK, Target(munchausen=Munchausen())])
def test_every_head_and_target_learns_values_as_without_it(head: Head, target: Target) -> None:
    """With nothing within, all that is left is the value loss."""
    batch = minibatch(sequence_within=torch.zeros(6, 3, dtype=torch.bool))
    module = foreteller(head=head, target=target)
    twin = plain_twin(module, head=head, target=target)
    torch.manual_seed(5)
    found, gradients = module.update.gradients(batch)
    torch.manual_seed(5)
    expected, of_twin = twin.update.gradients(batch)
    torch.testing.assert_close(found.loss, expected.loss)
    for one, other in zip(gradients, of_twin, strict=False):
        torch.testing.assert_close(one, other)
    assert not any(gradient.any() for gradient in gradients[len(of_twin) :])


@pytest.mark.parametrize("target", [Target(), ONE_NETWORK])
def test_gradients_reach_encoder_model_and_projection_and_never_the_target(target: Target) -> None:
    module = foreteller(target=target)
    batch = minibatch()
    _, latent = part(module).output(batch.observation)
    part(module).error(batch, latent).sum().backward()
    torso = module.q_network.torso
    assert module.self_prediction is not None
    for learns in (torso[0], torso[2], torso[6], module.self_prediction):
        assert all(p.grad is not None and p.grad.any() for p in learns.parameters())
    assert all(p.grad is None for p in module.q_network.head.parameters())
    for name in module.agent.copies:
        assert all(p.grad is None for p in module.agent.get_submodule(name).parameters())


def test_what_is_foretold_comes_from_the_target_network_where_there_is_one() -> None:
    module, batch = foreteller(), minibatch()
    _, latent = part(module).output(batch.observation)
    before = part(module).error(batch, latent)
    with torch.no_grad():
        module.target_network.torso[0].weight.mul_(-1.0)
    assert not torch.allclose(part(module).error(batch, latent), before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_compiled_update_is_the_uncompiled_one() -> None:
    batch = minibatch(weight=torch.rand(6))
    torch._dynamo.reset()  # what other tests compiled of other shapes
    found = []
    for compiled in (False, True):
        module = foreteller(
            head=CategoricalHead(num_atoms=5, v_min=-2.0, v_max=2.0), compile=compiled
        )
        module.update.prepare(
            expected_updates=10, device=torch.device("cpu"), is_distributional=True
        )
        assert module.update.is_compiled == compiled
        found.append(module.update.learn(batch))
        assert module.update.is_compiled == compiled
        assert not getattr(module.update._step, "has_failed", False)
    eager, by_compiler = found
    torch.testing.assert_close(by_compiler.statistics, eager.statistics, rtol=1e-4, atol=1e-5)
    for one, other in zip(by_compiler.gradients, eager.gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_each_step_to_come_is_augmented_by_itself_and_after_the_others() -> None:
    batch = minibatch(size=4, steps=3)
    assert batch.sequence_observation is not None
    batch = batch._replace(
        sequence_observation=batch.observation[:, None].expand(-1, 3, -1, -1, -1)
    )
    augmentation = Augmentation(padding=2, intensity=0.0)

    def augmented(given: Any) -> Any:
        return augmentation(given, torch.Generator().manual_seed(1))

    found = augmented(batch)
    assert found.sequence_observation.shape == (4, 3, 2, 12, 12)
    alike = [
        torch.equal(found.sequence_observation[b, 0], found.sequence_observation[b, 1])
        for b in range(4)
    ]
    assert not all(alike)
    without = augmented(batch._replace(sequence_observation=None))
    assert torch.equal(found.observation, without.observation)
    assert torch.equal(found.next_observation, without.next_observation)


# --- what is refused


def test_data_without_the_steps_to_come_are_refused_by_both_keys(make_trainer: Any) -> None:
    data = still_data(ReplayConfig(200))
    module = foreteller_of(data)
    keys = r"^data\.replay\.sequence_length=null: module/self_prediction .*=none$"
    with pytest.raises(ValueError, match=keys):
        make_trainer(callbacks=[EMATargetNetwork(tau=0.1)]).fit(module, data)


def test_a_minibatch_without_them_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^self_prediction: the minibatch carries no steps"):
        foreteller().loss(minibatch(sequence_observation=None))


def test_samplers_of_the_newest_rollout_refuse_sequences() -> None:
    with pytest.raises(ValueError, match=r"replay\.sequence_length=3"):
        ReplayDataModule(
            "CartPole-v1", sampler=LambdaReturns(), replay=ReplayConfig(500, sequence_length=3)
        )


def test_wrong_arguments_are_refused_by_name() -> None:
    for weight in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"^weight="):
            SelfPredictionLoss(weight=weight)
    with pytest.raises(ValueError, match=r"^self_prediction='spr': expected"):
        SelfPredictionLoss.of("spr")  # type: ignore[arg-type]
    assert SelfPredictionLoss.of({}) is None


# --- in a fit


class Still(gym.Env[Any, Any]):
    """Shows the same picture whatever is done, for 10 steps."""

    observation_space = gym.spaces.Box(0, 255, (12, 12), np.uint8)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self._picture(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self._picture(), 0.0, self.time == 10, False, {}

    def _picture(self) -> np.ndarray:
        return (np.arange(144).reshape(12, 12) * 7 % 256).astype(np.uint8)


def still_data(replay: ReplayConfig, **arguments: Any) -> ReplayDataModule:
    environment = EnvironmentFactory(Still, num_envs=2, frame_stack=2)
    usual = {
        "batch_size": 16,
        "updates_per_iteration": 4,
        "env_steps_per_iteration": 8,
        "env_steps_per_epoch": 80,
        "collection": CollectionConfig(40),
    }
    return ReplayDataModule(environment, replay=replay, **{**usual, **arguments})


def foreteller_of(data: ReplayDataModule, **arguments: Any) -> DQN:
    torch.manual_seed(0)
    usual = {"network": LAYERS, "self_prediction": SelfPredictionLoss(), "compile": False}
    return DQN(data.environment, **{**usual, **arguments})


def test_latents_of_a_picture_that_never_changes_become_foretold(
    make_trainer: Any, tmp_path: Path
) -> None:
    data = still_data(ReplayConfig(400, n_step=3, sequence_length=4), sampler=PrioritizedSampling())
    module = foreteller_of(data)
    rows: list[float] = []
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.05)], log_every_n_steps=1, default_root_dir=tmp_path
    )

    def note(learned: DQN) -> None:
        told = trainer.callback_metrics.get("train/self_prediction_loss")
        if told is not None:
            rows.append(float(told))

    module.after_update.append(note)
    assert module.self_prediction is not None
    before = deepcopy(module.self_prediction.state_dict())
    trainer.fit(module, data)
    assert rows[-1] < 0.3 * rows[0]
    assert rows[0] > 0.3, "it had something to learn"
    after = module.self_prediction.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_checkpoints_hold_what_foretells_and_exports_do_not(
    make_trainer: Any, tmp_path: Path
) -> None:
    data = still_data(ReplayConfig(200, sequence_length=2), env_steps_per_epoch=16)
    module = foreteller_of(data, self_prediction={"weight": 1.5})
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "module.ckpt")
    again = DQN.load_from_checkpoint(tmp_path / "module.ckpt", environment=data.environment)
    assert part(again).loss == SelfPredictionLoss(weight=1.5)
    for name, tensor in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert any(name.startswith("self_prediction.transition") for name in again.state_dict())
    save_weights(module.agent, tmp_path / "saved")
    names = load_agent(tmp_path / "saved").state_dict()
    assert names.keys() == module.agent.state_dict().keys()
    assert not any("transition" in name or "prediction" in name for name in names)
    assert len(module.agent.behaviour_policy().network.state_dict()) == len(
        module.q_network.state_dict()
    )


def test_its_parts_are_reset_and_shrunk_by_name_with_their_moments(make_trainer: Any) -> None:
    data = still_data(ReplayConfig(200, sequence_length=2), env_steps_per_epoch=16)
    module = foreteller_of(data)
    networks = ["q_network", "target_network", "self_prediction"]
    reset = PeriodicReset(include="^(head|prediction)", networks=networks, every_n_updates=8)
    shrink = ShrinkAndPerturb(
        include=r"^(torso\.[02]$|transition\.)", networks=networks, every_n_updates=8, shrink=0.0
    )
    seen: list[dict[str, torch.Tensor]] = []

    def note(learned: DQN) -> None:
        if learned.updates == 8:
            seen.append({n: t.clone() for n, t in learned.state_dict().items()})

    class Note(EMATargetNetwork):
        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            super().on_fit_start(trainer, pl_module)
            pl_module.after_update.append(note)

    callbacks = [Note(tau=0.1), reset, shrink, Note(tau=0.0, network="other")]
    make_trainer(callbacks=callbacks).fit(module, data)
    before, after = seen
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    learned = {name for name in changed if not name.startswith("agent.other")}
    assert {n for n in learned if n.startswith("self_prediction")} == {
        n for n in before if n.startswith("self_prediction")
    }
    assert not any("torso.6" in name for name in learned)
    assert any("agent.target_network.torso.0" in name for name in learned)
    optimizer = module.optimizers().optimizer  # type: ignore[union-attr]
    assert module.self_prediction is not None
    assert all(not optimizer.state[p]["exp_avg"].any() for p in module.self_prediction.parameters())


def test_a_network_that_is_not_there_is_refused_by_the_names_there_are(make_trainer: Any) -> None:
    data = still_data(ReplayConfig(200), env_steps_per_epoch=16)
    reset = PeriodicReset(networks=["self_prediction"], every_n_updates=8)
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1), reset])
    with pytest.raises(ValueError, match=r"choose among \['q_network', 'target_network'\]"):
        trainer.fit(foreteller_of(data, self_prediction=None), data)


def test_a_number_that_is_not_finite_is_named_by_its_part() -> None:
    module = foreteller()
    names = [name for name, _ in module.update.network.named_parameters()]
    assert "self_prediction.transition.first.weight" in names
    assert "q_network.torso.0.weight" in names
    assert len(names) == len(module.update.parameters)
    assert part(module).model.prediction.in_features == PROJECTED
