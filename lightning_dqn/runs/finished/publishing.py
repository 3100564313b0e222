"""A finished run as a folder to publish: weights, configuration, results, video and card."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.agent import Agent
from lightning_dqn.formats.card import Evaluation, Facts, Training, card
from lightning_dqn.formats.export import export
from lightning_dqn.formats.saved import PUBLISHED, save_weights
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.evaluate import evaluate, notes_on_returns, summed_up, test_seed
from lightning_dqn.runs.finished.finished_run import PUBLISHED_CONFIGURATION, FinishedRun
from lightning_dqn.runs.finished.options import RecordOptions
from lightning_dqn.runs.finished.recording import record
from lightning_dqn.runs.json_file import read_json
from lightning_dqn.runs.machine_paths import has_a_path, take_paths
from lightning_dqn.runs.mistakes import one_line
from lightning_dqn.runs.named import leaves
from lightning_dqn.runs.secrets import holds_a_secret, without_secrets
from lightning_dqn.runs.trust import needed_trust
from lightning_dqn.safekeeping.checksums import add_checksums
from lightning_dqn.system.files import SUMMARY, check_unused, staged_folder, write_json, write_text
from lightning_dqn.system.overrides import is_of, path_of

_RESULTS, _CARD, _ONNX, _REPLAY = "results.json", "README.md", "model.onnx", "replay.mp4"
_A_PATH = "a path of the machine that it was trained on"
_FOLDER = "<folder of the run>"
_OF_A_RUN = re.compile(r"\$\{\s*(total_iterations|total_env_steps|now|hydra)\s*:").search
_OF_THIS_MACHINE = (
    "hydra",
    "run_dir",
    "ckpt_path",
    "weights_from",
    "logger",
    "data.replay.directory",
)
"""Keys that say nothing of what was learned, and may tell of accounts; all do without a value."""


class Published(NamedTuple):
    """A folder that was written; ``str`` of it is what the terminal shows.

    Attributes:
        folder: there it lies.
        files: their sizes in bytes.
        facts: that its card tells.
    """

    folder: Path
    files: dict[str, int]
    facts: Facts

    def __str__(self) -> str:
        one = self.facts.evaluation
        lines = [
            f"{self.folder}: return {one.mean_reward:.1f} ± {one.std_reward:.1f} over "
            f"{one.episodes} episodes, of {one.told}",
            *(f"  {name:<18} {size:>12,} bytes" for name, size in self.files.items()),
            *(f"  left out: {line}" for line in self.facts.left_out),
        ]
        return "\n".join(lines)


def publish(
    run: FinishedRun,
    folder: str | Path,
    *,
    episodes: int = 100,
    video: bool | None = None,
    onnx: bool | None = None,
    license: str | None = None,
) -> Published:
    """Write the folder, whole or not at all.

    What its card tells is played and drawn by the agent that is read back from it.

    Args:
        run: it stays as it is.
        folder: to write.
        episodes: that are played; 0: the run's own test is told.
        video: whether there must be one; None: where there can be.
        onnx: whether there must be a program; None: where there can be.
        license: of the weights.

    Raises:
        ValueError: the run isn't finished or can't be read, the folder is there already, or what
            was asked for can't be had.
    """
    folder = Path(folder)
    _check(folder, license)
    config = run.config()
    summary = _summary(run)
    told = _tested(run, summary) if episodes == 0 else None
    agent = run.agent_for(run.environment())
    agent.keep_only_what_acts()
    with staged_folder(folder) as staged:
        _write_agent(run, agent, staged)
        paths = _write_configuration(config, staged / PUBLISHED_CONFIGURATION)
        back = FinishedRun.find(staged, run.trust)
        # What lies on this machine alone is played with here, and can't be elsewhere.
        played = replace(back, folder=run.folder) if paths else back
        replay, left_out = _replayed(played, staged, video)
        left_out += _onnx(played, staged, onnx)
        left_out += [f"{key}: {_A_PATH}; config.yaml has ??? there" for key in paths]
        facts = Facts(
            name=str(summary["name"]),
            environment=played.environment().name,
            observation=f"{agent.spec.observation_dtype}{list(agent.spec.stacked_shape)}",
            num_actions=agent.spec.num_actions,
            license=license,
            trust=tuple(needed_trust(back.config())),
            evaluation=told or _played(played, episodes),
            training=_training(run, summary),
            replay=replay,
            left_out=tuple(left_out),
            absent=_absent(config, paths),
        )
        files = _finish(staged, facts)
    return Published(folder, files, facts)


def _check(folder: Path, license: str | None) -> None:
    check_unused(folder)
    if license is not None and not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", license):
        raise ConfigError(f"license={license}: expected an identifier, as mit or cc-by-4.0")


def _summary(run: FinishedRun) -> dict[str, Any]:
    """Return what a finished run came to."""
    folder = run.folder or run.weights
    path = folder / SUMMARY
    if (folder / _RESULTS).is_file() and not path.is_file():
        raise ConfigError(f"run={folder}: was published already; copy it, or name the run itself")
    if not path.is_file():
        raise ConfigError(
            f"run={folder}: {SUMMARY} is missing, so it isn't finished; resume {folder} "
            "continues it"
        )
    with read_json(path, "what a run writes at its end") as summary:
        return {**summary, "env_steps": int(summary["env_steps"]), "name": summary["name"]}


def _write_agent(run: FinishedRun, agent: Agent, folder: Path) -> None:
    learned_by, counters = run.saved.hyperparameters, run.counters()
    save_weights(agent, folder, learned_by, names=PUBLISHED, counters=counters)


def _absent(config: DictConfig, paths: list[str]) -> tuple[str, ...]:
    """Return those of the keys without which there is no environment to be evaluated in."""
    other = "data.evaluation.environment"
    needed = "environment" if OmegaConf.select(config, other) is None else other
    return tuple(key for key in paths if is_of(key, [needed]))


def _write_configuration(config: DictConfig, path: Path) -> list[str]:
    """Write a configuration with its values filled in, and return the keys of those left out.

    What depends on the run's folder or length does so when it is run again, too.
    """
    config = config.copy()
    config.run_dir, config.ckpt_path, config.logger = _FOLDER, None, {}
    if "weights_from" in config:
        config.weights_from = None
    if OmegaConf.select(config, "data.replay.directory") is not None:
        config.data.replay.directory = None
    kept = {_FOLDER: "${run_dir}"}
    for key, value in leaves(OmegaConf.to_container(config, resolve=False)):
        if isinstance(value, str) and _OF_A_RUN(value):
            kept[placeholder := f"<kept {len(kept)}>"] = value
            OmegaConf.update(config, key, placeholder)
    try:
        values = _put_back(without_secrets(config), kept)
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"run={path.parent}: its configuration: {one_line(error)}") from error
    values["run_dir"] = "${hydra:runtime.output_dir}"
    published = OmegaConf.create(values)
    paths = take_paths(published)
    write_text(path, OmegaConf.to_yaml(published))
    return paths


def _put_back(node: Any, kept: Mapping[str, str]) -> Any:
    """Return a node with what was written in the places of its placeholders."""
    if isinstance(node, dict):
        return {name: _put_back(value, kept) for name, value in node.items()}
    if isinstance(node, list):
        return [_put_back(value, kept) for value in node]
    if isinstance(node, str):
        for placeholder, text in kept.items():
            node = node.replace(placeholder, text)
    return node


def _replayed(run: FinishedRun, folder: Path, wanted: bool | None) -> tuple[str, list[str]]:
    """Record an episode; return what it is, and why there is none."""
    if wanted is False:
        return "", []
    try:
        with TemporaryDirectory(dir=folder) as place:
            # By its seed, not chosen by its return.
            how = RecordOptions(run=str(run.weights), output=str(Path(place, _REPLAY)), episodes=1)
            [video] = record(run, how).videos
            os.replace(video.path, folder / _REPLAY)
    except ValueError as error:
        return "", [_left_out(_REPLAY, "video", wanted, error)]
    episode = video.episode
    cut = ", cut there" if episode.is_cut else ""
    return (
        f"one episode, of seed {video.seed} and not chosen by its return: "
        f"{episode.episode_return:g} in {episode.episode_length:,} env steps{cut}"
    ), []


def _onnx(run: FinishedRun, folder: Path, wanted: bool | None) -> list[str]:
    """Write the agent as ONNX where it can be; return why it can't."""
    if wanted is False:
        return []
    try:
        export(run.agent(), folder / _ONNX, "onnx")
    except ValueError as error:
        return [_left_out(_ONNX, "onnx", wanted, error)]
    return []


