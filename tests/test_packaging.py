"""The package works the same from a bare clone, an editable install and a built wheel."""

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PROBE = """
import lightning_dqn, lightning_dqn.conf
from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork
import lightning_dqn.callbacks
for module in (lightning_dqn, lightning_dqn.callbacks, lightning_dqn.conf):
    print(module.__file__)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for name in ("lightning_dqn", "callbacks", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed_wheel(clone, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = shutil.copytree(clone, folder / "source")
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def users_folder(tmp_path) -> Path:
    """A working directory with folders of the shipped ones' names."""
    for name in ("conf", "callbacks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a module of the user')")
    return tmp_path


def run(*arguments: str, cwd: Path, package: Path) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("kind", ["clone", "installed_wheel"])
def test_the_package_is_whole_beside_a_users_own_conf_and_callbacks(kind, users_folder, request):
    package = request.getfixturevalue(kind)
    found = run("-c", PROBE, cwd=users_folder, package=package).split()
    assert all(Path(path).is_relative_to(package) for path in found)


@pytest.mark.parametrize("kind", ["clone", "installed_wheel"])
def test_the_command_line_composes_everywhere(kind, users_folder, request):
    package = request.getfixturevalue(kind)
    arguments = ("-m", "lightning_dqn", "+experiment=cartpole", "--cfg", "job")
    printed = run(*arguments, cwd=users_folder, package=package)
    assert "CartPole-v1" in printed


def test_the_editable_install_finds_callbacks_and_conf(users_folder):
    found = run("-c", PROBE, cwd=users_folder, package=users_folder / "nothing").split()
    assert all(Path(path).is_relative_to(ROOT) for path in found)


def test_the_wheel_holds_no_name_that_a_user_may_have(installed_wheel):
    names = {path.name for path in installed_wheel.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"lightning_dqn"}
    shipped = {path.name for path in (installed_wheel / "lightning_dqn" / "conf").rglob("*.yaml")}
    assert shipped == {path.name for path in (ROOT / "conf").rglob("*.yaml")}
    assert (installed_wheel / "lightning_dqn" / "py.typed").is_file()
    assert (installed_wheel / "lightning_dqn" / "study" / "atari_scores.csv").is_file()


def test_the_wheel_holds_the_page(installed_wheel):
    page = Path("lightning_dqn", "games", "play", "page")
    shipped, ours = (
        {str(path.relative_to(root)) for path in (root / page).rglob("*") if path.is_file()}
        for root in (installed_wheel, ROOT)
    )
    assert shipped == ours
    assert str(page / "rules" / "connect_four.js") in shipped


@pytest.mark.parametrize("kind", ["clone", "installed_wheel"])
def test_the_lines_that_a_run_prints_work_in_any_folder(kind, tmp_path, request):
    """Beside the user's own folders of the names in question, in one of an awkward name."""
    package = request.getfixturevalue(kind)
    folder = tmp_path / "it's a=b, [c]"
    for name in ("callbacks", "wandb", "runs", "conf/experiment"):
        (folder / name).mkdir(parents=True)
    for name in ("callbacks", "wandb", "conf"):
        (folder / name / "__init__.py").write_text("raise RuntimeError('a module of the user')")
    (folder / "conf" / "config.yaml").write_text("another: project\n")
    (folder / "my_network.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, width):\n"
        "        super().__init__(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))\n"
    )
    (folder / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "name: it is mine\n"
        "module: {network: {_target_: my_network.Net, width: 7}}\n"
    )
    arguments = ("+experiment=mine", "+debug=fast", "trainer=cpu", "hydra.job.chdir=true")
    left_out = [f"~module.network.{name}" for name in ("hidden", "activation")]
    others = [
        f"~module.network.{name}"
        for name in ("dueling", "noisy", "noisy_sigma", "layer_norm", "head_hidden")
    ]
    program = ("-m", "lightning_dqn", *arguments, *left_out, *others)
    printed = run(*program, cwd=folder, package=package)
    lines = dict(line.strip().split(maxsplit=1) for line in printed.splitlines()[-4:])
    for name, expected in (("evaluate", "over 4 episodes"), ("continue", "trained")):
        line = lines[name].replace("trainer.max_epochs=N", "trainer.max_epochs=3")
        assert line.startswith("python -m lightning_dqn ")
        shell = line.replace("python", shlex.quote(sys.executable), 1)
        result = subprocess.run(
            ["sh", "-c", shell],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout
