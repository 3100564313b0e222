"""With Ray itself: the same rows, what it leaves alone, and what its deaths do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from support.faulty_env import FaultyEnv
from support.ray_session import ROOT
from support.ray_session import session as session

from lightning_dqn import DQN, CollectionConfig, EnvironmentFactory
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.environments.worker_faults import WorkerRestarted
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.transitions import NO_ACTION

EPSILON = LinearSchedule(1.0, 0.05, 1_000)

MANNERS = """
import json, os, signal, psutil
from lightning_dqn.collecting.remote.session import Session

def asked(number, frame): ...
signal.signal(signal.SIGTERM, asked)
before = dict(os.environ)
session = Session(None)
me = psutil.Process()
family = [me, *me.children(recursive=True)]
listening = [c.laddr.ip for p in family for c in p.net_connections() if c.status == "LISTEN"]
kept = signal.getsignal(signal.SIGTERM) is asked and dict(os.environ) == before
session.close()
print(json.dumps({"listening": listening, "kept": kept, "left": len(me.children(recursive=True)),
                  "handler": signal.getsignal(signal.SIGTERM) is asked}))
"""

CONTROL_SERVICE_DIES = """
import psutil, sys, time
from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, SafeStop
from lightning_dqn.collecting.remote.config import RayCollectionConfig
import pytorch_lightning as pl

class Kill(pl.Callback):
    killed = None
    def on_train_batch_end(self, trainer, *args):
        if self.killed is None and trainer.global_step == 5:
            [service] = [p for p in psutil.Process().children() if p.name() == "gcs_server"]
            service.kill()
            Kill.killed = time.monotonic()
        time.sleep(0.05)

data = ReplayDataModule("CartPole-v1", env_steps_per_epoch=10**6,
                        collection=RayCollectionConfig(num_actors=1))
module = DQN("CartPole-v1", compile=False)
trainer = pl.Trainer(accelerator="cpu", logger=False, max_epochs=1,
                     enable_progress_bar=False, limit_val_batches=0, default_root_dir=sys.argv[1],
                     callbacks=[EMATargetNetwork(tau=0.1), SafeStop(), Kill()])
try:
    trainer.fit(module, data)
except Exception as error:
    print(type(error).__name__, error, flush=True)
    print("after", time.monotonic() - Kill.killed, flush=True)
"""


NODE_GOES = """
import json, time
import ray
from ray.cluster_utils import Cluster
from lightning_dqn import DQN, EnvironmentFactory
from lightning_dqn.collecting.remote.config import RayCollectionConfig

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
node = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
config = RayCollectionConfig(num_actors=4, block_rows=64)
environment = EnvironmentFactory("CartPole-v1", num_envs=4)
module = DQN(environment, compile=False)
source = config.make(environment, warmup_env_steps=64, env_steps_per_iteration=64, seed=0)
list(source.warm_up(module))
source.collect(module)
cluster.remove_node(node)
found, until = [], time.monotonic() + 100
while time.monotonic() < until:
    found.append(source.collect(module))
    source.prefetch(module)
    if found[-1].worker_restarts and found[-1].metrics["rollout/actors"] == 4:
        break
    time.sleep(0.05)
print(json.dumps({"restarts": found[-1].worker_restarts, "all": len(found),
                  "fewest": min(one.metrics["rollout/actors"] for one in found),
                  "astray": max(abs(one.env_steps - 64 * (n + 3)) for n, one in enumerate(found))}))
