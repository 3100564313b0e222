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
HEAD, SAMPLER, MUNCHAUSEN = (
    "module.head._target_",
    "data.sampler._target_",
    "module.target.munchausen",
)
TABLE = "lightning_dqn.networks.torsos.Tabular"
RAINBOW = {
    HEAD: "lightning_dqn.networks.heads.categorical.CategoricalHead",
    SAMPLER: "lightning_dqn.replay.samplers.prioritized.PrioritizedSampling",
    "data.sampler.alpha": 0.5,
    "module.target.double": True,
    "module.network.dueling": True,
    "module.network.noisy": True,
}
PLAIN = {
    HEAD: "lightning_dqn.networks.heads.scalar.ScalarHead",
    SAMPLER: "lightning_dqn.replay.samplers.uniform.UniformSampling",
    MUNCHAUSEN: {},
    "module.target.double": False,
    "module.network.dueling": False,
    "module.network.noisy": False,
    "module.target.slow_copy": True,
}
# preset: what makes it what it is called, whatever the experiment
PRESETS = {
    "dqn": PLAIN,
    "double_dqn": {**PLAIN, "module.target.double": True},
    "dueling": {**PLAIN, "module.target.double": True, "module.network.dueling": True},
    "per": {
        **PLAIN,
        "module.target.double": True,
        SAMPLER: "lightning_dqn.replay.samplers.prioritized.PrioritizedSampling",
        "data.sampler.alpha": 0.6,
        "data.sampler.beta.start": 0.4,
        "data.sampler.beta.end": 1.0,
    },
    "noisy_dqn": {**PLAIN, "module.network.noisy": True},
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
        "module.target.munchausen.alpha": 0.9,
        "module.target.munchausen.temperature": 0.03,
        "module.target.munchausen.lower_bound": -1.0,
    },
    "m_iqn": {
        HEAD: "lightning_dqn.networks.heads.quantile.ImplicitQuantileHead",
        "module.target.double": False,
        "module.target.munchausen.alpha": 0.9,
    },
    "rainbow": RAINBOW,
    "der": {**RAINBOW, "module.network.noisy_sigma": 0.1, "data.batch_size": 32},
    "pqn": {
        **PLAIN,
        SAMPLER: "lightning_dqn.replay.samplers.lambda_returns.LambdaReturns",
        "module.network.layer_norm": True,
        "module.head.error": "mse",
        "module.target.slow_copy": False,
    },
    "q_learning": {
        HEAD: "lightning_dqn.networks.heads.scalar.ScalarHead",
        MUNCHAUSEN: {},
        "module.head.error": "mse",
        "module.target.double": False,
        "module.target.slow_copy": False,
        "module.max_gradient_norm": None,
    },
}
N_STEP = {"rainbow": 3, "der": 20}
NEEDS = {"atari": ("ale_py",), "minatar": ("minatar",), "lunar_lander": ("Box2D",)}
CELLS = list(itertools.product(PRESETS, EXPERIMENTS))
# Building takes longer than composing: each preset once, the experiments in turn. A table goes with
# discrete states, hence with the experiments that have one, and these with what a table can do.
OF_TABLES = ("frozen_lake", "gambler", "taxi", "tictactoe_table", "torus")
NETWORKS = [experiment for experiment in EXPERIMENTS if experiment not in OF_TABLES]
BUILT = set(zip([p for p in PRESETS if p != "q_learning"], itertools.cycle(NETWORKS), strict=False))
BUILT |= {("q_learning", "frozen_lake"), ("q_learning", "taxi"), ("q_learning", "torus")}
BUILT |= {("dqn", "gambler"), ("dqn", "tictactoe_table")}


def values(config, keys) -> dict:
    chosen = {key: OmegaConf.select(config, key) for key in keys}
    if OmegaConf.select(config, "module.network._target_") == TABLE:  # it has no such options
        options = [key for key in keys if key.startswith("module.network.")]
        chosen |= {key: False for key in options if chosen[key] is None}
    return {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in chosen.items()
    }


def own_values(experiment: str) -> dict:
    """Return what the experiment's own file sets."""
    return OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml")


def header(preset: str) -> str:
    text = (CONF / "algorithm" / f"{preset}.yaml").read_text()
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(lines)


def test_the_presets_are_these():
    assert {path.stem for path in (CONF / "algorithm").glob("*.yaml")} == set(PRESETS)


@pytest.mark.filterwarnings(r"ignore:.*pkg_resources:UserWarning")  # MinAtar's and pygame's own
# RescaleObservation says that float64 bounds become float32.
@pytest.mark.filterwarnings("ignore:.*precision lowered by casting to float32:UserWarning")
@pytest.mark.parametrize(("preset", "experiment"), CELLS)
def test_a_preset_keeps_its_values_in_every_experiment(preset, experiment):
    config = compose([f"algorithm={preset}", f"+experiment={experiment}"])
    found = values(config, PRESETS[preset])
    assert found == {key: PRESETS[preset][key] for key in found}
    expected = OmegaConf.select(own_values(experiment), "data.replay.n_step")
    assert config.data.replay.n_step == (N_STEP.get(preset) or expected or 1)
    if (preset, experiment) in BUILT:
        for package in NEEDS.get(experiment, ()):
            pytest.importorskip(package)
        built = prepare(config)
        assert type(built.module.agent.head).__name__ in config.module.head._target_


def test_every_preset_and_every_experiment_is_built_once():
    assert {preset for preset, _ in BUILT} == set(PRESETS)
    assert {experiment for _, experiment in BUILT} == set(EXPERIMENTS)


def test_data_efficient_rainbow_makes_an_update_for_each_env_step():
    data = compose(["algorithm=der"]).data
    assert data.updates_per_iteration == data.env_steps_per_iteration


@pytest.mark.parametrize("preset", sorted(PRESETS))
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
    config = compose(
        ["algorithm=q_learning", "environment.id=FrozenLake-v1", "hints.step_size=0.3"]
    )
    assert config.module.network._target_ == "lightning_dqn.networks.torsos.Tabular"
    assert config.data.sampler._target_ == "lightning_dqn.replay.samplers.online.OnlineTransitions"
    assert config.module.optimizer == {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.3}
    assert config.callbacks.unseen_states
    built = prepare(config)
    pace = built.data.pace
    assert pace.updates_per_iteration == pace.env_steps_per_iteration == 8
    assert pace.warmup_env_steps == 0


def test_a_table_is_refused_where_states_are_not_discrete():
    config = compose(["module=q_learning", "+experiment=cartpole", "data.replay.n_step=1"])
    with pytest.raises(ConfigError, match=r"^module.network=Table: .* float32\[4\]; choose"):
        prepare(config)
