"""A run under the eyes of all rules: rows in, findings out, each told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightning_dqn.diagnostics.doctor.history import History
from lightning_dqn.diagnostics.doctor.network_rules import NETWORK_RULES
from lightning_dqn.diagnostics.doctor.replay_rules import REPLAY_RULES
from lightning_dqn.diagnostics.doctor.return_rules import RETURN_RULES
from lightning_dqn.diagnostics.doctor.rule import Facts, Finding, Rule
from lightning_dqn.diagnostics.doctor.value_rules import VALUE_RULES
from lightning_dqn.reporting.glossary import is_return

RULES: tuple[Rule, ...] = (*VALUE_RULES, *NETWORK_RULES, *REPLAY_RULES, *RETURN_RULES)


class Examination:
    """Holds rows of a run, as they come, against rules.

    Args:
        facts: what the run was told to do.
        rules: those that are asked.

    Attributes:
        findings: by the name of their rule, in the order in which they began.
    """

    def __init__(self, facts: Facts, rules: tuple[Rule, ...] = RULES) -> None:
        self.facts = facts
        self.findings: dict[str, Finding] = {}
        self._rules = rules
        self._history = History(frozenset(key for rule in rules for key in rule.reads))

    def take(self, env_steps: int, row: Mapping[str, float]) -> list[Finding]:
        """Take a row, and return what begins with it.

        Args:
            env_steps: so far.
            row: by keys of the glossary.
        """
        row = {key: value for key, value in row.items() if not self._says_nothing(key)}
        self._history.note(env_steps, row)
        began = []
        for rule in self._rules:
            if row.keys().isdisjoint(rule.reads):
                continue
            what = rule.judge(self._history, self.facts)
            if what is None:
                continue
            known = self.findings.get(rule.name)
            if known is None:
                known = Finding(rule.name, env_steps, env_steps, what, rule.remedy)
                began.append(known)
            self.findings[rule.name] = known._replace(last_env_steps=env_steps)
        return began

    def _says_nothing(self, key: str) -> bool:
        """Tell whether it is a return of self-play, which tells nothing of either side."""
        of_training = key.startswith("rollout/")
        facts = self.facts
        both = facts.trains_both_sides if of_training else facts.evaluates_both_sides
        return bool(both) and is_return(key)

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run goes on with, as plain values."""
        findings = {name: list(one) for name, one in self.findings.items()}
        return {"history": self._history.state_dict(), "findings": findings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._history.load_state_dict(state["history"])
        self.findings = {name: Finding(*one) for name, one in state["findings"].items()}


def examine(rows: Iterable[tuple[int, Mapping[str, float]]], facts: Facts) -> list[Finding]:
    """Return what the rows of a run show, in the order in which it began.

    Args:
        rows: env steps and values of each, in their order.
        facts: what the run was told to do.
    """
    examination = Examination(facts)
    for env_steps, row in rows:
        examination.take(env_steps, row)
    return list(examination.findings.values())