def _left_out(name: str, option: str, wanted: bool | None, error: Exception) -> str:
    """Return why a file isn't there, or raise it where it must be."""
    if wanted:
        raise ConfigError(f"{option}=true: {one_line(error)}") from error
    return f"{name}: {one_line(error)}"


def _played(run: FinishedRun, number: int) -> Evaluation:
    """Play episodes, as many in each of several environments, so that short ones don't prevail."""
    num_envs = next(n for n in range(min(10, number), 0, -1) if number % n == 0)
    seed = test_seed(run)
    episodes, rules, notes = evaluate(
        run, num_envs=num_envs, episodes_per_env=number // num_envs, seed=seed
    )
    found = summed_up(episodes)
    return Evaluation(
        told="an evaluation made when this folder was written, by the weights in it",
        mean_reward=found["mean"],
        std_reward=found["std"],
        episodes=number,
        episodes_cut=sum(episode.is_cut for episode in episodes),
        epsilon=rules.epsilon,
        seed=seed,
        more={name: found[name] for name in ("median", "min", "max", "iqm", "interval")},
        notes=tuple(notes),
    )


def _tested(run: FinishedRun, summary: Mapping[str, Any]) -> Evaluation:
    """Return the run's own test."""
    if run.weights != run.folder:
        raise ConfigError(f"episodes=0: the run's test isn't of {run.weights}; play some episodes")
    if summary.get("episode_return") is None:
        raise ConfigError("episodes=0: the run wasn't tested, so episodes have to be played")
    return Evaluation(
        told="the test that the run ended with",
        mean_reward=summary["episode_return"],
        std_reward=summary["episode_return_std"],
        episodes=summary["episodes"],
        episodes_cut=summary.get("episodes_cut", 0),
        epsilon=(summary.get("evaluation") or {}).get("epsilon"),
        seed=test_seed(run),
        notes=tuple(notes_on_returns(run.environment().spec)),
    )


