"""Print how fast each preset learns, beside our plain DQN and a peer's same algorithm.

    python benchmarks/presets.py
    python benchmarks/presets.py --presets dqn,c51,iqn --repeats 5 --json presets.json
    python benchmarks/presets.py --learning-env-steps 1000 --repeats 1     # does it all run?

Each run is a fresh process, all take turns within a repeat. Ours are built from the presets' own
configuration files. Exits with 1 if a run failed.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace

from contestant_run import Contestant, Run
from contestant_turns import add_options, paired_ratio, positive, run_all, say, split_available
from contestants.work_unit import WORK_UNIT, WorkUnit
from text_table import format_table, ratio_text

REFERENCE = "dqn"
NUM_ENVS = 100
UPDATES_PER_ITERATION = 100
WARMUP_ENV_STEPS = 2_000
LEARNING_ENV_STEPS = 20_000

TIANSHOU = Contestant("tianshou_dqn.py", (), ("tianshou",), "tianshou")
SB3 = Contestant("sb3_dqn.py", ("--mse",), ("stable_baselines3",), "stable-baselines3")
SB3_CONTRIB = Contestant(
    "sb3_dqn.py",
    ("--algorithm", "qr_dqn"),
    ("stable_baselines3", "sb3_contrib"),
    "stable-baselines3 sb3-contrib",
)

PEERS: dict[str, dict[str, Contestant]] = {
    "dqn": {"tianshou": TIANSHOU, "sb3": SB3},
    "double_dqn": {"tianshou": TIANSHOU},
    "dueling": {"tianshou": TIANSHOU},
    "per": {"tianshou": TIANSHOU},
    "noisy_dqn": {"tianshou": TIANSHOU},
    "c51": {"tianshou": TIANSHOU},
    "qr_dqn": {"tianshou": TIANSHOU, "sb3-contrib": SB3_CONTRIB},
    "iqn": {"tianshou": TIANSHOU},
    "fqf": {"tianshou": TIANSHOU},
    "munchausen_dqn": {},
    "m_iqn": {},
    "rainbow": {"tianshou": TIANSHOU},
}
"""The presets, each with the peers that have the same algorithm."""

LEFT_OUT = {
    "pqn": "it has no replay; rollout and minibatches are its own, so its updates are other work",
    "der": "rainbow with chains of 20 once batch size and updates are the work unit's",
}


def contestants_of(
    peers: dict[str, dict[str, Contestant]], *, num_peer_envs: int, compiled: bool
) -> dict[str, Contestant]:
    """Return ours and the peers' of these presets, in the order of their turns."""
    chosen: dict[str, Contestant] = {}
    for preset in peers:
        own = ["--preset", preset, "--num-envs", str(NUM_ENVS)]
        own += ["--updates-per-iteration", str(UPDATES_PER_ITERATION)]
        own += [] if compiled else ["--no-compile"]
        chosen[f"ours {preset}"] = Contestant("ours.py", tuple(own), ("lightning_dqn",), "-e .")
        for name, peer in peers[preset].items():
            arguments = [*peer.arguments, "--num-envs", str(num_peer_envs)]
            arguments += ["--algorithm", preset] if peer is TIANSHOU else []
            chosen[f"{name} {preset}"] = replace(peer, arguments=tuple(arguments))
    return chosen


def work_unit_of(learning_env_steps: int) -> WorkUnit:
    """Return the CartPole work unit with a shorter warm-up and this much learning."""
    return replace(
        WORK_UNIT,
        env_steps=WARMUP_ENV_STEPS + learning_env_steps,
        warmup_env_steps=WARMUP_ENV_STEPS,
        epsilon_decay_env_steps=learning_env_steps // 2,
    )


def summarise(
    preset: str, peers: Iterable[str], runs: dict[str, list[Run]], work_unit: WorkUnit
) -> list[dict]:
    """Return a row for each peer of a preset, or one without a peer."""
    own = runs.get(f"ours {preset}", [])
    if not own:
        return []
    common = {"preset": preset, **medians(own), "compile_s": median(own, "compile_s")}
    common["us_per_update"] = 1e6 * common["learning_s"] / work_unit.updates
    plain = runs.get(f"ours {REFERENCE}", [])
    common["ratio_to_plain"] = paired_ratio(own, plain, lambda run: run.learning_s)
    rows = [
        {**common, "peer": peer, "peer_run": compare(runs.get(f"{peer} {preset}", []), own)}
        for peer in peers
    ]
    return rows or [{**common, "peer": None, "peer_run": None}]


