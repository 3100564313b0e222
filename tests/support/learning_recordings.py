"""What short runs learn, number for number: to show that a change of the code changes nothing.

    python tests/support/learning_recordings.py compare <commit> [<commit>] [case ...]
    python tests/support/learning_recordings.py record [case ...]       write the recording anew

``compare`` runs every case by the command line of both commits (the second is the working tree
unless one is given), side by side on this machine, and holds losses and weights against each
other bit for bit. Across machines kernels round differently: ``test_learning_recordings.py`` holds
the working tree against the stored recording with a tolerance. A new recording needs a commit that
says why what is learned has changed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).with_suffix(".json")

COLUMNS = ("train/loss", "train/q_value", "train/td_error", "train/gradient_norm")
COLLECTED = ("rollout/epsilon", "rollout/episode_return", "eval/episode_return", "time/env_steps")

TINY = (
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "~callbacks.best_checkpoint",
    "test=false",
    "name=case",
    "module.compile=false",
    "environment.num_envs=4",
    "data.batch_size=32",
    "data.updates_per_iteration=5",
    "data.env_steps_per_iteration=30",
    "data.env_steps_per_epoch=150",
    "data.replay.capacity=400",
    "data.collection.warmup_env_steps=100",
    "data.collection.epsilon.duration=300",
    "data.evaluation.num_envs=2",
)
"""Ten iterations of five updates in two epochs, an evaluation after each; the ring runs over."""
MLP = "module.network.hidden=[16,16]"

CASES: dict[str, tuple[str, ...]] = {
    "double": (MLP, "callbacks/target_network=hard", "callbacks.target_network.every_n_updates=7"),
    "dueling_operations": (
        MLP,
        "algorithm=dueling",
        "module/lr_scheduler=linear",
        "+callbacks/reset=periodic",
        "callbacks.reset.include=head",
        "callbacks.reset.every_n_updates=20",
        "+callbacks/redo=default",
        "callbacks.redo.every_n_updates=15",
        "+callbacks/average_network=swa",
        "callbacks.average_network.every_n_updates=10",
        "callbacks.average_network.start=0",
        "+callbacks/clip_weights=spectral",
    ),
    "noisy": (MLP, "algorithm=noisy_dqn"),
    "c51": (MLP, "algorithm=c51", "data.replay.n_step=[1,4]"),
    "qr_dqn": (MLP, "algorithm=qr_dqn", "data.replay.n_step=3"),
    "iqn": (MLP, "algorithm=iqn"),
    "fqf": (MLP, "algorithm=fqf"),
    "m_iqn": (MLP, "algorithm=m_iqn"),
    "per": (MLP, "algorithm=per"),
    "rainbow_compiled": (MLP, "algorithm=rainbow", "module.compile=true"),
    "pqn": (MLP, "algorithm=pqn", "data.sampler.rollout_length=8", "data.sampler.minibatches=3"),
    "table_online": ("environment.id=FrozenLake-v1", "algorithm=q_learning"),
    "exploration": (
        MLP,
        "environment.frame_stack=3",
        "data.collection.random_action_max_steps=4",
        "data.collection.temperature=0.5",
        "data.evaluation.epsilon=0.3",
    ),
    "overlap": (MLP, "data.collection.overlap=true", "module.optimizer.lr=0.03"),
    "async": (MLP, "environment.id=Acrobot-v1", "environment.vectorization=async"),
    "self_play": (
        "+experiment=tictactoe",
        MLP,
        "environment.num_envs=64",
        "data.env_steps_per_iteration=300",
        "data.env_steps_per_epoch=1500",
        "data.replay.capacity=4000",
    ),
}
"""Case -> arguments of the command line, after ``TINY``."""

SLOW_CASES = ("rainbow_compiled", "async")
"""Left out of the stored recording: a compiler and processes take their time."""


class Recording(NamedTuple):
    """What a run did.

    Attributes:
        rows: column -> its values, row by row, None where a row has none.
        digest: of all weights at the end, in order of their names.
        weights: name of a tensor -> its L2 norm.
    """

    rows: dict[str, list[float | None]]
    digest: str
    weights: dict[str, float]


def arguments(case: str, folder: Path, tree: Path = ROOT) -> list[str]:
    """Return the command line of a case whose run lies in ``folder``."""
    own, tiny = CASES[case], TINY
    if case == "self_play":  # an experiment comes first, so what it sets is set anew
        tiny = tuple(a for a in TINY if not a.startswith("environment.num_envs"))
    if case == "table_online":
        tiny = (*TINY, "data.collection.epsilon.end=0.5")
    words = [*tiny, *own, f"hydra.run.dir='{folder}'"]
    if (tree / "conf" / "algorithm").is_dir():
        return words
    return [word.replace("algorithm=", "module=", 1) for word in words]


def read_run(folder: Path) -> Recording:
    """Read what a run left in its folder."""
    with (folder / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    rows = {
        name: [float(row[name]) if row.get(name) else None for row in table]
        for name in (*COLUMNS, *COLLECTED)
    }
    tensors = load_file(folder / "module.safetensors")
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].numpy().tobytes())
    norms = {name: float(tensors[name].double().norm()) for name in sorted(tensors)}
    return Recording(rows, sha.hexdigest(), norms)


def run_case(case: str, tree: Path, folder: Path) -> Recording:
    """Run a case by the command line of a checkout, in a process of its own.

    Raises:
        RuntimeError: with what it printed.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "lightning_dqn", *arguments(case, folder, tree)],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"{case} in {tree}:\n{finished.stdout}{finished.stderr}")
    return read_run(folder)


def differences(one: Recording, other: Recording) -> list[str]:
    """Return what isn't equal bit for bit, empty if everything is."""
    found = [f"{name} differs" for name in one.rows if one.rows[name] != other.rows[name]]
    if one.digest != other.digest:
        found.append("the weights differ")
    return found


def compare(commits: list[str], cases: Iterable[str]) -> int:
    """Compare two commits, or one with the working tree; return how many cases differ."""
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        trees = [_checkout(commit, place / f"tree_{i}") for i, commit in enumerate(commits)]
        trees = [*trees, ROOT][:2]
        for case in cases:
            try:
                one, other = (
                    run_case(case, tree, _new(place / f"run_{i}" / case))
                    for i, tree in enumerate(trees)
                )
            except RuntimeError as error:
                wrong += 1
                print(f"{case:20} fails: {error}", flush=True)
                continue
            found = differences(one, other)
            wrong += bool(found)
            losses = [value for value in one.rows["train/loss"] if value is not None]
            told = "; ".join(found) or f"equal, {len(losses)} losses, weights {one.digest[:12]}"
            print(f"{case:20} {told}", flush=True)
    return wrong


def record(cases: Iterable[str]) -> None:
    """Write the stored recording of some cases anew."""
    stored: dict[str, Any] = json.loads(STORED.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        for case in cases:
            if case not in SLOW_CASES:
                recording = run_case(case, ROOT, _new(Path(temporary, case)))
                stored[case] = {"rows": recording.rows, "weights": recording.weights}
    STORED.write_text(json.dumps(stored, indent=1) + "\n")


def _new(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _checkout(commit: str, folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", commit], check=True)
    return folder


def main() -> None:
    """Run the command line."""
    match sys.argv[1:]:
        case ["record", *cases]:
            record(cases or CASES)
        case ["compare", first, *rest]:
            commits = [first, *(word for word in rest if word not in CASES)]
            sys.exit(compare(commits, [word for word in rest if word in CASES] or list(CASES)))
        case _:
            print(__doc__)
            sys.exit(2)


if __name__ == "__main__":
    main()