source.close()
ray.shutdown()  # before the cluster, which would take this process along
cluster.shutdown()
"""


def run_python(
    code: str, *arguments: str, home: Path, **others: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **others, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
    )


def collected(config: Any, number: int) -> list[Any]:
    """Return parts of the warm-up and iterations, between which the weights change."""
    torch.manual_seed(0)
    module = DQN("CartPole-v1", network=MLP(hidden=[16], noisy=True), compile=False)
    generator = torch.Generator().manual_seed(1)
    environment = EnvironmentFactory("CartPole-v1", num_envs=4)
    source = config.make(environment, warmup_env_steps=100, env_steps_per_iteration=64, seed=3)
    try:
        found = [rows for rows, _ in source.warm_up(module)]
        for _ in range(number):
            found.append(source.collect(module).rows)
            source.prefetch(module)
            with torch.no_grad():
                for parameter in module.q_network.parameters():
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    finally:
        source.close()
    return found


@pytest.mark.slow  # Ray's threads stay in this process, beside which others fork
def test_an_actor_gives_the_rows_of_the_local_source_bit_for_bit(session):
    local = collected(CollectionConfig(epsilon=EPSILON), 20)
    actor = collected(RayCollectionConfig(epsilon=EPSILON, num_actors=1, synchronous=True), 20)
    for one, other in zip(local, actor, strict=True):
        for column, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(column, same)
    assert session.ray.is_initialized()  # it was there before


def collect_until_restart(source: Any, module: DQN) -> list[Any]:
    found: list[Any] = []
    while len(found) < 8 or found[-1].worker_restarts == 0:
        found.append(source.collect(module))
        source.prefetch(module)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "hang"])
@pytest.mark.filterwarnings("ignore::lightning_dqn.environments.worker_faults.WorkerRestarted")
def test_an_actor_whose_process_dies_or_hangs_is_replaced(session, tmp_path, fault):
    kwargs = {"fault": fault, "at": 100, "once": str(tmp_path / "once"), "length": 10**6}
    environment = EnvironmentFactory(FaultyEnv, num_envs=4, vectorization="sync", kwargs=kwargs)
    config = RayCollectionConfig(num_actors=2, block_rows=64, call_timeout=15.0)
    module = DQN(environment, network=MLP(hidden=[8]), compile=False)
    source = config.make(environment, warmup_env_steps=8, env_steps_per_iteration=64, seed=0)
    try:
        list(source.warm_up(module))
        with pytest.warns(WorkerRestarted, match="FaultyEnv: actor"):
            found = collect_until_restart(source, module)
        while found[-1].metrics["rollout/actors"] < 2:
            found.append(source.collect(module))
    finally:
        source.close()
    for number, one in enumerate(found, start=1):
        assert 8 + 64 * number <= one.env_steps < 8 + 64 * number + 4
    action = np.concatenate([one.rows.action for one in found])
    lost = (action == NO_ACTION).any(axis=0)
    assert lost.tolist() in ([True, True, False, False], [False, False, True, True])


@pytest.mark.slow
def test_a_ray_of_its_own_is_on_loopback_alone_and_leaves_this_process_as_it_was(tmp_path):
    done = run_python(MANNERS, home=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {ip.removeprefix("::ffff:") for ip in told["listening"]} == {"127.0.0.1"}
    assert (told["kept"], told["handler"], told["left"]) == (True, True, 0)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []  # no secret in the home folder


@pytest.mark.slow
def test_training_goes_on_with_the_other_actors_where_a_node_goes(tmp_path):
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
    done = run_python(NODE_GOES, home=tmp_path, RAY_USAGE_STATS_ENABLED="0", **loopback)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["restarts"] >= 1
    assert 0 < told["fewest"] < 4
    assert told["astray"] < 4 + 4  # the pace is kept, the warm-up's overshoot included


@pytest.mark.slow
def test_where_its_control_service_dies_the_run_is_saved_within_the_minute(tmp_path):
    done = run_python(CONTROL_SERVICE_DIES, str(tmp_path), home=tmp_path)
    lost, after = done.stdout.strip().splitlines()[-2:]
    assert lost.startswith("RayLost Ray's control service")
    assert float(after.removeprefix("after ")) < 60
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["dqn"]["updates"] > 0


def test_a_run_by_the_command_line_tells_of_its_actors(tmp_path):
    overrides = [
        "environment.id=CartPole-v1",
        "data/collection=ray",
        "data.collection.num_actors=2",
        "data.env_steps_per_epoch=2_000",
        "trainer.max_epochs=1",
        "module.compile=false",
        "data.evaluation.test_episodes_per_env=1",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_dqn", *overrides],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "A_RUN_OF": str(tmp_path)},
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "rollout/policy_age" in (tmp_path / "run" / "metrics.csv").read_text()
    _, left = psutil.wait_procs(_begun_in(tmp_path), timeout=15)
    assert left == []


def _begun_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that a run of a folder has left so far."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("A_RUN_OF") == str(folder):
                left.append(process)
    return left


@pytest.mark.slow
def test_a_terminated_run_ends_with_143_and_its_actors(tmp_path):
    code = "import sys; from lightning_dqn.commands.main import main; main()"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", code, "environment.id=CartPole-v1", "data/collection=ray"),
            *("module.compile=false", "trainer.max_epochs=1000", "callbacks=default"),
            f"hydra.run.dir={tmp_path / 'run'}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    metrics = tmp_path / "run" / "metrics.csv"
    try:
        for _ in range(1_200):
            if metrics.is_file() and len(metrics.read_text().splitlines()) > 3:
                break
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        actors = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, told
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    _, alive = psutil.wait_procs(actors, timeout=15)
    assert alive == []
