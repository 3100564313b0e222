"""Suites as tables: each game beside other players of it, and all games together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lightning_dqn.reporting.tables import interval_text, markdown
from lightning_dqn.study.aggregates import WAYS, Estimate
from lightning_dqn.study.atari_scores import HUMAN, RANDOM, ScoreTable
from lightning_dqn.study.results import Run
from lightning_dqn.study.suite_results import SuiteResults, cut_episodes, spread
from lightning_dqn.study.tables import INTERVAL

OURS = "this suite"


def suite_text(found: SuiteResults) -> str:
    """Return the tables of a suite, and what there is to know of them."""
    parts = [_games_table(found)]
    if found.aggregates:
        parts.append(aggregates_table({OURS: found}, found.played))
    parts.append("\n".join(f"- {note}" for note in _notes(found)))
    return "\n\n".join(parts)


def aggregates_table(suites: Mapping[str, SuiteResults], games: Sequence[str]) -> str:
    """Return a table of what normalised scores come to, in both ways where there are runs.

    Args:
        suites: by their labels, with the same table of scores and runs of ``games``, and no other.
        games: which published agents are held against, too.
    """
    head = ["human-normalised", "over", f"IQM [{INTERVAL}]", "median", "mean", "optimality gap"]
    rows = [head]
    for label, one in suites.items():
        counts = {"runs": len(one.runs), "games": len(games)}
        rows += [
            [
                label,
                f"{counts[way]} {_counted(way, counts[way])}",
                *map(estimate_text, found.values()),
            ]
            for way, found in one.aggregates.items()
        ]
    [first, *_] = suites.values()
    rows += [
        [
            agent,
            f"{len(games)} {_counted('games', len(games))}",
            *map(estimate_text, found.values()),
        ]
        for agent, found in first.published(games).items()
    ]
    table = first.suite.scores
    if table is not None and set(games) == set(table.games):
        rows += [
            [agent, "all runs, as published", f"{iqm:.3f}", *[""] * 3]
            for agent, iqm in table.run_iqm.items()
        ]
    return markdown(rows)


def score(value: float) -> str:
    """Return a score of a game."""
    return f"{value:,.1f}"


def estimate_text(one: Estimate, digits: int = 3) -> str:
    """Return a statistic, and its interval where it has one, as ``0.061 [0.050, 0.072]``."""
    return interval_text(one.value, one.interval, f".{digits}f")


def others(table: ScoreTable | None) -> list[str]:
    """Return who else has scores in a table."""
    return [] if table is None else [RANDOM, HUMAN, *table.agents]


def others_scores(table: ScoreTable | None, game: str) -> list[float]:
    """Return the scores in a game of those that :func:`others` names."""
    if table is None:
        return []
    agents = [scores[game] for scores in table.agents.values()]
    return [table.random[game], table.human[game], *agents]


def _games_table(found: SuiteResults) -> str:
    """Return a row for each game: runs, mean score over them, its spread, and others'."""
    table = found.suite.scores
    normalised = [] if table is None else ["human-normalised"]
    rows = [["game", "runs", "score", "±", *normalised, "cut", *others(table)]]
    for game, one in found.games.items():
        total = len(one.runs) + len(one.failures)
        runs = f"{len(one.runs)} of {total}" if one.failures else f"{total}"
        cells = ["failed", "", *[""] * len(normalised), ""]
        if one.runs:
            std, cut = spread(one), cut_episodes(one.runs)
            cells = [score(float(one.returns.mean())), "" if std is None else score(std)]
            cells += [f"{found.normalized[game].mean():.3f}"] if normalised else []
            cells += ["" if cut is None else f"{cut:,}"]
        rows.append([game, runs, *cells, *map(score, others_scores(table, game))])
    return markdown(rows)


def _notes(found: SuiteResults) -> Iterable[str]:
    """Yield what the numbers are, and what isn't in them."""
    table, games, played = found.suite.scores, found.games, found.played
    total = len(found.runs) + len(found.failures)
    yield (
        f"{len(played)} of {len(games)} games and {len(found.runs)} of {total} runs are in the "
        "tables; score is the mean over a game's runs, ± their standard deviation"
    )
    if found.runs:
        yield protocol(found.runs)
    if cut_episodes(found.runs):
        yield (
            "a game that was cut scores what it had by then, which may be better than its end; "
            "data.evaluation.max_episode_steps sets where"
        )
    for failure in found.failures:
        yield f"{failure.run_dir} failed: {failure.reason}"
    if absent := [game for game in games if game not in played]:
        yield f"without a finished run, and so in no number over games: {', '.join(absent)}"
    if table is None or not played:
        return
    yield (
        "human-normalised is (score - random) / (human - random); a number over all runs and one "
        "over per-game means are different things, so compare like with like"
    )
    yield f"published agents are held against the same {len(played)} games of {len(table.games)}"


def protocol(runs: Sequence[Run]) -> str:
    """Return how runs were evaluated and how many episodes were cut, in a line."""
    episodes, cut = sum(run.episodes for run in runs), cut_episodes(runs)
    rules = [run.evaluation or {} for run in runs]
    epsilons = _several(rule["epsilon"] for rule in rules if "epsilon" in rule)
    limits = {rule["max_episode_steps"] for rule in rules if "max_episode_steps" in rule}
    steps = " or ".join(
        "the environment's own limit" if limit is None else f"{limit:,} env steps"
        for limit in sorted(limits, key=lambda limit: (limit is None, limit or 0))
    )
    of_all = "" if cut is None else f": {cut:,} of {episodes:,} were"
    parts = [
        f"after {_several(run.env_steps for run in runs)} env steps",
        f"{_several(run.episodes for run in runs)} test episodes of each run",
        f"epsilon {epsilons}" if epsilons else "",
        f"cut after {steps}{of_all}" if steps else "",
        " or ".join(dict.fromkeys(_tested(run.tested) for run in runs if run.tested)),
    ]
    return "evaluation: " + ", ".join(part for part in parts if part)


def _tested(words: str) -> str:
    """Return what was tested, without the env step that it is of, which differs by run."""
    return words.partition(",")[0]


def _several(values: Iterable[float]) -> str:
    """Return a number, or the range that several lie in."""
    found = sorted(set(values))
    ends = [f"{value:,}" for value in (found[:1] + found[-1:] if len(found) > 1 else found)]
    return " to ".join(ends)


def _counted(way: str, number: int) -> str:
    """Return what so many of a way's numbers are called."""
    if way == "games":
        return "per-game mean" if number == 1 else WAYS["games"]
    return "run" if number == 1 else "runs"
