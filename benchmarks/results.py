"""Run the studies behind the results of docs/results.md and print its table.

    python benchmarks/results.py --rows cartpole,acrobot --seeds 5 --jobs 2

All that the table says is read from the finished runs. A study that was stopped goes on where the
same `--folder` is given; a run is never repeated. Exits with 1 if a run failed, missed the
required return or took more env steps than allowed.

Settings were found on seeds 0 to 4, MinAtar's on seed 0 of Breakout and SpaceInvaders: none of
these is reported.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.reporting.statistics import interquartile_mean
from lightning_dqn.reporting.tables import markdown
from lightning_dqn.study.conduct import interrupted_when_terminated
from lightning_dqn.study.results import Results
from lightning_dqn.study.study import plan, run_study
from lightning_dqn.study.tables import INTERVAL, env_steps_text, iqm_text, time_text


@dataclass(frozen=True)
class Row:
    """A row of the table: what is run, within how many env steps, and what it must reach.

    Attributes:
        overrides: of the command line.
        max_env_steps: that a run may take.
        required_return: that the interquartile mean of the seeds must reach.
        required_of_every_seed: that the worst seed must reach.
        seeds: none of those that its settings were found on.
    """

    overrides: tuple[str, ...]
    max_env_steps: int
    required_return: float | None = None
    required_of_every_seed: float | None = None
    seeds: range = range(5, 10)


def minatar(game: str, seeds: range = range(3)) -> Row:
    """Return the row of one of MinAtar's games."""
    overrides = (f"environment.id=MinAtar/{game}-v1", "trainer.max_epochs=50")
    return Row(("+experiment=minatar", *overrides), 5_000_000, seeds=seeds)


ROWS = {
    "cartpole": Row(("+experiment=cartpole",), 50_000, 500.0),
    "acrobot": Row(("+experiment=acrobot",), 100_000, -77.0),
    "mountain_car": Row(("+experiment=mountain_car",), 120_000, required_of_every_seed=-101.0),
    "lunar_lander": Row(("+experiment=lunar_lander",), 100_000, 200.0),
    "lunar_lander_300k": Row(("+experiment=lunar_lander", "trainer.max_epochs=33"), 300_000, 266.0),
    "minatar_Asterix": minatar("Asterix"),
    "minatar_Breakout": minatar("Breakout", range(1, 4)),
    "minatar_Freeway": minatar("Freeway"),
    "minatar_Seaquest": minatar("Seaquest"),
    "minatar_SpaceInvaders": minatar("SpaceInvaders", range(1, 4)),
}

HEAD = (
    "experiment",
    "env steps",
    "required",
    f"IQM [{INTERVAL}]",
    "min to max",
    "seeds",
    "time per seed",
    "commit",
    "hardware",
)


def table(studies: dict[str, Results]) -> str:
    """Return the Markdown table of the finished studies, by the name of their row."""
    return markdown([HEAD, *(cells(name, study) for name, study in studies.items())])


def cells(name: str, study: Results) -> tuple[str, ...]:
    """Return a row's cells, in the order of HEAD."""
    total = len(study.runs) + len(study.failures)
    fixed = (f"`{' '.join(study.overrides)}`", required_text(ROWS[name]))
    if not study.runs:
        return (fixed[0], "", fixed[1], "failed", "", f"0 of {total}", "", "", "")
    return (
        fixed[0],
        env_steps_text(study),
        fixed[1],
        iqm_text(study),
        f"{study.returns.min():.1f} to {study.returns.max():.1f}",
        f"{len(study.runs)} of {total}" if study.failures else f"{total}",
        time_text(study),
        different(short(run.commit) for run in study.runs),
        different(hardware(run.hardware) for run in study.runs),
    )


def required_text(row: Row) -> str:
    """Return what a row must reach."""
    if row.required_of_every_seed is not None:
        return f"≥ {row.required_of_every_seed:g}, every seed"
    return "" if row.required_return is None else f"≥ {row.required_return:g}"


def complaints(name: str, study: Results) -> list[str]:
    """Return what a study's runs did not keep to."""
    row = ROWS[name]
    found = [f"{name}, seed {one.seed}: failed, {one.reason}" for one in study.failures]
    for run in study.runs:
        if run.env_steps > row.max_env_steps:
            found.append(
                f"{name}, seed {run.seed}: {run.env_steps:,} env steps are more than "
                f"{row.max_env_steps:,}"
            )
        least = row.required_of_every_seed
        if least is not None and run.episode_return < least:
            found.append(f"{name}, seed {run.seed}: {run.episode_return:.1f} is below {least:g}")
    if row.required_return is not None and study.runs:
        reached = float(interquartile_mean(study.returns))
        if reached < row.required_return:
            found.append(f"{name}: {reached:.1f} is below {row.required_return:g}")
    return found


def different(texts: Iterable[str]) -> str:
    """Return the different ones among texts, in order."""
    return ", ".join(dict.fromkeys(texts))


def short(commit: str | None) -> str:
    """Return a commit as people read it, marked where the code was changed."""
    if commit is None:
        return "unknown"
    return commit[:7] + ("-dirty" if commit.endswith("-dirty") else "")


def hardware(names: dict[str, str]) -> str:
    """Return what a run computed on: the accelerator if it had one, or the processor."""
    return names["cpu"] if names["device"] == "cpu" else names["device"]


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}; all")
    parser.add_argument("--seeds", type=int, help="the first so many of each row's; all")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; time them with 1")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs", "results"), help="of a study for each row"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.rows.split(",")) - set(ROWS)
    if unknown:
        parser.error(f"unknown rows {sorted(unknown)}; known are {', '.join(ROWS)}")
    for name in ("seeds", "jobs"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; at least 1 is needed")
    return arguments


def main() -> None:
    """Run the chosen rows' studies, print the table and what went wrong."""
    arguments = parse_arguments()
    chosen = {name: ROWS[name] for name in arguments.rows.split(",")}
    try:
        for row in chosen.values():
            plan(row.overrides)
        with interrupted_when_terminated():
            studies = {
                name: run_study(
                    row.overrides,
                    seeds=row.seeds[: arguments.seeds],
                    jobs=arguments.jobs,
                    folder=arguments.folder / name,
                ).settings[0]
                for name, row in chosen.items()
            }
    except ValueError as error:
        print(f"results: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"\n{table(studies)}")
    missed = [text for name, study in studies.items() for text in complaints(name, study)]
    for text in missed:
        print(text, file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
