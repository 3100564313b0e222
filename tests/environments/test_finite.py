"""What isn't finite is refused with who gave it, what and when."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_dqn.environments.finite import NonFiniteGiven, refuse_non_finite
from lightning_dqn.system.faults import RunFault


def test_the_first_environment_its_value_and_its_place_are_named():
    values = np.zeros((3, 2, 2), np.float32)
    values[1, 1, 0] = -np.inf
    values[2] = np.nan
    with pytest.raises(NonFiniteGiven) as caught:
        refuse_non_finite("observation", values, "at step 4")
    assert str(caught.value).startswith(
        "environment 1 gave a non-finite observation (-inf at [1, 0]) at step 4; nothing"
    )
    assert isinstance(caught.value, RunFault)


def test_a_number_of_each_has_no_place():
    with pytest.raises(ValueError, match=r"environment 1 gave a non-finite reward \(nan\) then;"):
        refuse_non_finite("reward", np.array([0.0, np.nan]), "then")


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 2), np.int64), np.ones(2, bool)])
def test_what_is_finite_passes(values):
    refuse_non_finite("observation", values, "ever")
