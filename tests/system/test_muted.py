"""Warnings that are silent for a while and are told again."""

import warnings

import pytest

from lightning_dqn.system.muted import Muted


def test_it_is_silent_until_its_end_of_what_was_named_alone() -> None:
    muted = Muted("of this", "of that")
    warnings.warn("of this much", stacklevel=1)
    with pytest.warns(UserWarning, match="of another"):
        warnings.warn("of another", stacklevel=1)
    muted.end()
    with pytest.warns(UserWarning, match="of this"):
        warnings.warn("of this much", stacklevel=1)


def test_all_filters_are_what_they_were() -> None:
    before = list(warnings.filters)
    muted = Muted("of this")
    assert warnings.filters != before
    muted.end()
    muted.end()
    assert warnings.filters == before


def test_what_was_silent_before_stays_so() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="of this")
        Muted("of this").end()
        warnings.warn("of this much", stacklevel=1)
