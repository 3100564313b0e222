"""What docs/lightning.md says of Lightning's flags, hooks and callbacks is what they do here."""

from __future__ import annotations

import gc
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks as stock
from pytorch_lightning.core import hooks
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.profilers import PyTorchProfiler
from pytorch_lightning.tuner import Tuner

from lightning_dqn import DQN, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.learning.hooks import REFUSED_HOOKS, REFUSED_MODULE_HOOKS
from lightning_dqn.learning.trainer import REFUSED_CALLBACKS, check_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    # Said of FLOPs that nobody counts here, and of checkpoints after an update.
    pytest.mark.filterwarnings("ignore:.*need to define a `flops_per_batch`"),
    pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:You have overridden `.*` in"),
    pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit"),
    pytest.mark.filterwarnings(r"ignore:`\.fit\(ckpt_path=None\)` was called without a model"),
    pytest.mark.filterwarnings(r"ignore:\.fit\(ckpt_path=.last.\) is set, but there is no last"),
    pytest.mark.filterwarnings("ignore:.*`torch.jit.script_method` is deprecated"),
]
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "lightning.md"
EPOCHS, ITERATIONS, UPDATES, EPISODES = 2, 3, 4, 4
"""Of a run without flags: epochs, iterations of each, updates of these, episodes of validation."""


class Row(NamedTuple):
    """What the table says of a name."""

    verdict: str
    text: str


def table() -> dict[tuple[str, str], Row]:
    """Return the document's rows by kind and name."""
    rows = re.findall(r"^\| ([a-z ]+) \| (`.*?) \| (\w+) \| (.*?) ?\|$", DOCUMENT.read_text(), re.M)
    named = [
        ((kind, name), Row(verdict, text))
        for kind, names, verdict, text in rows
        for name in re.findall("`([^`]+)`", names)
    ]
    assert len(named) == len(dict(named)), "a name stands in two rows"
    return dict(named)


TABLE = table()


def named(kind: str, verdict: str | None = None) -> set[str]:
    """Return the names of a kind, or those of them with a verdict."""
    return {n for (k, n), row in TABLE.items() if k == kind and verdict in (None, row.verdict)}


class Ran(NamedTuple):
    """What a run came to."""

    trainer: pl.Trainer
    module: DQN
    data: ReplayDataModule
    evaluations: list[int]


class Observations:
    """Two batches of CartPole's observations."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter([torch.zeros(2, 4), torch.zeros(3, 4)])


class Counts(pl.Callback):
    """Counts the episodes of each evaluation."""

    logs_metrics = False

    def __init__(self) -> None:
        self.evaluations: list[int] = []

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.evaluations.append(0)

    def on_validation_batch_end(self, *args: Any) -> None:
        self.evaluations[-1] += 1


@pytest.fixture
def make(make_data: Any, make_module: Any, tmp_path: Path) -> Callable[..., Ran]:
    """A function that makes a Trainer with these flags, a module and its data."""

    def make_parts(*callbacks: pl.Callback, kind: type[DQN] = DQN, **flags: Any) -> Ran:
        counts = Counts()
        trainer = pl.Trainer(
            **{
                "accelerator": "cpu",
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 1,
                "max_epochs": EPOCHS,
                "default_root_dir": tmp_path,
                "callbacks": [EMATargetNetwork(tau=0.1), counts, *callbacks],
                **flags,
            }
        )
        # Episodes of an untrained policy end long before the limit.
        evaluation = EvaluationConfig(num_envs=2, episodes_per_env=2, test_episodes_per_env=2)
        data = make_data(evaluation=evaluation)
        return Ran(trainer, make_module(kind=kind), data, counts.evaluations)

    return make_parts


@pytest.fixture
def fit(make: Any) -> Callable[..., Ran]:
    """A function that makes the same and fits."""

    def run(*callbacks: pl.Callback, **flags: Any) -> Ran:
        ran: Ran = make(*callbacks, **flags)
        ran.trainer.fit(ran.module, ran.data)
        return ran

    return run


@pytest.fixture
def refusal(make: Any) -> Callable[..., str]:
    """A function that returns why a fit is refused, before anything was collected."""

    def of(*callbacks: pl.Callback, **flags: Any) -> str:
        ran = make(*callbacks, **flags)
        steps: list[int] = []
        ran.data.after_collection.append(steps.append)
        with pytest.raises(ValueError) as caught:
            ran.trainer.fit(ran.module, ran.data)
        assert steps == []
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return of


@pytest.fixture(autouse=True)
def _leave_torch_as_it_was() -> Iterator[None]:
    """Undo what flags of a Trainer set for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


