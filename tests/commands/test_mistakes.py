"""Mistakes on the command line: each ends with exit code 2 and one line, and writes nothing."""

# ruff: noqa: E501 - a line for each
from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from support.processes import command

from lightning_dqn.commands.main import main
from lightning_dqn.runs import run as runs

MISTAKES = {
    # keys that nothing reads
    "+experimnt=cartpole": "experimnt: no such key, and nothing refers to it as ${experimnt}; did you mean experiment?",
    "experiment=cartpole": "experiment: not chosen yet, so it takes a plus: +experiment=<option>",
    "+experiment.name=x": "experiment: nothing reads what stands below it; one is chosen as a whole, experiment=<name>, from a file that begins with the line '# @package _global_'",
    "+algorithm.name=x": "algorithm: nothing reads what stands below it",
    "+callbacks/foo=default": "callbacks/foo: there is no such group; did you mean callbacks?",
    "+algorithm=rainbow": "+algorithm=rainbow: algorithm is chosen already; without the plus: algorithm=rainbow",
    "+data/sampler=prioritized": "+data/sampler=prioritized: data/sampler is chosen already; without the plus: data/sampler=prioritized",
    "data.sampler=prioritized": "data.sampler=prioritized: one is chosen with a slash, data/sampler=prioritized",
    "-m callbacks.target_network=hard,ema": "callbacks.target_network=hard: one is chosen with a slash, callbacks/target_network=hard",
    "+debug=fdr": "debug=fdr: no such option",
    "+trainier.max_epochs=3": "trainier: no such key, and nothing refers to it as ${trainier}; did you mean trainer?",
    "+hints.foo=3": "hints.foo: no such key, and nothing refers to it as ${hints.foo}",
    "+foo=3": "foo: no such key, and nothing refers to it as ${foo}; there are algorithm, callbacks, ckpt_path, data, env_steps, environment, hints, hydra, logger, module, name, notes, num_threads, print_config, run_dir",
    "+data.nonsense=1": "data.nonsense: lightning_dqn.data.ReplayDataModule has no such argument; it takes environment, batch_size",
    "+data.batch_siz=1": "has no such argument; did you mean batch_size? ~data.batch_siz takes the key away",
    "+trainer.nonsense=1": "trainer.nonsense: pytorch_lightning.Trainer has no such argument",
    "+module.network.nonsense=1": "module.network.nonsense: lightning_dqn.networks.torsos.MLP has no such argument",
    "+module.optimizer.nonsense=1": "module.optimizer.nonsense: torch.optim.Adam has no such argument",
    "+environment.nonsense=1": "environment.nonsense: ",
    "+callbacks.progress.nonsense=1": "callbacks.progress.nonsense: ",
    "+callbacks.mine=3": "callbacks.mine=3: expected a mapping with a _target_",
    "trainer.gradient_clip_val=1": "trainer.gradient_clip_val: no such key; take module.max_gradient_norm",
    "+experiment=acrobot module/network=minatar_cnn": "~module.network.hidden takes the key away",
    "modul/head=scalar": "modul/head: no such key; did you mean module/head?",
    "callbacks/matches=default": "callbacks/matches: not chosen yet, so it takes a plus",
    "~callbacks.nothing": "~callbacks.nothing: no such key; did you mean callbacks",
    # values that can't be meant
    "data.collection.epsilon.start=1.5": "data.collection.epsilon.start=1.5: a probability, between 0 and 1",
    "data.collection.epsilon.end=-0.1": "data.collection.epsilon.end=-0.1: a probability",
    "data.collection.epsilon.duration=0": "data.collection.epsilon.duration=0",
    "data.batch_size=100000 trainer.max_epochs=1": "data.batch_size=100000: more than the 6056 rows that replay ever holds in this run",
    "trainer.max_epochs=0": "trainer.max_epochs=0: nothing is learned",
    "data.replay.capacity=10": "data.replay.capacity=10: 8 environments with stacks of 1 frames need at least 24 rows",
    "module.optimizer.lr=-0.1": "module.optimizer.lr=-0.1: expected a finite number from 0",
    "module.optimizer.lr=inf": "module.optimizer.lr=inf: expected a finite number from 0",
    "module.optimizer.lr=nan": "module.optimizer.lr=nan: expected a finite number from 0",
    "module.optimizer.lr=abc": "module.optimizer.lr='abc': expected a number",
    "hints.step_size=abc module/optimizer=sgd": "module.optimizer.lr='abc': expected a number",
    "+module.optimizer.betas=3": "module.optimizer.betas=3: expected a list",
    "module.network.hidden=5": "module.network.hidden=5: expected a list",
    "module.network.hidden=[0]": "module.network.hidden=0: at least 1",
    "module.max_gradient_norm=-1": "module.max_gradient_norm=-1.0: above 0",
    "module.compile=maybe": "module.compile='maybe': expected true or false or auto",
    "test=maybe": "test='maybe': expected true or false",
    "seed=1.5": "seed=1.5: expected a whole number from 0",
    "seed=-1": "seed=-1: expected a whole number from 0",
    "seed=5000000000": "seed=5000000000: expected a whole number from 0 to 4294967295",
    "-m seed=1,5000000000": "seed=5000000000: expected a whole number from 0 to 4294967295 (job 1",
    "study seeds=5000000000,": "seed=5000000000: expected a whole number from 0 to",
    "num_threads=true": "num_threads=True: expected a whole number from 1, or null",
    "tags=null": "tags=None: expected a list of texts, as [baseline,long]",
    "tags=baseline": "tags='baseline': expected a list of texts",
    "tags=[5]": "tags=[5]: expected a list of texts",
    "~tags": "tags: is missing; expected a list of texts",
    "~hints": "hints: is missing; expected keys with values",
    "notes=[a]": "notes=['a']: expected a text, or null",
    "print_config=maybe": "print_config='maybe': expected true or false",
    "hints=5": "hints=5: expected keys with values",
    "ckpt_path=5": "ckpt_path=5: there is no such file",
    "name=null": "name=None: expected the name of a folder",
    "name=../x": "name='../x': expected the name of a folder below runs",
    "name=/x": "name='/x': expected the name of a folder below runs",
    "data.replay.directory=x": "data.replay.directory=x: is that of a file, and storage=cpu has none; choose",
    "environment.wrappers=[3]": "environment.wrappers=3: expected functions from Env to Env, as wrappers=[",
    "environment.wrappers=[gymnasium.wrappers.Nope]": "environment.wrappers=gymnasium.wrappers.Nope: there is nothing of that name to call",
    "environment.wrappers=[os.system]": "environment.wrappers[0]=os.system: Hydra never calls it by its name",
    "environment.wrappers=gymnasium.wrappers.Nope": "environment.wrappers='gymnasium.wrappers.Nope': expected a list",
    "environment.frame_stack=0": "environment.frame_stack=0: at least 1",
    "environment.vectorization=fast": "environment.vectorization='fast': expected auto or native",
    "data.evaluation.num_envs=0": "data.evaluation.num_envs=0: at least 1",
    "data.evaluation.seed=-1": "data.evaluation.seed=-1: at least 0",
    "callbacks.target_network.every_n_updates=0": "callbacks.target_network.every_n_updates=0: at least 1",
    "callbacks.target_network.tau=null": "give exactly one of the two",
    # parts that don't go together
    "+callbacks/reset=periodic callbacks.reset.include=nolayer": "callbacks.reset",
    "+callbacks/matches=default": "callbacks.matches: Matches: CartPole-v1 isn't a board game",
    "+callbacks/exact_metrics=default": "callbacks.exact_metrics",
    "callbacks.best_checkpoint.monitor=eval/nothing": "ModelCheckpoint(monitor='eval/nothing'): nothing in this run logs that",
    # the Trainer, loggers, folders
    "trainer.accelerator=cuda0": "trainer: You selected an invalid accelerator name: `accelerator='cuda0'`",
    "trainer.check_val_every_n_epoch=0": "trainer.check_val_every_n_epoch=0: at least 1",
    "+trainer.gradient_clip_val=1": "module.max_gradient_norm on the command line",
    "+trainer.accumulate_grad_batches=2": "trainer.accumulate_grad_batches=2: each minibatch is",
    "trainer.max_time=5": "trainer.max_time=5: expected days:hours:minutes:seconds, as 00:01:00:00",
    "trainer.max_time=10s": "`Timer(duration='10s')` is not a valid duration",
    "trainer.log_every_n_steps=abc": "trainer.log_every_n_steps='abc': expected a whole number or null",
    "+logger.mine._target_=nowhere.Logger": "logger.mine._target_=nowhere.Logger: there is nothing of that name to call",
    "hydra.run.dir=/proc/nothing": "run_dir=/proc/nothing: /proc can't be written",
    """'hydra.run.dir=""'""": "hydra.run.dir='': expected the path of a folder",
    """-m seed=0,1 'hydra.sweep.dir=""'""": "hydra.sweep.dir='': expected the path of a folder",
    "hydra.run.dir=/etc/hostname/x": "run_dir=/etc/hostname/x: /etc/hostname is a file",
    "hydra.output_subdir=null": "hydra.output_subdir=None: a run's configuration lies in .hydra of its folder",
    "run_dir=x": "run_dir=x: Hydra makes a run's folder; name it by hydra.run.dir=<folder>, that of a sweep by hydra.sweep.dir=<folder>",
    "-m seed=0,1 run_dir=x": "run_dir=x: Hydra makes a run's folder",
    "sweep=optuna module.optimizer.lr=interval(1e-5,1e-2) run_dir=x": "run_dir=x: Hydra makes a run's folder",
    # Hydra's flags and grammar
    "--nope": "unrecognized arguments: --nope; --hydra-help lists the flags",
    "--config-name nope": "--config-name nope: there is no such file",
    "--config-dir nope": "--config-dir nope: there is no such folder",
    "--config-path nope": "--config-path nope: there is no such folder",
    "--resolve": "--resolve: goes with --cfg",
    "--cfg job -m": "--multirun --cfg: only one of them at once",
    "--help data.batchsize=1": "did you mean data.batch_size?",
    "data.batch_size=[": "data.batch_size=[: can't be read: ",
    "seed=1,2": "seed=1,2: to sweep over it add -m; as a list write seed=[1,2]",
    "data=x": "data=x: no such option; there are replay",
    # sweeps: all jobs are looked at before the first runs
    "-m data.batch_size=8,0": "data.batch_size=0: at least 1 (job 1: data.batch_size=0)",
    "-m data.batch_size=8,abc": "data.batch_size='abc': expected a whole number (job 1",
    "-m seed=range(0,20) +callbacks.mine=4,3": "callbacks.mine=4: expected a mapping",
    "-m module.optimizer.lr=1e-3,-1": "module.optimizer.lr=-1: expected a finite number from 0 (job 1: module.optimizer.lr=-1)",
    "-m callbacks.target_network.tau=0.005,5 seed=0,1": "(job 2: callbacks.target_network.tau=5 seed=0)",
    "-m trainer.precision=32-true,16": "choose 32-true or bf16-mixed (job 1: trainer.precision=16)",
    "-m environment.id=CartPole-v1,Nope-v0": "(job 1: environment.id=Nope-v0)",
    "-m environment.id=CartPole-v1,Pendulum-v1": "DQN needs Discrete actions",
    "data.evaluation.environment=MountainCar-v0": "data.evaluation.environment: observation_shape: the module was made for observation_shape=(4,), but environment MountainCar-v0 of evaluation has observation_shape=(2,)",
    "module/lr_scheduler=cosine module.lr_scheduler.T_max=0": "CosineAnnealingLR(T_max=0): at least 1 iteration",
    "logger=null": "logger=null: choose csv or many or mlflow or tensorboard or wandb; to log nothing, take away what is there: ~logger.csv",
    "~trainer": "trainer: is missing; choose ",
    "-m seed=range(3,1)": "a sweep over nothing: one of its overrides gives no value to choose",
    "-m +experiment=glob(nix*)": "a sweep over nothing",
    "study data.batch_size=range(5,5) seeds=1": "a sweep over nothing",
    "-m algorithm=dqn,nope": "algorithm=nope: no such option; there are c51",
    "-m seed=interval(0,1)": "BasicSweeper does not support sweep type : INTERVAL_SWEEP",
    "hydra/sweeper=opt -m": "hydra/sweeper=opt: no such option; there are basic",
    "hydra/sweeper=optuna -m": "hydra/sweeper=optuna: take sweep=optuna",
    "-m hydra.sweeper.params.seed=7": "hydra.sweeper.params.seed=7: type what to sweep as overrides, as seed=1,2",
    "study 'hydra.sweeper.params={seed:7}' seeds=2": "hydra.sweeper.params={seed:7}: type what to sweep as overrides",
    "hydra/launcher=jobs -m": "hydra/launcher=jobs: no such option; did you mean joblib?",
    "hydra/launcher=ray -m": (
        "hydra/launcher=ray: isn't installed: pip install 'lightning-dqn[ray-launcher]'"
    ),
    # other commands
    "--config-dir . suite cp": "suite: a command comes first: python -m lightning_dqn suite",
    "seed=1 export": "export: a command comes first: python -m lightning_dqn export",
    "nonsense": "nonsense: no such command; there are train",
    "evluate x": "evluate: no such command; did you mean evaluate?",
    "evaluate x": "run=x: there is no such file or folder",
    "evaluate num_envs=1": "run=: name its folder, or a checkpoint in it",
    "evaluate x seed=abc": "seed='abc': expected a whole number or null",
    "evaluate x num_envs=0": "num_envs=0: expected a number from 1",
    "evaluate x epsilon=3": "epsilon=3: expected a number from 0 to 1",
    "evaluate x y": "y: run is given already",
    "export x": "output=: name the file",
    "export x output=a.h5": "output=a.h5: no format ends so",
    "play x port=99999": "port=99999: expected a number from 0 to 65535",
    "import x output=y": "x: ",
    "study x": "folder=x: there is no study to continue",
    "study jobs=0": "jobs=0: expected a number from 1",
    # of before
    "data.batchsize=3": "did you mean data.batch_size",
    "data.batch_size=abc": "data.batch_size='abc': expected a whole number",
    "data.batch_size=0": "data.batch_size=0: at least 1",
    "data.replay.gamma=3": "data.replay.gamma=3",
    "data.replay.storage=disk": "choose cpu, accelerator or memmap",
    "data.replay.capacity=100_000_000_000_000": "data.replay.capacity=100000000000000",
    "data.batch_size=100_000_000_000": "data.batch_size=100000000000",
    "data.collection.epsilon=2": "data.collection.epsilon=2",
    "+data.nonsense=3": "nonsense",
    "+experiment=nope": "experiment=nope: no such option; there are acrobot, atari",
    "module/network=mpl": "module/network=mpl: no such option; did you mean mlp?",
    "module.head.error=mae": "expected huber or mse",
    "module.network.activation=Rellu": "network[2] Rellu",
    "module.optimizer._target_=torch.optim.Adan": "torch.optim.Adan",
    "environment.id=Pendulum-v1": "environment.id=Pendulum-v1: its action space is Box",
    "environment.id=CartPoll-v1": "environment.id=CartPoll-v1",
    "environment.num_envs=0": "environment.num_envs=0",
    "environment.id=lightning_dqn/TicTacToe-v0": "data.replay.gamma=0.99: in this environment the",
    "environment.id=lightning_dqn/TicTacToe-v0 +environment.kwargs.opponent=strong": (
        "environment.kwargs.opponent='strong': choose random, perfect"
    ),
    "environment.id=lightning_dqn/TicTacToe-v0 +environment.kwargs.oponent=random": (
        "unexpected keyword argument 'oponent'"
    ),
    "environment.id=lightning_dqn/BoardGame-v0": "required keyword-only argument: 'game'",
    "environment.id=FrozenLake-v1 +environment.kwargs.map=8x8": "unexpected keyword argument 'map'",
    "algorithm=q_learning": "a table has a row for each discrete state",
    "data.collection.temperature=-1": "data.collection.temperature=-1: at least 0",
    "callbacks.target_network.tau=2": "callbacks.target_network.tau=2",
    "callbacks.target_network.decay=0.9": "give exactly one of the two",
    "trainer.max_epochs=many": "trainer.max_epochs='many'",
    "trainer.strategy=ddp_spawn": "trainer.strategy=ddp_spawn: ",
    "trainer.devices=2 data.batch_size=9": "data.batch_size=9: is of all 2 ranks together",
    "trainer.precision=16-mixed": "choose 32-true or bf16-mixed",
    "logger.csv=3": "logger.csv=3",
    "seed=x": "seed='x'",
    "num_threads=0": "num_threads=0",
    "ckpt_path=nowhere.ckpt": "ckpt_path=nowhere.ckpt: there is no such file",
    "resume=nowhere": "resume=nowhere",
    "data/sampler=lambda_returns module/target/munchausen=default": (
        "module.target.munchausen=Munchausen(alpha=0.9"
    ),
    "module.target.slow_copy=false": "module.target.double=True: without a target network",
    "data.replay.n_step=[3,1]": "data.replay.n_step=[3, 1]",
    "module/head=categorical module.head.v_min=200": "module.head.v_min=200",
    "data/sampler=prioritized data.sampler.alpha=2": "lightning-dqn: data.sampler.alpha=2: between 0 and 1",
    "module/head=categorical module.head.error=mse": "belongs to another choice of module/head",
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.items())
def test_a_mistake_is_refused_in_one_line(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lightning-dqn", *shlex.split(arguments)])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(runs, "run", lambda _: pytest.fail("it ran"))
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("lightning-dqn: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    ["+experimnt=cartpole", "data.batchsize=3", "algorithm=nope", "--nope", "evaluate epsilon=3"],
)
def test_what_can_be_known_without_torch_is_refused_without_it(
    arguments: str, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('imported')")
    result = command(*arguments.split(), cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 2
    assert "imported" not in result.stderr
