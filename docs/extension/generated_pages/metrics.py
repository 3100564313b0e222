"""Every metric by the sections of a dashboard, made from the glossary."""

from __future__ import annotations

from generated_pages.tables import code, table
from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.reporting.sections import X_AXIS, sections


def metrics() -> str:
    """Return a table for each section; the x-axis of all comes first."""
    parts = [f"All of them are logged over `{X_AXIS}`: {GLOSSARY[X_AXIS]}."]
    for name, keys in sections(GLOSSARY).items():
        rows = [(code(key), GLOSSARY[key]) for key in keys]
        parts += [f"## {name.capitalize()}", table(("metric", "what it is"), rows)]
    return "\n\n".join(parts)