# --- the table is whole

NO_HOOKS = {
    "optimizers",
    "lr_schedulers",
    "print",
    "log",
    "log_dict",
    "all_gather",
    "manual_backward",
    "toggle_optimizer",
    "untoggle_optimizer",
    "toggled_optimizer",
    "clip_gradients",
    "freeze",
    "unfreeze",
    "to_onnx",
    "to_torchscript",
    "to_tensorrt",
    "load_from_checkpoint",
}
"""Methods of a LightningModule that are called, not overridden."""


def functions(*classes: type) -> set[str]:
    """Return the public methods that classes define."""
    return {
        name
        for owner in classes
        for name, value in vars(owner).items()
        if not name.startswith("_") and callable(getattr(value, "__func__", value))
        if not isinstance(value, property) and not inspect.isclass(value)
    }


def test_the_table_names_every_flag_of_the_trainer() -> None:
    assert named("flag") == set(inspect.signature(pl.Trainer).parameters)


def test_the_table_names_every_hook() -> None:
    assert named("callback hook") == functions(pl.Callback)
    owners = (hooks.ModelHooks, hooks.DataHooks, hooks.CheckpointHooks, pl.LightningModule)
    assert named("module hook") == functions(*owners) - NO_HOOKS


def test_the_table_names_every_stock_callback() -> None:
    bases = {"Callback", "Checkpoint", "ProgressBar"}
    assert named("callback") == set(stock.__all__) - bases


def test_the_table_refuses_what_the_code_refuses() -> None:
    assert named("callback hook", "refused") == set(REFUSED_HOOKS)
    assert named("module hook", "refused") == set(REFUSED_MODULE_HOOKS)
    kinds = tuple(REFUSED_CALLBACKS)
    assert named("callback", "refused") == {
        name for name in named("callback") if issubclass(getattr(stock, name), kinds)
    }
    assert named("flag", "refused") == {flag for flag, _, _ in REFUSED} - set(WORKING)


# --- flags

WORKING: dict[str, list[Any]] = {
    "accelerator": ["cpu", "auto"],
    "devices": [1, "auto"],
    "num_nodes": [1],
    "strategy": ["auto"],
    "precision": ["32-true", 32, "bf16-mixed"],
    "logger": [pl.loggers.logger.DummyLogger()],
    "callbacks": [[EMATargetNetwork(tau=0.1)]],
    "max_epochs": [EPOCHS],
    "min_epochs": [1],
    "min_steps": [1],
    "max_time": ["00:01:00:00"],
    "limit_test_batches": [1],
    "limit_predict_batches": [1],
    "reload_dataloaders_every_n_epochs": [1],
    "num_sanity_val_steps": [0],
    "log_every_n_steps": [0, 1, 50, None],
    "enable_checkpointing": [True],
    "enable_progress_bar": [True],
    "enable_model_summary": [True],
    "deterministic": [True, "warn"],
    "benchmark": [True],
    "inference_mode": [False],
    "use_distributed_sampler": [False],
    "profiler": ["simple", "advanced"],
    "detect_anomaly": [True],
    "plugins": [[LightningEnvironment()]],
    "sync_batchnorm": [True],
    "default_root_dir": ["."],
    "enable_autolog_hparams": [False],
    "model_registry": ["a-name"],
    # What follows changes the counts; see COUNTED.
    "fast_dev_run": [],
    "max_steps": [],
    "limit_train_batches": [],
    "limit_val_batches": [],
    "val_check_interval": [],
    "check_val_every_n_epoch": [],
    "barebones": [],
}
"""Flags and values of theirs that leave a run as it is."""

