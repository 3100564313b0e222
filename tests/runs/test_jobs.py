"""What the jobs of a sweep are called."""

import pytest

from lightning_dqn.runs.jobs import SweepJob, label_of, names_of


def test_a_name_has_what_differs_and_the_seed_last():
    jobs = [
        [f"seed={seed}", "+experiment=cartpole", f"module.optimizer.lr={lr}"]
        for lr in ("0.1", "0.2")
        for seed in (0, 1)
    ]
    assert names_of(jobs) == ["lr=0.1,seed=0", "lr=0.1,seed=1", "lr=0.2,seed=0", "lr=0.2,seed=1"]


def test_keys_with_the_same_last_word_are_told_apart():
    jobs = [["a.lr=1", "b.c.lr=1"], ["a.lr=2", "b.c.lr=3"]]
    assert names_of(jobs) == ["a.lr=1,c.lr=1", "a.lr=2,c.lr=3"]


def test_a_group_and_a_key_of_the_same_words_keep_all_of_them():
    names = names_of(
        [["module/target=a", "module.target=b"], ["module/target=c", "module.target=d"]]
    )
    assert names == ["module_target=a,module.target=b", "module_target=c,module.target=d"]


def test_a_key_that_some_jobs_lack_is_in_the_names_of_the_others():
    assert names_of([["x=1"], ["x=1", "y=2"]]) == ["job", "y=2"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("[64,64]", "x=64-64"),
        ("MinAtar/Breakout-v1", "x=MinAtar_Breakout-v1"),
        ("'a b'", "x=a_b"),
        ("../../etc", "x=.._.._etc"),
        ("1e-05", "x=1e-05"),
        ("{a:1,b:2}", "x=_a_1-b_2_"),
    ],
)
def test_a_name_can_be_a_folders(value, name):
    assert names_of([[f"x={value}"], ["x=other"]])[0] == name


def test_namesakes_are_numbered_and_long_names_cut_but_not_confused():
    assert names_of([["x=1"], ["x=1"]]) == ["job", "job_2"]
    long = names_of([[f"x={'a' * 300}1"], [f"x={'a' * 300}2"]])
    assert len(set(long)) == 2
    assert max(map(len, long)) < 140


def test_a_setting_is_a_job_without_its_seed():
    job = SweepJob("n", ("+experiment=cartpole", "seed=3", "lr=1"))
    assert job.setting == ("+experiment=cartpole", "lr=1")
    assert job.seed == 3
    assert SweepJob("n", ("lr=1",)).seed is None


def test_a_label_says_what_sets_a_setting_apart():
    settings = [("+experiment=a", "m.lr=1"), ("+experiment=a", "m.lr=2")]
    assert [label_of(one, settings) for one in settings] == ["lr=1", "lr=2"]
    assert label_of(settings[0], settings[:1]) == ""
