"""Presets: each goes with each experiment, is what its paper says, and says where it isn't."""

import itertools
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import prepare

CONF = Path(__file__).resolve().parents[2] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
HEAD, SAMPLER, MUNCHAUSEN = "module.head._target_", "data.sampler._target_", "module.munchausen"
NO_RANDOM_ACTIONS = {"data.collection.epsilon_greedy": False}
RAINBOW = {
    HEAD: "lightning_dqn.networks.heads.categorical.CategoricalHead",
    SAMPLER: "lightning_dqn.replay.samplers.prioritized.PrioritizedSampling",
    "data.sampler.alpha": 0.5,
    "module.double": True,
    "module.dueling": True,
    "module.noisy": True,
    **NO_RANDOM_ACTIONS,
}
PLAIN = {
    HEAD: "lightning_dqn.networks.heads.scalar.ScalarHead",
    SAMPLER: None,
    MUNCHAUSEN: {},
    "module.double": False,
    "module.dueling": False,
    "module.noisy": False,
    "module.target_network": True,
}
# preset: what makes it what it is called, whatever the experiment
PRESETS = {
    "default": {"module.target_network": True},
    "dqn": PLAIN,
    "double_dqn": {**PLAIN, "module.double": True},
    "dueling": {**PLAIN, "module.double": True, "module.dueling": True},
    "per": {
        **PLAIN,
        "module.double": True,
        SAMPLER: "lightning_dqn.replay.samplers.prioritized.PrioritizedSampling",
        "data.sampler.alpha": 0.6,
        "data.sampler.beta.start": 0.4,
        "data.sampler.beta.end": 1.0,
    },
    "noisy_dqn": {**PLAIN, "module.noisy": True, **NO_RANDOM_ACTIONS},
    "c51": {
        **PLAIN,
        HEAD: "lightning_dqn.networks.heads.categorical.CategoricalHead",
        "module.head.num_atoms": 51,
    },
    "qr_dqn": {**PLAIN, HEAD: "lightning_dqn.networks.heads.quantile.QuantileHead"},
    "iqn": {**PLAIN, HEAD: "lightning_dqn.networks.heads.quantile.ImplicitQuantileHead"},
    "fqf": {**PLAIN, HEAD: "lightning_dqn.networks.heads.quantile.ProposedQuantileHead"},
    "munchausen_dqn": {
        **{key: value for key, value in PLAIN.items() if key != MUNCHAUSEN},
        "module.munchausen.alpha": 0.9,
        "module.munchausen.temperature": 0.03,
        "module.munchausen.lower_bound": -1.0,
    },
    "m_iqn": {
        HEAD: "lightning_dqn.networks.heads.quantile.ImplicitQuantileHead",
        "module.double": False,
        "module.munchausen.alpha": 0.9,
    },
    "rainbow": RAINBOW,
    "der": {**RAINBOW, "module.noisy_sigma": 0.1, "data.batch_size": 32},
    "pqn": {
        **PLAIN,
        SAMPLER: "lightning_dqn.replay.samplers.lambda_returns.LambdaReturns",
        "module.layer_norm": True,
        "module.target_network": False,
    },
    "q_learning": {
        HEAD: "lightning_dqn.networks.heads.scalar.ScalarHead",
        MUNCHAUSEN: {},
        "module.head.error": "mse",
        "module.double": False,
        "module.target_network": False,
        "module.max_gradient_norm": None,
    },
}
N_STEP = {"rainbow": 3, "der": 20}
NEEDS = {"minatar": ("minatar",), "lunar_lander": ("Box2D",)}
CELLS = list(itertools.product(PRESETS, EXPERIMENTS))
# Building takes longer than composing: each preset once, the experiments in turn.
BUILT = set(zip(PRESETS, itertools.cycle(EXPERIMENTS), strict=False))
# A table goes with discrete states only.
BUILT = {cell for cell in BUILT if cell[0] != "q_learning"} | {("q_learning", "frozen_lake")}


def values(config, keys) -> dict:
    chosen = {key: OmegaConf.select(config, key) for key in keys}
    return {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in chosen.items()
    }


def own_values(experiment: str) -> dict:
    """Return what the experiment's own file sets."""
    return OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml")


def header(preset: str) -> str:
    text = (CONF / "module" / f"{preset}.yaml").read_text()
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(lines)


def test_the_presets_are_these():
    assert {path.stem for path in (CONF / "module").glob("*.yaml")} == set(PRESETS)


@pytest.mark.filterwarnings(r"ignore:.*pkg_resources:UserWarning")  # MinAtar's and pygame's own
# RescaleObservation says that float64 bounds become float32.
@pytest.mark.filterwarnings("ignore:.*precision lowered by casting to float32:UserWarning")
@pytest.mark.parametrize(("preset", "experiment"), CELLS)
def test_a_preset_keeps_its_values_in_every_experiment(preset, experiment):
    config = compose([f"module={preset}", f"+experiment={experiment}"])
    found = values(config, PRESETS[preset])
    own = own_values(experiment)
    sizes = values(own, ["data.batch_size"])  # what an experiment sets of these stays
    assert found == {key: sizes.get(key) or PRESETS[preset][key] for key in found}
    expected = OmegaConf.select(own, "data.replay.n_step")
    assert config.data.replay.n_step == (expected or N_STEP.get(preset, 1))
    if (preset, experiment) in BUILT:
        for package in NEEDS.get(experiment, ()):
            pytest.importorskip(package)
        built = prepare(config)
        assert type(built.module.head).__name__ in config.module.head._target_


def test_every_preset_and_every_experiment_is_built_once():
    assert {preset for preset, _ in BUILT} == set(PRESETS)
    assert {experiment for _, experiment in BUILT} == set(EXPERIMENTS)


def test_data_efficient_rainbow_makes_an_update_for_each_env_step():
    data = compose(["module=der"]).data
    assert data.updates_per_iteration == data.env_steps_per_iteration


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"default"}))
def test_a_preset_names_its_paper_and_numbers_its_differences(preset):
    text = header(preset)
    assert re.search(
        r"(et al\.|& \w+) (19|20)\d\d, (arxiv\.org/abs/\d{4}\.\d{5}|doi\.org/10\.\S+)\)", text
    )
    _, differences = text.split("# Differences from the paper", 1)
    numbers = [int(number) for number in re.findall(r"^# (\d+)\. \S", differences, re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_q_learning_is_a_table_learned_online_by_the_textbooks_alpha():
    config = compose(["module=q_learning", "environment.id=FrozenLake-v1", "alpha=0.3"])
    assert config.module.network._target_ == "lightning_dqn.networks.table.table"
    assert config.data.sampler._target_ == "lightning_dqn.replay.samplers.online.OnlineTransitions"
    assert config.module.optimizer == {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.3}
    assert config.callbacks.unseen_states
    built = prepare(config)
    assert built.data.updates_per_iteration == built.data.env_steps_per_iteration == 8
    assert built.data.collection.warmup_env_steps == 0


def test_a_table_is_refused_where_states_are_not_discrete():
    config = compose(["module=q_learning", "+experiment=cartpole", "data.replay.n_step=1"])
    with pytest.raises(ConfigError, match=r"^module.network=Table: .* float32\[4\]; choose"):
        prepare(config)
