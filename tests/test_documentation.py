"""What the README and the site claim is what the code does; more of it is in ``tests/docs``."""

import re
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus
from support.fake_ray import FakeRay
from support.pages import blocks, forget_modules, write_modules

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import (
    DeviceStats,
    Diagnostics,
    EMATargetNetwork,
    ExactMetrics,
    Matches,
    PromotePastSelf,
    UnseenStates,
)
from lightning_dqn.collecting.remote import config as remote_config
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.formats.saved import load_agent
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.torsos import MLP, Tabular
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.runs.build import build
from lightning_dqn.runs.check import check_values
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.elsewhere import ELSEWHERE
from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.run import run
from lightning_dqn.runs.trust import needed_trust
from lightning_dqn.safekeeping.failures import Failures

ROOT = Path(__file__).resolve().parent.parent
DIFFER = {"environment/gymnasium.kwargs"}
GROUPS = ("environment", "module", "data")
OF_LIGHTNING = {"step", "epoch"}
OF_A_GPU = re.compile(r"system/(allocated_|reserved_|num_).*")
GAME = (ROOT / "docs" / "extending" / "game.md").read_text()


def logged_keys(folder: Path, make_trainer) -> set[str]:
    paid = partial(gym.wrappers.TransformReward, func=lambda reward: reward - 0.01)
    data = ReplayDataModule(
        EnvironmentFactory("FrozenLake-v1", wrappers=[paid], vectorization="async", num_envs=2),
        batch_size=8,
        env_steps_per_epoch=256,
        collection=CollectionConfig(warmup_env_steps=64),
        evaluation=EvaluationConfig(num_envs=2, test_episodes_per_env=1),
    )
    module = DQN("FrozenLake-v1", network=Tabular())
    trainer = make_trainer(
        logger=csv_logger(folder),
        callbacks=[EMATargetNetwork(tau=0.1), UnseenStates(), DeviceStats()],
        limit_val_batches=1.0,
        log_every_n_steps=1,
    )
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    trainer.state.status = TrainerStatus.RUNNING  # as amid a fit, with a full disk
    trainer.state.fn = TrainerFn.FITTING
    with pytest.warns(UserWarning, match="the run continues"):
        Failures(trainer).count(folder / "last.ckpt", "No space left on device")
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    return set(header) - OF_LIGHTNING


def keys_of_board_games(make_trainer) -> set[str]:
    """Return what the callbacks of board games log in a validation, names of players left open."""
    environment = EnvironmentFactory(
        "lightning_dqn/TicTacToe-v0", num_envs=4, kwargs={"opponent": PastSelves()}
    )
    data = ReplayDataModule(environment, replay=ReplayConfig(capacity=100, gamma=1.0))
    module = DQN(environment, network=[{"Linear": 8}, "ReLU"])
    found = [ExactMetrics("self"), Matches(games=2), PromotePastSelf(games=2)]
    trainer = make_trainer(callbacks=found, limit_val_batches=1.0)
    [row] = trainer.validate(module, data, verbose=False)
    return {
        re.sub(r"(random|perfect|search_2)/(first|second)", "<opponent>/<seat>", k)
        for k in row.keys() - OF_LIGHTNING
    }


def keys_of_diagnostics(folder: Path, make_trainer) -> set[str]:
    """Return what diagnostics log, of few and of many layers, with atoms and priorities."""
    found: set[str] = set()
    for number, layers in enumerate([[8], [2] * 25]):
        data = ReplayDataModule(
            "CartPole-v1",
            batch_size=8,
            env_steps_per_epoch=128,
            sampler=PrioritizedSampling(),
            collection=CollectionConfig(warmup_env_steps=64),
        )
        head = CategoricalHead(v_min=0.0, v_max=100.0)
        module = DQN("CartPole-v1", network=MLP(hidden=layers), head=head, compile=False)
        trainer = make_trainer(
            logger=csv_logger(folder / str(number)),
            callbacks=[EMATargetNetwork(tau=0.1), Diagnostics(every_n_env_steps=64)],
            limit_val_batches=1.0,
            log_every_n_steps=1,
        )
        trainer.fit(module, data)
        found |= set((folder / str(number) / "metrics.csv").read_text().splitlines()[0].split(","))
    several = {
        r"_p\d+$": "_p<share>",
        r"^(network/\w+_norm)/.*": r"\1/<layer>",
        r"share/\d+$": "share/<action>",
    }
    for pattern, name in several.items():
        found = {re.sub(pattern, name, key) for key in found}
    return found - OF_LIGHTNING


