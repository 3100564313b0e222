"""What the files around the code say of versions, hooks and continuous integration is so."""

from __future__ import annotations

import re
import tomllib

import yaml
from support.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version_stands_everywhere() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    [printed] = re.findall(r"version = \{([\d.]+)\}", (ROOT / "README.md").read_text())
    assert {str(cited["version"]), printed} == {PROJECT["version"]}


def test_what_is_cited_has_an_entity_as_author() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= cited.keys()
    assert cited["authors"] == [{"name": "the lightning-dqn authors"}]
    assert cited["license"] == PROJECT["license"]


def test_continuous_integration_does_what_contributors_do() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["test"]
    made = [word for step in job["steps"] for word in step.get("run", "").split()[1:]]
    own = re.findall(r"^make (\w+)$", (ROOT / ".ci" / "run").read_text(), re.M)
    assert [word for word in made if "=" not in word] == own == ["lint", "docs", "test"]
    pythons = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert set(job["strategy"]["matrix"]["python"]) == pythons


def test_hooks_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [one["repo"] for one in hooks["repos"]] == ["local"]
    for hook in hooks["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
        for word in hook["entry"].split():
            assert not word.endswith(".py") or (ROOT / word).is_file(), word


def test_who_develops_has_what_builds_the_site() -> None:
    extras = PROJECT["optional-dependencies"]
    assert extras["docs"]
    assert set(extras["docs"]) <= set(extras["dev"])


def test_the_readme_is_short_and_counts_the_presets() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 140
    presets = ROOT / "conf" / "algorithm"
    assert f"[{len([*presets.glob('*.yaml')])} presets by their papers' names]" in text
    assert f"[{len([*(presets / 'atari').glob('*.yaml')])} at Atari's sizes]" in text


def test_every_extra_is_named_in_the_readme() -> None:
    install = (ROOT / "README.md").read_text().split("## Install")[1].split("\n## ")[0]
    assert set(re.findall(r"`([\w-]+)`", install)) >= set(PROJECT["optional-dependencies"])
