"""ONNX Runtime Web: where its files are found, and how they are installed once."""

import json
import os
from pathlib import Path

import pytest
from support.playing import write_runtime

from lightning_dqn.games.play.runtime import FILES, PACKAGE, PAGE, browser_runtime


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lightning_dqn"


@pytest.mark.parametrize("place", ["", "dist", f"{PACKAGE}/dist"])
def test_a_folder_may_be_that_of_the_files_or_of_the_package(place, tmp_path):
    write_runtime(tmp_path / place)
    assert browser_runtime(tmp_path) == tmp_path / place


@pytest.mark.parametrize("missing", FILES)
def test_a_folder_without_all_of_the_files_is_refused(missing, tmp_path):
    (write_runtime(tmp_path) / missing).unlink()
    with pytest.raises(ValueError, match=rf"^runtime={tmp_path}: .*{missing}.* aren't there$"):
        browser_runtime(tmp_path)


INSTALLS = """\
#!/bin/sh
test "$*" = "ci --ignore-scripts --no-audit --no-fund" || exit 3
test -f package-lock.json || exit 4
mkdir -p node_modules/onnxruntime-web/dist
touch {files}
echo installed >> "$XDG_CACHE_HOME/calls"
"""


def test_npm_installs_it_once_into_the_users_cache(cache, monkeypatch, tmp_path):
    npm = tmp_path / "npm"
    places = " ".join(f"node_modules/{PACKAGE}/dist/{name}" for name in FILES)
    npm.write_text(INSTALLS.format(files=places))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    version = json.loads((PAGE / "package.json").read_text())["dependencies"][PACKAGE]
    for _ in range(2):
        found = browser_runtime()
        assert found == cache / f"{PACKAGE}-{version}"
        assert sorted(path.name for path in found.iterdir()) == sorted(FILES)
    assert (cache.parent / "calls").read_text() == "installed\n"
    assert list(cache.iterdir()) == [found]


def test_without_npm_there_is_still_the_terminal(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"there is no npm\. .*runtime=<folder>, .*terminal=true"):
        browser_runtime()
    assert not cache.exists()


def test_npm_that_fails_is_told_with_its_reason(monkeypatch, tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network is away' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="network is away"):
        browser_runtime()
    assert list((tmp_path / "cache" / "lightning_dqn").iterdir()) == []
