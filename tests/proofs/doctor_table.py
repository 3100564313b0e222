"""The doctor's table: each rule, the run that provokes it, false alarms over healthy runs.

    PYTHONPATH=tests python tests/proofs/doctor_table.py                 each shipped experiment is
                                                                         run, shortened as in SHORT
    PYTHONPATH=tests python tests/proofs/doctor_table.py runs/ studies/  finished runs below these
                                                                         folders are read instead

Prints Markdown; the exit status is 1 where a rule is silent or a healthy run has a finding. A run
that never logged what a rule reads, as one made before the rule was, proves nothing of that rule
and isn't counted there.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from support.provocations import PROVOCATIONS

from lightning_dqn.diagnostics.doctor.examination import RULES
from lightning_dqn.reporting.metrics_file import METRICS
from lightning_dqn.runs.finished.examined import findings_of, rows_of

SHORT: dict[str, tuple[str, ...]] = {
    "acrobot": (),
    "cartpole": (),
    "connect_four": ("trainer.max_epochs=3", "~callbacks.matches"),
    "frozen_lake": (),
    "gambler": (),
    "lunar_lander": (),
    "minatar": ("trainer.max_epochs=3",),
    "mountain_car": (),
    "taxi": (),
    "tictactoe": (),
    "tictactoe_table": (),
    "tictactoe_vs_random": ("trainer.max_epochs=20",),
    "torus": (),
}
"""Shipped experiment -> keys that shorten it. Those of Atari take hours on a CPU and are read as
finished runs."""


def main(folders: Sequence[str]) -> int:
    """Print the table and return the exit status."""
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as made:
        runs = list(_below(folders)) if folders else list(_shipped(Path(made)))
        alarms = {run: [one.rule for one in findings_of(run)] for run in runs}
        judged = Counter(name for run in runs for name in rules_asked(run))
    counts = Counter(rule for found in alarms.values() for rule in found)
    silent = 0
    print("| rule | provoked by | found at env step | false alarms | source |")
    print("|---|---|---|---|---|")
    for rule in RULES:
        told, provoke = PROVOCATIONS[rule.name]
        began = [one.env_steps for one in provoke() if one.rule == rule.name]
        silent += not began
        step = f"{began[0]:,}" if began else "silent"
        told_of = f"{counts[rule.name]} in {judged[rule.name]} runs"
        print(f"| {rule.name} | {told} | {step} | {told_of} | {rule.source} |", flush=True)
    for run, found in alarms.items():
        if found:
            print(f"\n{run}: {', '.join(found)}")
    return 1 if silent or counts else 0


def rules_asked(run: Path) -> list[str]:
    """Return the rules that had in a run all that they read."""
    logged = {key for _, values in rows_of(run) for key in values}
    return [rule.name for rule in RULES if logged.issuperset(rule.reads)]


def _below(folders: Sequence[str]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path.parent for path in Path(folder).rglob(METRICS))


def _shipped(folder: Path) -> Iterator[Path]:
    """Run the shipped experiments one after the other."""
    for name, keys in SHORT.items():
        run = folder / name
        arguments = [f"+experiment={name}", *keys, "test=false", f"hydra.run.dir={run}"]
        command = [sys.executable, "-m", "lightning_dqn", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
