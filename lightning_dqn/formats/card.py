"""A model card: what an agent is, how good, how it was trained, and how to load it.

It is the ``README.md`` of a folder in the shape of a hub's model repository, with metadata in YAML
at its top from which the hub lists results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from lightning_dqn.formats.saved import PUBLISHED

LIBRARY = "lightning-dqn"
_TASK = "reinforcement-learning"

_ABOUT = {
    PUBLISHED.weights: "the weights, without code",
    PUBLISHED.description: "hyper-parameters, and checksums of the other files",
    "config.yaml": "the whole configuration, without secrets",
    "results.json": "the numbers of this card",
    "model.onnx": "observation → q_values, for ONNX Runtime",
    "model.onnx.json": "types and shapes of its input and output",
    "replay.mp4": "an episode",
}

_STATISTICS = {
    "median": "median",
    "min": "least",
    "max": "most",
    "iqm": "interquartile mean",
    "interval": "95 % interval of that",
}


@dataclass(frozen=True)
class Evaluation:
    """Episodes of the agent.

    Attributes:
        told: which episodes these are, in words.
        mean_reward: mean of their returns.
        std_reward: standard deviation of their returns.
        episodes: how many.
        episodes_cut: how many of them were cut.
        epsilon: probability of a random action; None where nothing tells.
        seed: of the episodes; None where nothing tells.
        more: ``median``, ``min``, ``max``, ``iqm`` and its 95 % ``interval``, where the episodes
            are known one by one.
        notes: lines about them, as that a return of self-play is both sides' rewards.
    """

    told: str
    mean_reward: float
    std_reward: float
    episodes: int
    episodes_cut: int
    epsilon: float | None
    seed: int | None
    more: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """What an agent came from.

    Attributes:
        env_steps: of the whole run.
        updates: likewise.
        seconds: that learning took.
        weights: which these are, in words.
        seed: of the run.
        overrides: that the run was started with.
        changed_by_hand: while it learned, a line for each change.
        origin: commit, versions and hardware.
    """

    env_steps: int
    updates: int
    seconds: float
    weights: str
    seed: int | None
    overrides: tuple[str, ...]
    changed_by_hand: tuple[str, ...]
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a card tells; as JSON it is ``results.json``.

    Attributes:
        name: of the run.
        environment: its id.
        observation: type and shape of one.
        num_actions: A.
        license: of the weights, an identifier; None where none was chosen.
        trust: modules of one's own that the configuration names.
        evaluation: of the agent.
        training: of the agent.
        replay: what the video shows, in words; empty without one.
        left_out: lines about what isn't there, files and values, and why.
        absent: keys of the values that its environment can't be made without, and that were left
            out.
    """

    name: str
    environment: str
    observation: str
    num_actions: int
    license: str | None
    trust: tuple[str, ...]
    evaluation: Evaluation
    training: Training
    replay: str
    left_out: tuple[str, ...]
    absent: tuple[str, ...] = ()


def metadata(facts: Facts) -> dict[str, Any]:
    """Return what a hub reads at the top of a card."""
    evaluation = facts.evaluation
    value = f"{evaluation.mean_reward:.2f} +/- {evaluation.std_reward:.2f}"
    result = {
        "task": {"type": _TASK, "name": _TASK},
        "dataset": {"type": facts.environment, "name": facts.environment},
        "metrics": [{"type": "mean_reward", "value": value, "name": "mean_reward"}],
    }
    return {
        "library_name": LIBRARY,
        **({"license": facts.license} if facts.license else {}),
        "pipeline_tag": _TASK,
        "tags": [facts.environment, "dqn", f"deep-{_TASK}", _TASK, LIBRARY],
        "model-index": [{"name": facts.name, "results": [result]}],
    }


def card(facts: Facts, files: Mapping[str, int]) -> str:
    """Return the text of a card.

    Args:
        facts: what it tells.
        files: of the folder, with their sizes in bytes.
    """
    top = yaml.safe_dump(metadata(facts), sort_keys=False, allow_unicode=True, width=1000)
    sections = (_title, _loading, _evaluation, _training)
    lines = [line for section in sections for line in section(facts)]
    lines += [*_files(facts, files), *_license(facts)]
    return f"---\n{top}---\n\n" + "\n".join(lines) + "\n"


