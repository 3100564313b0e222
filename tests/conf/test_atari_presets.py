"""Presets at their papers' sizes: what they are, how large, and that they learn from frames."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.learning.self_prediction import SelfPredictionLoss
from lightning_dqn.learning.weight_decay import adamw
from lightning_dqn.networks import operations
from lightning_dqn.networks.layers import NoisyLinear
from lightning_dqn.networks.residual import SpectralConv2d
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import Experiment, prepare
from lightning_dqn.runs.keys import choices

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "algorithm" / "atari"
FRAMES = ("environment.id='support.frame_env:Frames-v0'", "environment.frame_stack=4")
A = 18

# Weights and biases of one layer, by the sizes of the papers.


def conv(inputs: int, outputs: int, kernel: int) -> int:
    return (inputs * kernel**2 + 1) * outputs


def linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def stage(inputs: int, channels: int) -> int:
    return conv(inputs, channels, 3) + 4 * conv(channels, channels, 3)


NATURE = conv(4, 32, 8) + conv(32, 64, 4) + conv(64, 64, 3)
NATURE_HALF = conv(4, 16, 8) + conv(16, 32, 4) + conv(32, 32, 3)
SMALL = conv(4, 32, 5) + conv(32, 64, 5)
IMPALA_2 = stage(4, 32) + stage(32, 64) + stage(64, 64)
IMPALA_4 = stage(4, 64) + stage(64, 128) + stage(128, 128)


def streams(features: int, hidden: int, outputs: int) -> int:
    value = linear(features, hidden) + linear(hidden, outputs)
    return value + linear(features, hidden) + linear(hidden, A * outputs)


PLAIN = NATURE + linear(3136, 512)
EMBEDDED = NATURE + linear(64, 3136) + linear(3136, 512) + linear(512, A)
NORMALISED = 2 * (32 * 20 * 20 + 64 * 9 * 9 + 64 * 7 * 7 + 512)
NORMALISED_SMALL = 2 * (32 * 16 * 16 + 64 * 3 * 3 + 256)
PARAMETERS = {
    "dqn": PLAIN + linear(512, A),
    "dqn_adam_mse": PLAIN + linear(512, A),
    "double_dqn": PLAIN + linear(512, A),
    "c51": PLAIN + linear(512, A * 51),
    "qr_dqn": PLAIN + linear(512, A * 200),
    "iqn": EMBEDDED,
    "m_iqn": EMBEDDED,
    # noise doubles linear layers: a mean and a sigma of each weight
    "rainbow": NATURE + 2 * streams(3136, 512, 51),
    "pqn": PLAIN + linear(512, A) + NORMALISED,
    "pqn_small": SMALL + linear(576, 256) + linear(256, A) + NORMALISED_SMALL,
    "der": SMALL + 2 * streams(576, 256, 51),
    "ema_rainbow": NATURE_HALF + streams(32 * 7 * 7, 256, 51),
    "drq_eps": PLAIN + linear(512, 1) + linear(512, A),
    "btr": IMPALA_2 + linear(64, 64 * 36) + 2 * streams(64 * 36, 512, 1),
    "spr": NATURE + 2 * streams(3136, 256, 51),
    "sr_spr": PLAIN + linear(512, 51) + linear(512, A * 51),
    "bbf_small": SMALL + streams(576, 256, 51),
    "bbf": IMPALA_4 + linear(128 * 121, 2048) + linear(2048, 51) + linear(2048, A * 51),
}
FORETELLING = {
    # transition model of two convolutions with a plane for each action, and the prediction layer
    "spr": conv(64 + A, 64, 3) + conv(64, 64, 3) + linear(2 * 256, 2 * 256),
    "sr_spr": conv(64 + A, 64, 3) + conv(64, 64, 3) + linear(512, 512),
    "bbf": conv(128 + A, 128, 3) + conv(128, 128, 3) + linear(2048, 2048),
}
DQN_RHYTHM = {
    "batch_size": 32,
    "updates_per_iteration": 1,
    "env_steps_per_iteration": 4,
    "replay.capacity": 1_000_000,
    "replay.gamma": 0.99,
}
RHYTHM_100K = DQN_RHYTHM | {"updates_per_iteration": 4, "replay.capacity": 100_000}
RHYTHM_SPR = RHYTHM_100K | {
    "env_steps_per_iteration": 1,
    "replay.n_step": 10,
    "replay.sequence_length": 5,
    "collection.warmup_env_steps": 2_000,
    "sampler.alpha": 0.5,
}
VALUES: dict[str, dict[str, Any]] = {
    "dqn": {**DQN_RHYTHM, "replay.n_step": 1, "collection.warmup_env_steps": 50_000},
    "dqn_adam_mse": {**DQN_RHYTHM, "collection.epsilon.duration": 250_000},
    "double_dqn": {**DQN_RHYTHM, "collection.epsilon.end": 0.1},
    "c51": {**DQN_RHYTHM, "collection.epsilon.end": 0.01},
    "qr_dqn": {**DQN_RHYTHM, "collection.epsilon.end": 0.01},
    "iqn": {**DQN_RHYTHM, "collection.epsilon.end": 0.01},
    "m_iqn": {**DQN_RHYTHM, "replay.n_step": 1, "collection.warmup_env_steps": 20_000},
    "rainbow": {**DQN_RHYTHM, "replay.n_step": 3, "sampler.alpha": 0.5, "sampler.beta.start": 0.4},
    "pqn": {"sampler.rollout_length": 32, "sampler.trace": 0.65, "sampler.minibatches": 32},
    "pqn_small": {"sampler.rollout_length": 32, "sampler.trace": 0.65, "sampler.minibatches": 8},
    "der": {**RHYTHM_100K, "replay.n_step": 20, "collection.warmup_env_steps": 1_600},
    "ema_rainbow": {
        **RHYTHM_100K,
        "replay.n_step": 10,
        "sampler.alpha": 0.5,
        "collection.warmup_env_steps": 1_600,
        "collection.epsilon.end": 0.01,
    },
    "drq_eps": {**RHYTHM_100K, "replay.n_step": 10, "collection.epsilon.end": 0.01},
    "btr": {"batch_size": 256, "replay.gamma": 0.997, "replay.n_step": 3, "sampler.beta": 0.2},
    "spr": {**RHYTHM_SPR, "updates_per_iteration": 2, "sampler.beta.end": 1.0},
    "sr_spr": {**RHYTHM_SPR, "updates_per_iteration": 8, "sampler.beta": 0.5},
    "bbf": {
        "batch_size": 32,
        "updates_per_iteration": 8,
        "env_steps_per_iteration": 4,
        "replay.sequence_length": 5,
        "sampler.beta": 0.5,
    },
    "bbf_small": {
        "batch_size": 32,
        "updates_per_iteration": 8,
        "env_steps_per_iteration": 4,
        "sampler.alpha": 0.5,
        "sampler.beta": 0.5,
    },
}
UPDATES_OF_8_ENV_STEPS = {
    "dqn": 2,
    "rainbow": 2,
    "drq_eps": 8,
    "ema_rainbow": 8,
    "spr": 16,
    "sr_spr": 64,
    "bbf_small": 16,
}
RESETTING = dict.fromkeys(("sr_spr", "bbf"), ("reset", "shrink_and_perturb"))
TARGET_EVERY = {
    **dict.fromkeys(("dqn", "double_dqn", "c51", "qr_dqn", "iqn"), 10_000),
    **dict.fromkeys(("dqn_adam_mse", "m_iqn", "rainbow", "der"), 2_000),
    "btr": 500,
}


def composed(preset: str, *more: str) -> DictConfig:
    return compose([f"algorithm=atari/{preset}", *FRAMES, *(more or ["env_steps=1e7"])])


def built(preset: str, *more: str) -> Experiment:
    """Return a preset's parts over a small ring, for the papers' take gigabytes."""
    config = composed(preset, *more)
    config.data.replay.capacity = 5_000
    config.logger = {}
    return prepare(config)


def callbacks_of(parts: Experiment) -> dict[str, Any]:
    """Return a run's callbacks by the names of their kinds."""
    return {type(one).__name__: one for one in parts.trainer.callbacks}  # type: ignore[attr-defined]