REFUSED: list[tuple[str, Any, str]] = [
    ("precision", "64-true", "choose 32-true or bf16-mixed"),
    ("precision", "bf16-true", "choose 32-true or bf16-mixed"),
    ("overfit_batches", 1, "limit_train_batches"),
    ("overfit_batches", 0.5, "limit_train_batches"),
    ("accumulate_grad_batches", 2, "updates_per_iteration"),
    ("accumulate_grad_batches", 2, "batch_size"),
    ("gradient_clip_val", 1.0, "max_gradient_norm"),
    ("gradient_clip_val", 0, "max_gradient_norm"),
    ("gradient_clip_algorithm", "value", "max_gradient_norm"),
    ("profiler", "pytorch", "record_module_names=False"),
]
"""Flags, values and what the refusal says of the way."""


def test_every_flag_is_tried() -> None:
    assert named("flag", "works") == set(WORKING)


@pytest.mark.parametrize(
    ("flag", "value"), [(flag, value) for flag, values in WORKING.items() for value in values]
)
def test_a_flag_works(fit: Any, flag: str, value: Any) -> None:
    ran = fit(**{flag: value})
    assert ran.trainer.global_step == EPOCHS * ITERATIONS
    assert ran.module.updates == EPOCHS * ITERATIONS * UPDATES
    if flag != "callbacks":
        assert ran.evaluations == [EPISODES] * EPOCHS


# Lightning's PyTorchProfiler can't be thrown away before it has recorded a step.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("flag", "value", "remedy"), REFUSED)
def test_a_flag_is_refused_with_its_remedy(
    refusal: Any, make: Any, flag: str, value: Any, remedy: str
) -> None:
    text = refusal(**{flag: value})
    assert remedy in text
    assert remedy.replace("`", "") in TABLE["flag", flag].text.replace("`", "")
    with pytest.raises(ValueError) as caught:  # before a fit too, as the command line does
        check_trainer(make(**{flag: value}).trainer, logs_own_metrics=False)
    assert str(caught.value) == text
    if flag == "profiler":
        gc.collect()


COUNTED: list[tuple[dict[str, Any], int, list[int]]] = [
    ({"fast_dev_run": True}, 1, [1]),
    ({"fast_dev_run": 2}, 2, [2]),
    ({"max_steps": 4}, 4, [4]),
    ({"max_epochs": -1, "max_steps": 4}, 4, [4]),
    ({"min_steps": 5, "max_steps": 5}, 5, [4]),
    ({"limit_train_batches": 2}, 4, [4, 4]),
    ({"limit_train_batches": 0.34}, 2, [4, 4]),
    ({"limit_train_batches": 0}, 0, []),
    ({"limit_val_batches": 0}, 6, []),
    ({"limit_val_batches": 3}, 6, [3, 3]),
    ({"limit_val_batches": 0.5}, 6, [2, 2]),
    ({"val_check_interval": 1}, 6, [4] * 6),
    ({"val_check_interval": 0.34}, 6, [4] * 6),
    ({"val_check_interval": timedelta(microseconds=1)}, 6, [4] * 6),
    ({"val_check_interval": 4, "check_val_every_n_epoch": None}, 6, [4]),
    ({"check_val_every_n_epoch": 2}, 6, [4]),
    ({"num_sanity_val_steps": 2}, 6, [2, 4, 4]),
    ({"max_time": {"seconds": 0}}, 0, []),
]
"""Flags, the iterations that follow, the episodes of each evaluation."""


@pytest.mark.parametrize(("flags", "iterations", "evaluations"), COUNTED, ids=str)
def test_what_a_flag_counts(
    fit: Any, flags: dict[str, Any], iterations: int, evaluations: list[int]
) -> None:
    ran = fit(**flags)
    assert ran.trainer.global_step == iterations
    assert ran.module.updates == iterations * UPDATES
    assert ran.evaluations == evaluations


def test_a_least_number_of_epochs_outlasts_early_stopping(fit: Any) -> None:
    stops = stock.EarlyStopping("time/env_steps", mode="min", patience=1)
    assert fit(stops, max_epochs=6).trainer.current_epoch == 2
    stops = stock.EarlyStopping("time/env_steps", mode="min", patience=1)
    assert fit(stops, max_epochs=6, min_epochs=4).trainer.current_epoch == 4


def test_limits_count_episodes_of_tests_and_batches_of_predictions(make: Any) -> None:
    ran = make(limit_test_batches=3, limit_predict_batches=1)
    [results] = ran.trainer.test(ran.module, ran.data, verbose=False)
    assert results["test/episodes"] == 3
    assert [p.shape for p in ran.trainer.predict(ran.module, Observations())] == [(2, 2)]


