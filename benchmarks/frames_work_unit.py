"""Run DQN on frames of Pong on every installed contestant, and print times and ratios.

    pip install stable-baselines3 tianshou opencv-python-headless ale-py
    python benchmarks/frames_work_unit.py
    python benchmarks/frames_work_unit.py --contestants ours,bare --repeats 5 --env-steps 4000

Mnih et al.'s network on stacks of four 84x84 frames, 8 games at once, 1,600 env steps of random
actions, then an update of 32 transitions every 4 env steps; Adam, the squared error (SB3: smooth
L1), a hard target copy. Each run is a fresh process of one thread; contestants take turns within
each repeat. Ours compiles, which is not in the learning part: an Atari run takes hours.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from contestant_run import Contestant, Run
from contestant_turns import add_options, paired_ratio, run_all, split_available
from contestants.work_unit import WorkUnit
from text_table import format_table, ratio_text

REFERENCE = "ours"
FRAMES = WorkUnit(
    env_id="Pong",
    env_steps=3_200,
    warmup_env_steps=1_600,
    env_steps_per_update=4,
    batch_size=32,
    learning_rate=1e-4,
    gamma=0.99,
    replay_capacity=10_000,
    target_every_env_steps=800,
    epsilon_decay_env_steps=3_200,
)
ALE = ("ale_py", "gymnasium")
OURS = Contestant("frames_ours.py", (), ("lightning_dqn", *ALE), "'.[atari]'")
CONTESTANTS = {
    "ours": OURS,
    "ours_uncompiled": replace(OURS, arguments=("--no-compile",)),
    "ours_bfloat16": replace(OURS, arguments=("--precision", "bf16-mixed")),
    "bare": Contestant("frames_bare.py", (), ("torch", *ALE), "torch ale-py gymnasium"),
    "sb3": Contestant(
        "frames_sb3.py", (), ("stable_baselines3", "cv2", *ALE), "stable-baselines3[extra]"
    ),
    "tianshou": Contestant(
        "frames_tianshou.py", (), ("tianshou", "cv2", *ALE), "tianshou opencv-python-headless"
    ),
}


def table_row(
    name: str, runs: Sequence[Run], references: Sequence[Run], unit: WorkUnit
) -> tuple[str, ...]:
    """Return one contestant's medians over its repeats and its ratio to the reference."""
    learning = statistics.median(run.learning_s for run in runs)
    return (
        name,
        f"{learning:.2f}",
        f"{unit.learning_env_steps / learning:,.0f}",
        f"{unit.updates / learning:,.1f}",
        f"{statistics.median(run.compile_s for run in runs):.1f}",
        f"{statistics.median(run.peak_rss_mb for run in runs):,.0f}",
        ratio_text(paired_ratio(runs, references, lambda run: run.learning_s)),
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--env-steps", type=int, default=FRAMES.env_steps)
    add_options(parser)
    arguments = parser.parse_args()
    unknown = set(arguments.contestants.split(",")) - set(CONTESTANTS)
    if unknown:
        parser.error(f"unknown contestants {sorted(unknown)}; known are {', '.join(CONTESTANTS)}")
    return arguments


def main() -> None:
    """Run, print the table and, if asked, write the JSON file."""
    arguments = parse_arguments()
    unit = replace(FRAMES, env_steps=arguments.env_steps)
    asked = {name: CONTESTANTS[name] for name in arguments.contestants.split(",")}
    available, unavailable = split_available(asked, arguments.python)
    runs, failures = run_all(
        available,
        num_repeats=arguments.repeats,
        python=arguments.python,
        num_threads=arguments.threads,
        work_unit=unit,
    )
    runs_of = {name: [run for run in runs if run.contestant == name] for name in available}
    references = runs_of.get(REFERENCE, [])
    head = ("contestant", "learning s", "env steps/s", "updates/s", "compile s", "RSS MB")
    rows = [table_row(name, own, references, unit) for name, own in runs_of.items() if own]
    print(format_table([(*head, f"learning / {REFERENCE}"), *rows]))
    for name, reason in (unavailable | failures).items():
        print(f"{name}: {reason}")
    if arguments.json:
        content = {"work_unit": asdict(unit), "runs": [asdict(run) for run in runs]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    if failures or not rows:
        sys.exit(1)


if __name__ == "__main__":
    main()