def header(preset: str) -> str:
    lines = (FOLDER / f"{preset}.yaml").read_text().splitlines()
    return "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))


def test_every_preset_is_held_against_its_paper_and_offered_as_a_choice() -> None:
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert files == set(PARAMETERS) == set(VALUES)
    assert {f"atari/{name}" for name in files} <= set(choices()["algorithm"])
    assert "algorithm/atari" not in choices()


@pytest.mark.parametrize("preset", sorted(PARAMETERS))
def test_a_preset_has_its_papers_values_and_a_network_of_its_size(preset: str) -> None:
    config = composed(preset)
    found = {key: OmegaConf.select(config.data, key) for key in VALUES[preset]}
    assert found == VALUES[preset]
    if preset in TARGET_EVERY:
        assert config.callbacks.target_network.tau == 1
        assert config.callbacks.target_network.every_n_updates == TARGET_EVERY[preset]
    network = built(preset).module.q_network
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[preset]


@pytest.mark.parametrize("preset", sorted(PARAMETERS))
def test_a_preset_names_its_paper_and_numbers_its_differences(preset: str) -> None:
    text = header(preset)
    assert re.search(
        r"(et al\.|& \w+) 20\d\d, (arxiv\.org/abs/\d{4}\.\d{5}|doi\.org/10\.\S+)\)", text
    )
    numbers = [int(number) for number in re.findall(r"^# (\d+)\. \S", text, re.M)]
    assert numbers
    assert numbers == list(range(1, len(numbers) + 1))


