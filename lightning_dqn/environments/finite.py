"""Numbers of an environment that aren't finite: refused, with who gave them and when."""

from __future__ import annotations

import numpy as np

from lightning_dqn.system.faults import RunFault


class NonFiniteGiven(RunFault, ValueError):
    """An environment gave a number that isn't finite."""


def refuse_non_finite(key: str, values: np.ndarray, when: str) -> None:
    """Refuse what environments gave where it isn't finite.

    Args:
        key: what it is, as ``observation``.
        values: [E, ...].
        when: as ``at step 3 of this evaluation``.

    Raises:
        NonFiniteGiven: naming the first environment, what it gave, and when.
    """
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    place = tuple(np.argwhere(~np.isfinite(values))[0])
    within = "" if len(place) == 1 else f" at {list(map(int, place[1:]))}"
    raise NonFiniteGiven(
        f"environment {place[0]} gave a non-finite {key} ({values[place]}{within}) {when}; nothing "
        "was learned from it. Mend the environment, or wrap it to replace such values"
    )