def _title(facts: Facts) -> Iterator[str]:
    one = facts.evaluation
    yield f"# {_cell(facts.name)}: {_cell(facts.environment)}"
    yield ""
    yield (
        f"An agent of deep Q-learning in `{facts.environment}`, trained with {LIBRARY}. Its return "
        f"is **{one.mean_reward:.2f} ± {one.std_reward:.2f}** over {one.episodes} episodes."
    )
    yield ""


def _loading(facts: Facts) -> Iterator[str]:
    trust = ",".join(facts.trust)
    given = f', trust="{trust}"' if trust else ""
    asked = f" trust={trust}" if trust else ""
    yield "## Load"
    yield ""
    yield from ("```python", "import lightning_dqn", "")
    yield f'agent = lightning_dqn.load("path/to/this/folder"{given})'
    yield "action = agent.act(observation)  # of one observation, or of a batch"
    yield from ("```", "")
    yield (
        f"An observation is {facts.observation}; there are {facts.num_actions} actions. Loading "
        "needs no network, runs nothing of this folder, and holds the weights against their "
        "checksum. On a command line:"
    )
    yield from ("", "```bash")
    for command in ("evaluate", "watch", "record"):
        output = " output=videos/" if command == "record" else ""
        yield f"{LIBRARY} {command} path/to/this/folder{output}{asked}"
    yield from ("```", "")
    if facts.absent:
        yield (
            f"They refuse it: what {' and '.join(facts.absent)} named isn't in this folder, so the "
            "environment of its evaluation can't be made from it; `lightning_dqn.load` needs none."
        )
        yield ""
    if facts.trust:
        yield (
            f"Its configuration names {trust}: that isn't in this folder, and is taken only where "
            "it is trusted by name."
        )
        yield ""


def _evaluation(facts: Facts) -> Iterator[str]:
    one = facts.evaluation
    rows = {
        "mean return ± standard deviation": f"{one.mean_reward:.2f} ± {one.std_reward:.2f}",
        **{_STATISTICS[name]: _value(value) for name, value in one.more.items()},
        "episodes": f"{one.episodes}, {one.episodes_cut} of them cut",
        "probability of a random action": one.epsilon,
        "seed": one.seed,
    }
    yield "## Evaluation"
    yield ""
    yield f"The numbers are of {one.told}."
    yield ""
    yield from _table(rows)
    for note in one.notes:
        yield f"Note: {note}."
        yield ""
    if facts.replay:
        yield f"[replay.mp4](replay.mp4) shows {facts.replay}."
        yield ""


def _training(facts: Facts) -> Iterator[str]:
    one = facts.training
    versions = one.origin.get("versions") or {}
    hardware = one.origin.get("hardware") or {}
    rows = {
        "budget": f"{one.env_steps:,} env steps, {one.updates:,} updates, {one.seconds:.1f} s",
        "weights": one.weights,
        "seed": one.seed,
        "started with": " ".join(f"`{text}`" for text in one.overrides) or None,
        "changed by hand": "; ".join(one.changed_by_hand) or None,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or None,
        "commit": one.origin.get("commit"),
        "hardware": ", ".join(dict.fromkeys(map(str, hardware.values()))) or None,
    }
    yield "## Training"
    yield ""
    yield from _table(rows)
    yield "To train it again, with all that `config.yaml` says (read it first, for it names code):"
    yield ""
    yield from (
        "```bash",
        "cp path/to/this/folder/config.yaml again.yaml",
        f"{LIBRARY} --config-dir=. --config-name=again",
        "```",
        "",
    )


def _files(facts: Facts, files: Mapping[str, int]) -> Iterator[str]:
    yield "## Files"
    yield ""
    yield from _table(
        {f"`{name}`": f"{_ABOUT[name]}, {size:,} bytes" for name, size in files.items()}
    )
    for line in facts.left_out:
        yield f"Left out: {line}."
        yield ""


def _license(facts: Facts) -> Iterator[str]:
    yield "## License"
    yield ""
    if facts.license:
        yield f"The weights: {facts.license}. What the environment asks for holds beside it."
    else:
        yield (
            "None was chosen for the weights yet: their owner names one as `license:` at the top "
            "of this file. What the environment asks for holds beside it."
        )


def _value(value: Any) -> str:
    numbers = value if isinstance(value, list | tuple) else [value]
    return " to ".join(f"{number:.2f}" for number in numbers)


def _table(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of two columns, without what is None."""
    yield "| | |"
    yield "|---|---|"
    for name, value in told.items():
        if value is not None:
            yield f"| {name} | {_cell(value)} |"
    yield ""


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
