"""What a search may choose from, as a command line has it."""

import pytest

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.search_space import Choice, Number, SearchSpace


def dimension(text: str) -> Choice | Number:
    return SearchSpace.of({"key": text}).dimensions["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("choice(32,64,128)", Choice(("32", "64", "128"))),
        ("32,64", Choice(("32", "64"))),
        ("choice([64],[64,64])", Choice(("[64]", "[64,64]"))),
        ("interval(0.5,2)", Number(0.5, 2.0)),
        ("tag(log,interval(1e-5,1e-2))", Number(1e-5, 1e-2, log=True)),
        ("int(interval(1,5))", Number(1, 5)),
        ("range(1,5)", Number(1, 4, 1)),
        ("range(0.5,2,0.5)", Number(0.5, 1.5, 0.5)),
        ("range(0,1,0.3)", Number(0.0, 0.9, 0.3)),
        ("range(1e-4,1e-3,1e-4)", Number(1e-4, 9e-4, 1e-4)),
        ("tag(log,range(1,100))", Number(1, 99, log=True)),
    ],
)
def test_sweeps_of_hydras_are_what_is_chosen_from(text: str, expected: Choice | Number) -> None:
    assert dimension(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5", "key=5: nothing to search; expected choice"),
        ("glob(*)", "nothing to search"),
        ("choice(", r"key=choice\(: can't be read"),
        ("interval(3,1)", "its low end is above its high end"),
        ("tag(log,interval(0,1))", "a logarithm takes numbers above 0"),
        ("tag(log,range(1,9,2))", "a logarithm takes no step"),
        ("tag(lin,interval(1,2))", "the tag lin means nothing here; there is log"),
        ("range(5,1)", "has no values"),
    ],
)
def test_a_space_of_a_wrong_form_is_refused_in_one_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        dimension(text)
    assert "\n" not in str(error.value)


def test_values_are_whole_in_overrides_and_short_in_names() -> None:
    space = SearchSpace.of({"lr": "interval(0.0,1.0)", "n": "range(1,9)", "size": "choice(8,16)"})
    values = {"lr": 0.0012345678901234567, "n": 3, "size": "16"}
    assert space.overrides(values) == ["lr=0.0012345678901234567", "n=3", "size=16"]
    assert space.short(values) == {"lr": "0.001235", "n": "3", "size": "16"}


def test_a_value_that_is_none_of_the_space_is_refused() -> None:
    space = SearchSpace.of({"size": "choice(8,16)"})
    with pytest.raises(ConfigError, match="'32': none of 8, 16"):
        space.overrides({"size": "32"})


def test_samples_have_each_choice_both_ends_and_one_between() -> None:
    space = SearchSpace.of({"n": "range(1,10,3)", "size": "choice(8,16,32,64)"})
    assert space.samples() == [
        ("n=1", "size=8"),
        ("n=4", "size=16"),
        ("n=7", "size=32"),
        ("n=1", "size=64"),
    ]


def test_between_whole_ends_lies_what_is_not_whole() -> None:
    """So that an interval is refused of a key that takes whole numbers."""
    low, between, high = SearchSpace.of({"n": "interval(32,64)"}).dimensions["n"].samples()
    assert (low, high) == ("32.0", "64.0")
    assert 32 < float(between) < 64
    assert not float(between).is_integer()
    assert SearchSpace.of({"n": "range(0.0,2.0,0.5)"}).dimensions["n"].samples()[1] == "0.5"


def test_no_sample_comes_twice() -> None:
    assert SearchSpace.of({"n": "interval(3,3)"}).samples() == [("n=3.0",)]


def test_optuna_draws_from_what_was_written() -> None:
    pytest.importorskip("optuna")
    texts = {"lr": "tag(log,interval(1e-5,1e-2))", "n": "range(1,10,3)", "tau": "range(0,1,0.3)"}
    lr, n, tau = SearchSpace.of(texts).distributions().values()
    assert (lr.low, lr.high, lr.log) == (1e-5, 1e-2, True)
    assert (n.low, n.high, n.step) == (1, 7, 3)
    assert (tau.low, tau.high, tau.step) == (0.0, 0.9, 0.3)
