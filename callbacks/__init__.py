"""Lightning callbacks that act on a run during ``Trainer.fit``."""

from lightning_dqn.callbacks.clip_weights import ClipWeights
from lightning_dqn.callbacks.device_stats import DeviceStats
from lightning_dqn.callbacks.diagnostics import Diagnostics
from lightning_dqn.callbacks.doctor import Doctor
from lightning_dqn.callbacks.episode_videos import EpisodeVideos
from lightning_dqn.callbacks.exact_metrics import ExactMetrics
from lightning_dqn.callbacks.freeze_layers import FreezeLayers
from lightning_dqn.callbacks.live_dashboard import LiveDashboard
from lightning_dqn.callbacks.matches import Matches
from lightning_dqn.callbacks.model_operation import CountedOperation, ModelOperation
from lightning_dqn.callbacks.periodic_reset import PeriodicReset
from lightning_dqn.callbacks.progress import EnvStepProgressBar
from lightning_dqn.callbacks.promote_past_self import PromotePastSelf
from lightning_dqn.callbacks.prune_trial import PruneTrial
from lightning_dqn.callbacks.redo import ReDo
from lightning_dqn.callbacks.safe_stop import SafeStop
from lightning_dqn.callbacks.shrink_and_perturb import ShrinkAndPerturb
from lightning_dqn.callbacks.target_network import EMATargetNetwork
from lightning_dqn.callbacks.unseen_states import UnseenStates
from lightning_dqn.callbacks.weight_average import WeightAverage

__all__ = [
    "ClipWeights",
    "CountedOperation",
    "DeviceStats",
    "Diagnostics",
    "Doctor",
    "EMATargetNetwork",
    "EnvStepProgressBar",
    "EpisodeVideos",
    "ExactMetrics",
    "FreezeLayers",
    "LiveDashboard",
    "Matches",
    "ModelOperation",
    "PeriodicReset",
    "PromotePastSelf",
    "PruneTrial",
    "ReDo",
    "SafeStop",
    "ShrinkAndPerturb",
    "UnseenStates",
    "WeightAverage",
]