def keys_of_self_prediction(make_trainer) -> set[str]:
    environment = EnvironmentFactory("support.frame_env:Frames-v0", num_envs=1)
    data = ReplayDataModule(
        environment,
        batch_size=2,
        updates_per_iteration=1,
        env_steps_per_iteration=8,
        env_steps_per_epoch=8,
        replay=ReplayConfig(100, sequence_length=2),
        collection=CollectionConfig(warmup_env_steps=8),
    )
    layers = [{"Unflatten": [1, [1, 84]]}, {"Conv2d": [1, 2, 8, 8]}, "Flatten", {"Linear": 4}]
    module = DQN(environment, network=layers, self_prediction={"weight": 5.0}, compile=False)
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)], log_every_n_steps=1)
    trainer.fit(module, data)
    return {key for key in trainer.callback_metrics if key.startswith("train/self")}


def keys_of_actors(folder: Path, make_trainer, monkeypatch) -> set[str]:
    """Return what is logged of actors elsewhere."""
    monkeypatch.setattr(remote_config, "Session", lambda address: FakeRay())
    data = ReplayDataModule(
        EnvironmentFactory("CartPole-v1", num_envs=2),
        batch_size=8,
        env_steps_per_epoch=128,
        collection=RayCollectionConfig(warmup_env_steps=64),
    )
    module = DQN("CartPole-v1", network=MLP(hidden=[8]), compile=False)
    callbacks = [EMATargetNetwork(tau=0.1)]
    logger = csv_logger(folder)
    trainer = make_trainer(logger=logger, callbacks=callbacks, log_every_n_steps=1)
    trainer.fit(module, data)
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    return set(header) - OF_LIGHTNING


def test_the_glossary_lists_exactly_the_logged_metrics(tmp_path, make_trainer, monkeypatch):
    logged = logged_keys(tmp_path, make_trainer) | keys_of_board_games(make_trainer)
    logged |= keys_of_diagnostics(tmp_path / "diagnostics", make_trainer)
    logged |= keys_of_self_prediction(make_trainer)
    logged |= keys_of_actors(tmp_path / "actors", make_trainer, monkeypatch)
    assert {key for key in GLOSSARY if not OF_A_GPU.fullmatch(key)} == logged


def test_the_pages_game_is_solved_and_learned(tmp_path, monkeypatch, make_trainer):
    """A game as the page writes one: in a file of the user's own, by its name in a setting."""
    [game] = re.findall(r"```python\n(# nim\.py.*?)```", GAME, re.S)
    (tmp_path / "nim.py").write_text(game)
    monkeypatch.syspath_prepend(tmp_path)
    experiment = prepare(
        compose(
            [
                "environment.id=lightning_dqn/BoardGame-v0",
                "+environment.kwargs.game._target_=nim.Nim",
                "data.replay.gamma=-0.9",
                "data.env_steps_per_epoch=640",
            ]
        )
    )
    metrics = ExactMetrics()
    trainer = make_trainer(
        max_epochs=1, callbacks=[EMATargetNetwork(tau=0.1), metrics], limit_val_batches=1.0
    )
    trainer.fit(experiment.module, experiment.data)
    assert "eval/mean_regret" in trainer.callback_metrics
    tree = GameTree.of(metrics.environment.game)
    best = np.nanmax(tree.self_play_values()[~tree.is_over], axis=1)
    assert set(tree.state[~tree.is_over][best < 0]) == {4, 8, 12}  # four are left to the other