def compare(runs: list[Run], own: list[Run]) -> dict | None:
    """Return a peer's medians and its ratio to ours; None if it has not run."""
    if not runs:
        return None
    return {**medians(runs), "ratio": paired_ratio(runs, own, lambda run: run.learning_s)}


def medians(runs: list[Run]) -> dict:
    """Return a contestant's seconds and returns over its repeats."""
    return {
        "repeats": len(runs),
        "learning_s": median(runs, "learning_s"),
        "last_100_return": statistics.mean(run.last_100_return for run in runs),
    }


def median(runs: list[Run], field: str) -> float:
    """Return the median of a field over the repeats."""
    return statistics.median(getattr(run, field) for run in runs)


HEADINGS = (
    "preset",
    "learning s",
    "us / update",
    f"/ {REFERENCE}",
    "compile s",
    "return",
    "peer",
    "peer's s",
    "peer / ours",
    "peer's return",
)


def table_row(row: dict) -> tuple[str, ...]:
    """Return the cells of one row, in the order of HEADINGS."""
    run = row["peer_run"]
    theirs = ("-", "-", "-")
    if run:
        seconds, last = f"{run['learning_s']:.2f}", f"{run['last_100_return']:.0f}"
        theirs = (seconds, ratio_text(run["ratio"]), last)
    return (
        row["preset"],
        f"{row['learning_s']:.2f}",
        f"{row['us_per_update']:.0f}",
        ratio_text(row["ratio_to_plain"]),
        f"{row['compile_s']:.1f}",
        f"{row['last_100_return']:.0f}",
        row["peer"] or "-",
        *theirs,
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", default=",".join(PEERS), help=f"of {', '.join(PEERS)}; all")
    add_options(parser)
    parser.add_argument(
        "--learning-env-steps",
        type=positive,
        default=LEARNING_ENV_STEPS,
        help=f"after {WARMUP_ENV_STEPS:,} of warm-up; an update for each "
        f"{WORK_UNIT.env_steps_per_update}; default {LEARNING_ENV_STEPS}",
    )
    parser.add_argument("--peer-envs", type=positive, default=NUM_ENVS, help="of each peer")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--no-compile", action="store_true", help="ours uncompiled")
    arguments = parser.parse_args()
    for name in arguments.presets.split(","):
        if name in LEFT_OUT:
            parser.error(f"{name} is left out: {LEFT_OUT[name]}")
        if name not in PEERS:
            parser.error(f"unknown preset {name}; known are {', '.join(PEERS)}")
    whole = UPDATES_PER_ITERATION * WORK_UNIT.env_steps_per_update
    if arguments.learning_env_steps % whole:
        parser.error(
            f"--learning-env-steps is {arguments.learning_env_steps}: our iterations are of {whole}"
        )
    return arguments


def main() -> None:
    """Run, print the table and, if asked, write the JSON file."""
    arguments = parse_arguments()
    presets = arguments.presets.split(",")
    work_unit = work_unit_of(arguments.learning_env_steps)
    peers = {preset: {} if arguments.no_peers else PEERS[preset] for preset in presets}
    asked = contestants_of(
        peers, num_peer_envs=arguments.peer_envs, compiled=not arguments.no_compile
    )
    available, unavailable = split_available(asked, arguments.python)
    say(f"{work_unit.updates:,} updates each, one for {work_unit.env_steps_per_update} env steps")
    runs, failures = run_all(
        available,
        num_repeats=arguments.repeats,
        python=arguments.python,
        num_threads=arguments.threads,
        work_unit=work_unit,
    )
    runs_of = {name: [run for run in runs if run.contestant == name] for name in available}
    rows = [row for one in presets for row in summarise(one, peers[one], runs_of, work_unit)]
    print(format_table([HEADINGS, *map(table_row, rows)]))
    for name, reason in (unavailable | failures).items():
        print(f"{name}: {reason}")
    if arguments.json:
        content = {"work_unit": asdict(work_unit), "threads": arguments.threads}
        content |= {"peer_envs": arguments.peer_envs, "rows": rows}
        content |= {"runs": [asdict(run) for run in runs]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    if failures or not rows:
        sys.exit(1)


if __name__ == "__main__":
    main()