def _training(run: FinishedRun, summary: Mapping[str, Any]) -> Training:
    counters = run.saved.counters
    weights = f"of env step {counters['env_steps']:,}" if counters else summary.get("tested", "")
    overrides = (str(one) for one in summary.get("overrides") or ())
    return Training(
        env_steps=summary["env_steps"],
        updates=summary["updates"],
        seconds=summary["seconds"],
        weights=weights,
        seed=summary.get("seed"),
        overrides=tuple(one for one in overrides if not _is_private(one)),
        changed_by_hand=tuple(summary.get("changed_by_hand") or ()),
        origin={name: summary.get(name) for name in ("commit", "versions", "hardware")},
    )


def _is_private(override: str) -> bool:
    key, value = path_of(override), override.partition("=")[2]
    is_of_here = is_of(key, _OF_THIS_MACHINE)
    return is_of_here or has_a_path(key, value) or holds_a_secret(override)


def _finish(folder: Path, facts: Facts) -> dict[str, int]:
    """Write results and card, note checksums of all but the card, and return the files' sizes."""
    write_json(folder / _RESULTS, asdict(facts))
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    others = [folder / name for name in sizes if name not in PUBLISHED]
    add_checksums(folder / PUBLISHED.description, others)
    sizes[PUBLISHED.description] = (folder / PUBLISHED.description).stat().st_size
    text = card(facts, sizes)
    write_text(folder / _CARD, text)
    return {_CARD: len(text.encode()), **sizes}
