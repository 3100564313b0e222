"""Findings are told once, kept with when they were seen, and go on with a run."""

from __future__ import annotations

import math

import torch

from lightning_dqn.diagnostics.doctor.examination import RULES, Examination
from lightning_dqn.diagnostics.doctor.history import KEPT, History, Point
from lightning_dqn.diagnostics.doctor.rule import Facts

SILENT = {"network/dormant_units": 0.9}
TALKING = {"network/dormant_units": 0.1}


def test_a_finding_is_told_when_it_begins_and_not_again() -> None:
    examination = Examination(Facts())
    told = [examination.take(step, SILENT) for step in (10, 20, 30, 40)]
    assert [[one.rule for one in began] for began in told] == [[], ["units-silent"], [], []]
    [finding] = examination.findings.values()
    assert (finding.env_steps, finding.last_env_steps) == (20, 40)


def test_what_has_gone_keeps_when_it_was_seen_last() -> None:
    examination = Examination(Facts())
    for step, row in ((10, SILENT), (20, SILENT), (30, TALKING), (40, TALKING)):
        examination.take(step, row)
    [finding] = examination.findings.values()
    assert finding.last_env_steps == 20


def test_a_finding_is_one_line_with_what_since_when_and_what_to_do() -> None:
    examination = Examination(Facts())
    examination.take(10, SILENT)
    [finding] = examination.take(2_000, SILENT)
    assert str(finding).startswith("units-silent since env step 2,000: 90% of the torso's units")
    assert "\n" not in str(finding)
    assert finding.remedy in str(finding)


def test_returns_of_self_play_are_no_finding() -> None:
    """Where a game is won or lost both sides' rewards add up to 1, whatever is learned."""
    decided = {"rollout/episode_return": 1.0, "rollout/epsilon": 0.05}
    for own, found in ((True, []), (False, ["explored-in-vain"]), (None, ["explored-in-vain"])):
        examination = Examination(Facts(num_envs=1, trains_both_sides=own))
        for step in range(10, 400, 10):
            examination.take(step, {**decided, "rollout/episode_length": 5.0})
        assert list(examination.findings) == found
    # Ever more draws, whose sum is 0, are no fall.
    for own, found in ((True, []), (False, ["loss-misleads"])):
        examination = Examination(Facts(evaluates_both_sides=own))
        for number, value in enumerate([0.2, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]):
            evaluated = {"eval/episode_return": value, "eval/episode_return_std": 0.0}
            examination.take(number, {**evaluated, "eval/episodes": 99, "train/loss": 0.3**number})
        assert list(examination.findings) == found


def test_a_continued_run_looks_back_on_what_was_before() -> None:
    whole, part = Examination(Facts()), Examination(Facts())
    for one in (whole, part):
        one.take(10, SILENT)
    continued = Examination(Facts())
    continued.load_state_dict(part.state_dict())
    assert whole.take(20, SILENT) == continued.take(20, SILENT) != []
    again = Examination(Facts())
    again.load_state_dict(continued.state_dict())
    assert again.findings == continued.findings
    assert again.take(30, SILENT) == [], "told already"


def test_the_state_is_of_plain_values(tmp_path) -> None:
    examination = Examination(Facts())
    for step in (10, 20):
        examination.take(step, SILENT)
    torch.save(examination.state_dict(), tmp_path / "state")
    assert torch.load(tmp_path / "state", weights_only=True) == examination.state_dict()


def test_a_history_keeps_the_newest_and_the_extremes_of_all() -> None:
    history = History(frozenset({"a"}))
    for step in range(KEPT + 10):
        history.note(step, {"a": float(-step), "b": 1.0})
    series = history["a"]
    assert len(series.points) == KEPT
    assert series.points[-1] == Point(KEPT + 9, -float(KEPT + 9))
    assert (series.highest, series.lowest, series.count) == (0.0, -float(KEPT + 9), KEPT + 10)


def test_what_is_no_number_is_no_value() -> None:
    history = History(frozenset({"a"}))
    history.note(1, {"a": math.nan})
    history.note(2, {"a": math.inf})
    assert history["a"].count == 0
    assert history["a"].largest() == 0.0


def test_no_two_rules_have_a_name() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
