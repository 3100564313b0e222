"""Jobs by a launcher of Hydra's: what it is given, and what is read of what became of them."""

import json
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.by_hydra import ByHydra
from lightning_dqn.study.sweep import Sweep


class Fake:
    """Stands in for a launcher: finishes, fails or loses the jobs as it is told."""

    def __init__(self, folder: Path, *fates: str) -> None:
        self.folder, self.fates, self.given = folder, list(fates), []

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        self.given.append((jobs, initial_job_idx))
        return [self.end(job) for job in jobs]

    def end(self, overrides: list[str]) -> JobReturn:
        [name] = [one for one in overrides if one.startswith("hydra.sweep.subdir=")]
        folder = self.folder / name.partition("=")[2].strip("'")
        folder.mkdir(parents=True, exist_ok=True)
        returned, fate = JobReturn(), self.fates.pop(0)
        returned.status = JobStatus.COMPLETED
        if fate == "finish":
            (folder / "summary.json").touch()
        elif fate == "say":
            (folder / "failure.json").write_text(json.dumps({"error": "it diverged"}))
        elif fate == "raise":
            returned.status, returned.return_value = JobStatus.FAILED, KeyError("no\nsuch")
        elif fate == "break":
            raise RuntimeError("a worker was terminated")
        return returned


def run(folder: Path, *fates: str, batch_size: int | None = None):
    jobs = tuple(SweepJob(f"x={n}", (f"x={n}",)) for n in range(len(fates)))
    sweep, fake, ended = Sweep("a", folder, (), jobs), Fake(folder, *fates), []
    ByHydra(fake, batch_size).run(sweep, iter(jobs), lambda job, reason: ended.append(reason))
    return fake, ended


def test_jobs_get_their_overrides_and_their_folder(tmp_path):
    fake, ended = run(tmp_path, "finish", "finish")
    jobs = [["x=0", "hydra.sweep.subdir='x=0'"], ["x=1", "hydra.sweep.subdir='x=1'"]]
    assert fake.given == [(jobs, 0)]
    assert ended == [None, None]


def test_jobs_are_handed_over_in_batches(tmp_path):
    fake, _ = run(tmp_path, *["finish"] * 3, batch_size=2)
    assert [(len(jobs), first) for jobs, first in fake.given] == [(2, 0), (1, 2)]


@pytest.mark.filterwarnings("ignore:Error executing job")
def test_what_became_of_a_job_is_read_in_its_folder_or_taken_from_the_launcher(tmp_path):
    _, ended = run(tmp_path, "finish", "say", "raise", "vanish")
    assert ended[0] is None
    assert ended[1] == "it diverged"
    assert "no" in ended[2]
    assert "\n" not in ended[2]
    assert ended[3] == "it ended without a word; was its process killed?"


def test_when_the_launcher_breaks_the_jobs_that_finished_are_kept(tmp_path):
    _, ended = run(tmp_path, "finish", "break", "finish")
    assert ended[0] is None
    assert ended[1:] == ["Fake: a worker was terminated"] * 2


def test_a_job_with_a_checkpoint_goes_on_from_it(tmp_path):
    checkpoint = tmp_path / "x=0" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    fake, _ = run(tmp_path, "finish")
    [([given], _)] = fake.given
    assert given[-1] == f"ckpt_path='{checkpoint}'"
