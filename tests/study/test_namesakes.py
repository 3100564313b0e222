"""Labels of what is compared, told apart."""

from pathlib import Path

from lightning_dqn.study.namesakes import distinct_labels


def test_namesakes_have_as_much_of_their_folder_as_sets_them_apart():
    folders = [Path(name) for name in ("sA/cp", "sB/cp", "sC/other", "sA/cp")]
    assert distinct_labels(["a", "a", "a", "b"], folders) == [
        "a (sA/cp)",
        "a (sB/cp)",
        "a (other)",
        "b",
    ]


def test_a_folder_above_another_is_told_apart():
    assert distinct_labels(["a", "a"], [Path("/x/cp"), Path("/cp")]) == ["a (x/cp)", "a (/cp)"]


def test_namesakes_of_one_folder_are_numbered():
    told = distinct_labels(["a", "a", "a"], [Path("x"), Path("x"), Path("y/../x")])
    assert told == ["a (x)", "a (x) #2", "a (x) #3"]
