"""``python -m lightning_dqn evaluate <run>``: play episodes with a trained policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_dqn.commands.command import run_command
from lightning_dqn.commands.episodes import plain_episode
from lightning_dqn.runs.finished.options import epsilon_option, limit_option, run_option
from lightning_dqn.runs.finished.playing import Epsilon, Limit, Of
from lightning_dqn.runs.options import option, trust_option

if TYPE_CHECKING:
    from lightning_dqn.collecting.evaluation import EvaluationRules
    from lightning_dqn.transitions import Episode

_LISTED = 20  # episodes that are listed one by one


@dataclass(frozen=True)
class EvaluateOptions:
    """Play test episodes with the policy of a finished run.

    python -m lightning_dqn evaluate <run> [key=value ...] [--json]
    python -m lightning_dqn evaluate wandb:entity/project/name:version      a model in W&B
    """

    run: str = run_option()
    num_envs: int | Of = option(
        "environments stepped at once; run: as in the run's own test", "run", least=1
    )
    episodes_per_env: int | Of = option(
        "episodes of each environment; run: as in the run's own test", "run", least=1
    )
    epsilon: Epsilon = epsilon_option()
    seed: int | None = option(
        "seed of the episodes; null: play those of the run's own test", None, least=0
    )
    max_episode_steps: Limit = limit_option()
    trust: str | None = trust_option()
    logger: str | None = option(
        "wandb: also log the results to W&B, as a run of their own; null: don't",
        None,
        choices=["wandb"],
    )
    json: bool = option("flag: print all as JSON", False)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, EvaluateOptions, _run)


def _run(options: EvaluateOptions) -> None:
    from lightning_dqn.runs.finished.evaluate import evaluate, summed_up  # the help has no torch
    from lightning_dqn.runs.finished.finished_run import FinishedRun
    from lightning_dqn.runs.trust import Trust

    run = FinishedRun.find(options.run, Trust.of(options.trust))
    episodes, rules, notes = evaluate(
        run,
        num_envs=options.num_envs,
        episodes_per_env=options.episodes_per_env,
        epsilon=options.epsilon,
        seed=options.seed,
        max_episode_steps=options.max_episode_steps,
    )
    outcome = {
        **summed_up(episodes),
        **rules._asdict(),
        "episodes": [plain_episode(one) for one in episodes],
    }
    if options.logger == "wandb":
        from lightning_dqn.runs.finished.evaluation_log import log_evaluation

        log_evaluation(run, options.run, {**outcome, "notes": notes})
    if options.json:
        print(json.dumps({"run": options.run, **outcome, "notes": notes}, indent=2))
        return
    low, high = outcome["interval"]
    print(
        f"return {outcome['mean']:.1f} ± {outcome['std']:.1f} over {len(episodes)} episodes "
        f"(min {outcome['min']:.1f}, median {outcome['median']:.1f}, max {outcome['max']:.1f})\n"
        f"IQM {outcome['iqm']:.1f}, 95 % interval {low:.1f} to {high:.1f}\n"
        f"{_how(rules)}"
    )
    print("\n".join([*notes, "", *_table(episodes)]))


def _how(rules: EvaluationRules) -> str:
    limit = rules.max_episode_steps
    cut = "by the environment alone" if limit is None else f"after {limit:,} env steps"
    return f"epsilon {rules.epsilon:g}, episodes cut {cut}"


def _table(episodes: Sequence[Episode]) -> Iterator[str]:
    """Yield a line for each episode; of many the worst, the middle and the best."""
    numbered = list(enumerate(episodes))
    if len(episodes) > _LISTED:
        ranked = sorted(numbered, key=lambda one: one[1].episode_return)
        middle = len(ranked) // 2
        numbered = [*ranked[:3], *ranked[middle - 1 : middle + 2], *ranked[-3:]]
        yield "the worst, the middle and the best (--json has all)"
    yield f"{'episode':>9}{'return':>12}{'env steps':>12}"
    for number, episode in numbered:
        cut = "  cut" if episode.is_cut else ""
        yield f"{number:>9}{episode.episode_return:>12.1f}{episode.episode_length:>12,}{cut}"