def test_barebones_trains_and_logs_nothing(make_module: Any, make_data: Any) -> None:
    trainer = pl.Trainer(
        barebones=True, accelerator="cpu", max_epochs=1, callbacks=[EMATargetNetwork(tau=0.1)]
    )
    module = make_module()
    trainer.fit(module, make_data())
    assert module.updates == ITERATIONS * UPDATES
    assert trainer.callback_metrics == {}


@pytest.mark.filterwarnings("ignore:.*Profiler clears events at the end of each cycle")
def test_pytorchs_profiler_works_without_names(fit: Any, tmp_path: Path) -> None:
    steps = torch.profiler.schedule(wait=0, warmup=1, active=1)
    profiler = PyTorchProfiler(
        tmp_path, record_module_names=False, export_to_chrome=False, schedule=steps
    )
    assert fit(profiler=profiler).trainer.global_step == EPOCHS * ITERATIONS


def test_limited_epochs_are_what_a_cycle_of_learning_rates_is_held_against(
    make: Any, make_module: Any
) -> None:
    def cycle(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=4)

    ran = make(limit_train_batches=2)
    ran.trainer.fit(make_module(lr_scheduler=cycle), ran.data)
    assert ran.trainer.global_step == 4


# --- hooks


def noting(base: type, names: set[str], seen: set[str]) -> type:
    """Return a subclass that notes which of these methods are called, and calls them."""

    def noted(name: str) -> Callable[..., Any]:
        def hook(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.add(name)
            return getattr(super(made, self), name)(*args, **kwargs)

        return hook

    made: type = type("Noting", (base,), {name: noted(name) for name in names})
    return made


def in_all_stages(make: Any, callbacks: list[pl.Callback], kind: type[DQN]) -> None:
    """Fit, save, fit on, validate, test and predict."""
    flags = {"num_sanity_val_steps": 1}
    ran = make(*callbacks, kind=kind, **flags)
    ran.trainer.fit(ran.module, ran.data)
    path = Path(ran.trainer.default_root_dir) / "noted.ckpt"
    ran.trainer.save_checkpoint(path)
    ran.trainer.validate(ran.module, ran.data, verbose=False)
    ran.trainer.test(ran.module, ran.data, verbose=False)
    ran.trainer.predict(ran.module, Observations())
    on = make(*callbacks, kind=kind, max_epochs=EPOCHS + 1, **flags)
    on.trainer.fit(on.module, on.data, ckpt_path=path, weights_only=True)


class Stateful(pl.Callback):
    """Has a state, which Lightning gives back where there is one."""

    def state_dict(self) -> dict[str, Any]:
        return {"something": 1}


def test_hooks_of_callbacks_work(make: Any, fit: Any) -> None:
    seen: set[str] = set()
    kind = noting(Stateful, named("callback hook", "works"), seen)
    in_all_stages(make, [kind()], DQN)
    assert named("callback hook", "works") - seen == {"on_exception"}
    fails = stock.LambdaCallback(on_train_start=lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(kind(), fails)
    assert "on_exception" in seen


def test_hooks_of_modules_work_or_are_the_data_modules(make: Any) -> None:
    seen: set[str] = set()
    # Lightning deprecates this one where it is overridden at all.
    names = named("module hook") - set(REFUSED_MODULE_HOOKS) - {"configure_sharded_model"}
    kind = noting(Scheduled, names, seen)
    in_all_stages(make, [], kind)
    # A prediction has no data module, so it asks the module.
    asked = {"transfer_batch_to_device"}
    assert names - seen == named("module hook", "data") - asked | {"predict_dataloader"}


class Scheduled(DQN):
    """Has a schedule."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        def constant(optimizer: Any) -> Any:
            return torch.optim.swa_utils.SWALR(optimizer, swa_lr=1e-4, anneal_epochs=3)

        super().__init__(*args, lr_scheduler=constant, **kwargs)


def test_observations_of_ones_own_are_predicted(make: Any) -> None:
    class Predicting(DQN):
        def predict_dataloader(self) -> Any:
            return Observations()

    ran = make(kind=Predicting)
    assert [p.shape for p in ran.trainer.predict(ran.module)] == [(2, 2), (3, 2)]


@pytest.mark.parametrize("hook", sorted(REFUSED_HOOKS))
def test_a_hook_of_a_callback_is_refused(refusal: Any, hook: str) -> None:
    callback = type("Mine", (pl.Callback,), {hook: lambda self, *args: None})()
    text = refusal(callback)
    assert text.startswith(f"Mine.{hook}: would never be called")
    assert_says_the_same(text, REFUSED_HOOKS[hook], TABLE["callback hook", hook].text)
    text = refusal(stock.LambdaCallback(**{hook: lambda *args: None}))
    assert text.startswith(f"LambdaCallback.{hook}: would never be called")


@pytest.mark.parametrize("hook", sorted(REFUSED_MODULE_HOOKS))
def test_a_hook_of_a_module_is_refused(refusal: Any, hook: str) -> None:
    text = refusal(kind=type("Mine", (DQN,), {hook: lambda self, *args: None}))
    assert text.startswith(f"Mine.{hook}: would never be called")
    assert_says_the_same(text, REFUSED_MODULE_HOOKS[hook], TABLE["module hook", hook].text)


OWN_HOOKS = {
    name
    for name in dir(DQN)
    if name.startswith("on_") or name in ("setup", "configure_callbacks")
    if getattr(DQN, name) is not getattr(pl.LightningModule, name)
}


def test_hooks_that_a_dqn_has_of_its_own_are_known() -> None:
    assert {"on_fit_start", "on_save_checkpoint", "on_validation_epoch_start"} <= OWN_HOOKS
    assert "on_train_batch_start" not in OWN_HOOKS


@pytest.mark.parametrize("hook", sorted(OWN_HOOKS))
def test_a_hook_that_takes_the_place_of_a_dqns_is_refused(refusal: Any, hook: str) -> None:
    def silent(self: DQN, *args: Any) -> list[Any]:
        return []

    text = refusal(kind=type("Mine", (DQN,), {hook: silent}))
    assert text == (
        f"Mine.{hook}: takes the place of what DQN does there; call super().{hook}(...) in it"
    )


def test_a_hook_that_calls_that_of_a_dqn_is_taken(make: Any) -> None:
    class Base(DQN):
        def on_fit_start(self) -> None:
            DQN.on_fit_start(self)

    class Mine(Base):
        def on_train_batch_start(self, *args: Any) -> None:  # a DQN has none
            pass

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            super().on_save_checkpoint(checkpoint)

    ran = make(kind=Mine)
    ran.trainer.fit(ran.module, ran.data)
    assert ran.module.updates == EPOCHS * ITERATIONS * UPDATES


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_an_evaluation_refuses_what_a_fit_does_and_leaves_weights_alone(
    make: Any, stage: str
) -> None:
    ran = make(precision="bf16-true")
    with pytest.raises(ValueError, match="precision=bf16-true: choose 32-true or bf16-mixed"):
        getattr(ran.trainer, stage)(ran.module, ran.data)
    assert {parameter.dtype for parameter in ran.module.parameters()} == {torch.float32}

    class Forgets(DQN):
        def on_validation_epoch_start(self) -> None:
            pass

    ran = make(kind=Forgets)
    with pytest.raises(ValueError, match=r"Forgets.on_validation_epoch_start: takes the place"):
        getattr(ran.trainer, stage)(ran.module, ran.data)


def test_a_summary_with_an_example_and_loaders_of_ones_own_work(make: Any) -> None:
    class Exampled(DQN):
        example_input_array = torch.zeros(1, 4)

    ran = make(kind=Exampled, enable_model_summary=True)
    ran.trainer.fit(ran.module, ran.data)
    assert ran.module.updates == EPOCHS * ITERATIONS * UPDATES
    ran.data.predict_dataloader = Observations
    found = ran.trainer.predict(ran.module, ran.data)
    assert [p.shape for p in found] == [(2, 2), (3, 2)]


def test_a_checkpoint_at_intervals_of_time_is_refused(refusal: Any, tmp_path: Path) -> None:
    """Lightning looks at them where it steps the optimizer, and nothing would ever be saved."""
    callback = stock.ModelCheckpoint(tmp_path, train_time_interval=timedelta(minutes=5))
    text = refusal(callback, enable_checkpointing=True)
    assert text.startswith("ModelCheckpoint(train_time_interval=0:05:00): ")
    assert text.endswith("set every_n_train_steps, which counts iterations")


def test_what_a_module_brings_along_is_checked_too(refusal: Any) -> None:
    class Brings(DQN):
        def configure_callbacks(self) -> list[pl.Callback]:
            return [*super().configure_callbacks(), stock.GradientAccumulationScheduler({0: 2})]

    assert refusal(kind=Brings).startswith("GradientAccumulationScheduler: ")


def assert_says_the_same(text: str, remedy: str, row: str) -> None:
    """Hold a refusal against the table: the names of the row stand in it."""
    assert text.endswith(remedy)
    for name in re.findall("`([^`]+)`", row):
        assert name in text, name


# --- stock callbacks

CALLBACKS: dict[str, Callable[[Path], pl.Callback]] = {
    "ModelCheckpoint": lambda folder: stock.ModelCheckpoint(folder, every_n_train_steps=2),
    "OnExceptionCheckpoint": stock.OnExceptionCheckpoint,
    "EarlyStopping": lambda _: stock.EarlyStopping("eval/episode_return", mode="max", patience=9),
    "Timer": lambda _: stock.Timer({"minutes": 5}),
    "LambdaCallback": lambda _: stock.LambdaCallback(on_fit_end=lambda *args: None),
    "TQDMProgressBar": lambda _: stock.TQDMProgressBar(),
    "RichProgressBar": lambda _: stock.RichProgressBar(),
    "ModelSummary": lambda _: stock.ModelSummary(),
    "RichModelSummary": lambda _: stock.RichModelSummary(),
    "LearningRateMonitor": lambda _: stock.LearningRateMonitor(),
    "DeviceStatsMonitor": lambda _: stock.DeviceStatsMonitor(cpu_stats=True),
    "ThroughputMonitor": lambda _: stock.ThroughputMonitor(lambda batch: 1),
    "SpikeDetection": lambda _: stock.SpikeDetection(rtol=100.0),
    "WeightAveraging": lambda _: stock.WeightAveraging(),
    "EMAWeightAveraging": lambda _: stock.EMAWeightAveraging(),
    "BasePredictionWriter": lambda _: stock.BasePredictionWriter("epoch"),
    "StochasticWeightAveraging": lambda _: stock.StochasticWeightAveraging(1e-3),
    "GradientAccumulationScheduler": lambda _: stock.GradientAccumulationScheduler({0: 2}),
    "BackboneFinetuning": lambda _: stock.BackboneFinetuning(),
    "BaseFinetuning": lambda _: stock.BaseFinetuning(),
    "ModelPruning": lambda _: stock.ModelPruning("l1_unstructured", amount=0.5),
    "LearningRateFinder": lambda _: stock.LearningRateFinder(),
    "BatchSizeFinder": lambda _: stock.BatchSizeFinder(),
}


def made(name: str, folder: Path) -> pl.Callback:
    """Return a stock callback, if its own library is there."""
    try:
        return CALLBACKS[name](folder)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


def test_every_stock_callback_is_tried() -> None:
    assert named("callback") == set(CALLBACKS)


@pytest.mark.parametrize("name", sorted(named("callback", "works")))
def test_a_stock_callback_works(fit: Any, tmp_path: Path, name: str) -> None:
    ran = fit(
        made(name, tmp_path),
        logger=pl.loggers.logger.DummyLogger(),
        enable_checkpointing="Checkpoint" in name,
        enable_progress_bar="Bar" in name,
        enable_model_summary="Summary" in name,
    )
    assert ran.trainer.global_step == EPOCHS * ITERATIONS
    assert ran.evaluations == [EPISODES] * EPOCHS


@pytest.mark.parametrize("name", sorted(named("callback", "refused")))
def test_a_stock_callback_is_refused(refusal: Any, tmp_path: Path, name: str) -> None:
    text = refusal(made(name, tmp_path))
    assert text.startswith(f"{name}: ")
    remedies = re.findall("`([^`]+)`", TABLE["callback", name].text)
    assert any(remedy in text for remedy in remedies), text


def test_weight_averaging_acts_in_validation_and_is_what_stays(fit: Any) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Looks(pl.Callback):
        def on_validation_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            acts = next(pl_module.q_network.parameters()).detach().clone()
            other = next(averaging._average_model.module.agent.q_network.parameters())
            seen.append((acts, other.detach().clone()))

    averaging = stock.WeightAveraging()
    ran = fit(averaging, Looks())
    acting, learning = seen[-1]
    assert not torch.equal(acting, learning), "the learner's weights wait in the average's place"
    assert torch.equal(next(ran.module.q_network.parameters()), acting)


def test_a_spike_of_the_loss_ends_the_run(fit: Any) -> None:
    with pytest.raises(Exception, match="Training spike"):
        fit(stock.SpikeDetection(rtol=None, atol=0.0, warmup=0))


@pytest.mark.parametrize("search", ["lr_find", "scale_batch_size"])
def test_searches_of_a_tuner_are_refused(make: Any, search: str) -> None:
    ran = make()
    with pytest.raises(ValueError, match=r"Finder: .*(DQN|ReplayDataModule)"):
        getattr(Tuner(ran.trainer), search)(ran.module, datamodule=ran.data)
    assert ran.module.updates == 0
    ran.trainer.fit(ran.module, ran.data)
    assert ran.module.updates > 0, "the Trainer is as it was before the search"


# --- what is passed to fit


def test_loaders_without_their_data_module_are_refused(make: Any) -> None:
    ran = make()
    loaders = ran.data.train_dataloader(), ran.data.val_dataloader()
    for passed in (loaders, loaders[:1]):
        with pytest.raises(ValueError, match=r"pass that itself, as in trainer\.fit\(module, data"):
            ran.trainer.fit(ran.module, *passed)
    with pytest.raises(ValueError, match="pass that itself"):
        ran.trainer.validate(ran.module, loaders[1])


class OtherData(pl.LightningDataModule):
    """Gives tensors."""

    def train_dataloader(self) -> Any:
        return Observations()


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        ((), r"^trainer\.fit\(module\): a DQN learns from the iterations of a ReplayDataModule"),
        ((Observations(),), "^a batch is a Tensor: a DQN learns from the iterations of a Rep"),
        ((OtherData(),), "^datamodule=OtherData: has no iterations_per_epoch; a DQN learns from"),
    ],
    ids=["none", "tensors", "another data module"],
)
def test_other_data_are_refused(make: Any, passed: Any, said: str) -> None:
    ran = make()
    with pytest.raises(ValueError, match=said):
        ran.trainer.fit(ran.module, *passed)


class OtherModule(pl.LightningModule):
    """Neither collects nor acts."""

    def training_step(self, *_: Any) -> None:
        """Learn nothing."""

    def validation_step(self, *_: Any) -> None:
        """Judge nothing."""

    def configure_optimizers(self) -> None:
        """Have no optimizer."""


@pytest.mark.parametrize("verb", ["fit", "validate"])
def test_data_for_a_dqn_are_refused_to_another_module(make: Any, verb: str) -> None:
    ran = make()
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=1)
    with pytest.raises(
        ValueError, match=r"^OtherModule: has no .* a ReplayDataModule serves a DQN"
    ):
        getattr(trainer, verb)(OtherModule(), datamodule=ran.data)


def test_a_compiled_module_is_refused_and_usable_as_it_was(make: Any) -> None:
    ran = make()
    with pytest.raises(ValueError, match=r"torch\.compile\(module\): .* DQN\(compile=True\)"):
        ran.trainer.fit(torch.compile(ran.module), ran.data)
    again = make()
    again.trainer.fit(ran.module, again.data)
    assert ran.module.updates == EPOCHS * ITERATIONS * UPDATES


def test_two_kinds_of_environment_are_refused_by_what_differs(make: Any) -> None:
    ran = make()
    with pytest.raises(ValueError, match=r"observation_shape=\(4,\), but environment Acrobot-v1"):
        ran.trainer.fit(ran.module, ReplayDataModule("Acrobot-v1"))


@pytest.mark.parametrize("kind", [DQN, ReplayDataModule])
def test_an_environment_instance_is_refused(kind: Any) -> None:
    environment = gymnasium.make("CartPole-v1")
    with pytest.raises(ValueError, match="pass its id or a function that makes one"):
        kind(environment)
    environment.close()