QUIET = (
    "trainer.max_epochs=1", "trainer.accelerator=cpu", "data.evaluation.num_envs=1",
    "++trainer.limit_val_batches=0", "~callbacks.best_checkpoint", "~callbacks.last_checkpoint",
    "~callbacks.safe_stop", "~callbacks.progress", "~callbacks.diagnostics", "~callbacks.doctor",
    "trainer.enable_progress_bar=false",
)  # fmt: skip


def assert_all_of_it_learns(parts: Experiment, updates: int) -> None:
    """Fit, and look at every parameter that learns."""
    learns = parts.module.update.network
    before = [p.detach().clone() for p in learns.parameters()]
    parts.trainer.fit(parts.module, parts.data)
    assert parts.module.updates == updates
    after = list(learns.parameters())
    assert all(p.isfinite().all() for p in after)
    assert all(not torch.equal(p, q) for p, q in zip(before, after, strict=True))


@pytest.mark.parametrize("preset", sorted(UPDATES_OF_8_ENV_STEPS))
def test_a_preset_learns_from_frames(preset: str, tmp_path: Path) -> None:
    short = (
        "data.batch_size=4",
        "data.env_steps_per_epoch=8",
        "data.collection.warmup_env_steps=8",
        f"run_dir='{tmp_path}'",
    )
    assert_all_of_it_learns(built(preset, *QUIET, *short), UPDATES_OF_8_ENV_STEPS[preset])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "smaller"),
    [
        ("spr", ()),
        ("sr_spr", ("data.updates_per_iteration=2",)),
        ("bbf", ("module.network.width=1", "module.network.hidden=64")),
    ],
)
def test_a_preset_that_foretells_learns_from_pong(
    preset: str, smaller: tuple[str, ...], tmp_path: Path
) -> None:
    short = (
        "data.batch_size=4",
        "env_steps=null",  # one epoch, not the experiment's length
        "data.env_steps_per_epoch=150",
        "data.collection.warmup_env_steps=100",
        "data.replay.capacity=1_000",
        "trainer.log_every_n_steps=1",
        "module.compile=false",
        f"run_dir='{tmp_path}'",
    )
    resets = tuple(f"callbacks.{name}.every_n_env_steps=50" for name in RESETTING.get(preset, ()))
    pong = ("+experiment=atari_100k", "environment.game=Pong", f"algorithm=atari/{preset}")
    config = compose([*pong, *QUIET, *short, *smaller, *resets])
    config.logger = {}
    parts = prepare(config)
    pace = parts.data.pace
    updates = -(-150 // pace.env_steps_per_iteration) * pace.updates_per_iteration
    assert_all_of_it_learns(parts, updates)
    told = parts.trainer.callback_metrics["train/self_prediction_loss"]
    assert 0 < float(told) < 2


def test_btr_has_spectral_norms_in_its_blocks_and_noise_in_its_streams() -> None:
    layers = list(built("btr").module.q_network.modules())
    assert sum(isinstance(layer, SpectralConv2d) for layer in layers) == 12
    assert sum(isinstance(layer, NoisyLinear) for layer in layers) == 4
    assert composed("btr").data.collection.random_actions is True


def test_the_slow_copy_of_ema_rainbow_values_and_acts() -> None:
    parts = built("ema_rainbow")
    callbacks = callbacks_of(parts)
    target = callbacks["EMATargetNetwork"]
    assert (target.period.length, target.period.counts_env_steps) == (1, False)
    assert (target.evaluate, target.collect) == (True, True)
    assert not any(isinstance(m, NoisyLinear) for m in parts.module.q_network.modules())
    assert parts.module.augmentation.to_plain() == {"padding": 4, "intensity": 0.05}


@pytest.mark.parametrize("preset", ["bbf", "bbf_small"])
def test_bbf_anneals_after_each_reset_and_spares_biases(preset: str) -> None:
    parts = built(preset)
    reading = parts.data.replay_config
    assert (reading.n_step_at(0), reading.gamma_at(0)) == ((10, 10), pytest.approx(0.97))
    for begin in (2_000, 20_000, 80_000):
        assert (reading.n_step_at(begin), reading.n_step_at(begin + 5_000)) == ((10, 10), (3, 3))
        assert reading.gamma_at(begin) == pytest.approx(0.97)
        assert reading.gamma_at(begin + 5_000) == pytest.approx(0.997)
    assert reading.n_step_at(100_000) == (3, 3)
    optimizer = parts.module.make_optimizers(None)
    decay = {group["weight_decay"]: group["params"] for group in optimizer.param_groups}
    assert {p.ndim for p in decay[0.1]} == {2, 4}
    assert {p.ndim for p in decay[0.0]} == {1}


@pytest.mark.parametrize("preset", sorted(FORETELLING))
def test_what_foretells_has_its_papers_size_and_weight(preset: str) -> None:
    module = built(preset).module
    assert module.predictor is not None
    assert module.predictor.loss == SelfPredictionLoss(weight=5.0)
    assert module.self_prediction is not None
    found = sum(p.numel() for p in module.self_prediction.parameters())
    assert found == FORETELLING[preset]
    assert [type(layer).__name__ for layer in module.q_network.torso].count("Renormalise") == 1


SMALLER = ("env_steps=1e5", "module.network.width=1", "module.network.hidden=64")


@pytest.mark.parametrize(
    ("preset", "env_steps", "changes"),
    [
        ("sr_spr", 5_000, ()),
        ("sr_spr", 5_000, ("env_steps=1e5", "module.network.renormalised=false")),
        ("bbf", 20_000, ()),
        ("bbf", 20_000, (*SMALLER, "module.network.renormalised=false")),
        ("bbf", 20_000, (*SMALLER, "module.network.pool=6")),
        ("bbf", 20_000, (*SMALLER, "module.network.spectral_norm=true")),
        ("bbf_small", 20_000, ()),
        ("bbf_small", 20_000, ("env_steps=1e5", "module.network.hidden=64")),
    ],
)
def test_resets_take_linear_layers_and_what_is_shrunk_all_convolutions(
    preset: str, env_steps: int, changes: tuple[str, ...]
) -> None:
    parts = built(preset, *changes)
    callbacks = callbacks_of(parts)
    chosen: dict[str, set[str]] = {}
    for kind in ("PeriodicReset", "ShrinkAndPerturb"):
        callback = callbacks[kind]
        foretelling = ("self_prediction",) if preset in FORETELLING else ()
        assert callback.networks == ("q_network", "target_network", *foretelling)
        assert callback.period.counts_env_steps
        assert callback.period.length == env_steps
        chosen[kind] = {
            f"{name}.{layer}"
            for name, network in parts.module.learning_networks.items()
            for layer in operations.layers_with_weights(network, part=callback.part)
        }
    layers = {
        f"{name}.{layer}": kind
        for name, network in parts.module.learning_networks.items()
        for layer, kind in operations.layers_with_weights(network).items()
    }
    assert chosen["PeriodicReset"] == {
        name for name, kind in layers.items() if isinstance(kind, torch.nn.Linear)
    }
    assert chosen["ShrinkAndPerturb"] == layers.keys() - chosen["PeriodicReset"]
    assert callbacks["EMATargetNetwork"].collect


def dopamine(period: int, step: int, warmup: int, end: float) -> float:
    """Return dopamine's ``linearly_decaying_epsilon``, which holds 1 through the warm-up."""
    left = period + warmup - step
    return end + min(max((1 - end) * left / period, 0), 1 - end)


@pytest.mark.parametrize(
    ("preset", "period", "warmup", "end"),
    [
        ("bbf", 2_001, 2_000, 0.0),
        ("bbf_small", 2_001, 2_000, 0.0),
        ("sr_spr", 2_001, 2_000, 0.0),
        ("drq_eps", 5_000, 1_600, 0.01),
        ("m_iqn", 250_000, 20_000, 0.01),
        ("dqn_adam_mse", 250_000, 20_000, 0.01),
    ],
)
def test_epsilon_falls_after_the_warm_up_where_the_authors_agent_is_dopamines(
    preset: str, period: int, warmup: int, end: float
) -> None:
    collection = instantiate(composed(preset).data.collection)
    assert collection.warmup_env_steps == warmup
    for step in (0, warmup, warmup + 1, warmup + period // 3, warmup + period, 10**7):
        assert collection.epsilon(step) == pytest.approx(dopamine(period, step, warmup, end))
    longer = composed(preset, "data.collection.warmup_env_steps=30_000")
    assert longer.data.collection.epsilon.after == 30_000


@pytest.mark.parametrize(("preset", "smaller"), [("sr_spr", ()), ("bbf", SMALLER)])
def test_normalised_layers_are_reset_and_shrunk_with_what_they_follow(
    preset: str, smaller: tuple[str, ...]
) -> None:
    parts = built(preset, *(smaller or ["env_steps=1e5"]), "module.network.layer_norm=true")
    callbacks = callbacks_of(parts)
    network = parts.module.q_network
    reset, shrunk = (
        operations.layers_with_weights(network, part=callbacks[kind].part)
        for kind in ("PeriodicReset", "ShrinkAndPerturb")
    )
    assert [*shrunk, *reset] == [*operations.layers_with_weights(network)]
    norms = [[x for x in c.values() if isinstance(x, torch.nn.LayerNorm)] for c in (shrunk, reset)]
    assert list(map(len, norms)) == [3, 1]


def test_adamw_spares_what_normalises_images() -> None:
    module = built("pqn_small", "env_steps=1e5", "module/optimizer=adamw").module
    optimizer = module.make_optimizers(None)
    spared = {p for g in optimizer.param_groups if not g["weight_decay"] for p in g["params"]}
    found = {
        f"{name}.{kind}"
        for name, layer in module.q_network.named_modules()
        for kind, parameter in layer.named_parameters(recurse=False)
        if parameter in spared and kind == "weight"
    }
    norms = [n for n, x in module.q_network.named_modules() if isinstance(x, torch.nn.LayerNorm)]
    assert len(norms) == 3
    assert found == {f"{name}.weight" for name in norms}


def test_adamw_without_biases_moves_them_as_adam_does() -> None:
    layer = torch.nn.Linear(2, 2)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = adamw(layer.parameters(), lr=0.5, weight_decay=0.1)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight, weight * (1 - 0.5 * 0.1))
    assert torch.equal(layer.bias, bias)