def test_each_yaml_value_equals_the_python_default():
    """One truth about defaults: what YAML repeats for the command line, Python has too."""
    from inspect import signature
    from pydoc import locate

    mistakes = []

    def compare(node: dict, where: str) -> None:
        parameters = signature(locate(node["_target_"])).parameters if "_target_" in node else {}
        for name, value in node.items():
            if isinstance(value, dict):
                compare(value, f"{where}.{name}")
            elif name in parameters and not node["_target_"].startswith(("torch.", "pytorch_")):
                default = parameters[name].default
                same = list(default) == value if isinstance(default, tuple) else default == value
                same |= isinstance(value, str) and value.startswith("${")
                if not same and default is not parameters[name].empty:
                    mistakes.append(f"{where}.{name}: YAML {value!r}, Python {default!r}")

    for group in GROUPS:
        for path in (ROOT / "conf" / group).rglob("*.yaml"):
            compare(yaml.safe_load(path.read_text()) or {}, f"{group}/{path.stem}")
    assert [m for m in mistakes if m.split(":")[0] not in DIFFER] == []


def test_every_key_of_the_tables_for_newcomers_exists():
    text = (ROOT / "docs" / "coming_from.md").read_text()
    rows = re.findall(r"^\| .* \| (.*) \|$", text, re.M)
    cells = [cell for row in rows for cell in re.findall(r"`([^`]+)`", row)]
    settings = [cell for cell in cells if re.match(r"\+?[a-z_/.]+=", cell)]
    assert len(settings) > 50
    for cell in settings:
        compose(cell.split())


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_a_mistake_says_of_another_librarys_word_stands_in_the_tables(name: str) -> None:
    text = (ROOT / "docs" / "coming_from.md").read_text()
    rows = re.findall(r"^\| (.*) \| (.*) \|$", text, re.M)
    named = [
        right
        for left, right in rows
        if name in re.findall(r"\w+", left.replace("--", "").replace("-", "_"))
    ]
    cells = [cell for right in named for cell in re.findall(r"`([^`]+)`", right)]
    given = [set(re.findall(r"([^\s=]+=?\w*)", cell)) for cell in cells]
    asked = ELSEWHERE[name].split()
    assert any(all(_is_set(one, cell) for one in asked) for cell in given)


def _is_set(word: str, cell: set[str]) -> bool:
    """Return whether a cell makes a choice, or sets a key or what is below it."""
    return word in cell or any(one.startswith((f"{word}=", f"{word}.")) for one in cell)


def test_a_network_of_ones_own_is_chosen_as_its_page_says(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "networks.md").read_text()
    [option] = [block.text for block in blocks(text, "yaml") if "mine.Net" in block.text]
    [commands] = [
        block.text for block in blocks(text, "bash") if "module/network=mine" in block.text
    ]
    [arguments] = re.findall(r"lightning_dqn (module/network=mine .*)", commands)
    (tmp_path / "conf" / "module" / "network").mkdir(parents=True)
    (tmp_path / "conf" / "module" / "network" / "mine.yaml").write_text(option)
    write_modules(text, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    config = compose(arguments.split())
    config.run_dir = "runs/x"
    check_values(config, set())
    assert build(config, "module.network")[0].out_features == 128
    assert needed_trust(config) == ["mine"]
    forget_modules(tmp_path)


def test_statistics_of_observations_in_the_network_are_saved_with_it(tmp_path):
    """What stands in for VecNormalize."""
    text = (ROOT / "docs" / "coming_from.md").read_text()
    [layers] = re.findall(r"'module\.network\.layers=(.*)'", text)
    run_dir = tmp_path / "run"
    config = compose(
        [
            "environment.id=Acrobot-v1",
            "module/network=layers",
            f"module.network.layers={layers}",
            "+debug=fast",
            "trainer=cpu",
        ]
    )
    config.run_dir = str(run_dir)
    config.trainer.enable_progress_bar = False
    config.data.evaluation.max_episode_steps = 500
    run(prepare(config))
    agent = load_agent(run_dir)
    [normalisation] = [m for m in agent.q_network.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert normalisation.num_batches_tracked > 0
    observation = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    alone = np.concatenate([agent.q_values(observation[i : i + 1]) for i in range(3)])
    assert np.allclose(alone, agent.q_values(observation), atol=1e-5)
