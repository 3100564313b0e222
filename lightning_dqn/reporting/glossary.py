"""Every metric that a run may log: the one list of their keys, with meaning and unit.

The site's page of metrics is made of it; tests hold it against what is logged. ``<opponent>`` and
``<seat>`` stand for the names that a run has.
"""

import re
from typing import Literal

GLOSSARY = {
    "rollout/episode_return": "mean undiscounted return of the newest 100 training episodes",
    "rollout/episode_length": "their mean length in env steps",
    "rollout/wrapped_return": (
        "their mean return as wrappers (`environment.wrappers`) make it, which is learned from; "
        "the return is the environment's own"
    ),
    "rollout/new_episode_return": (
        "mean undiscounted return of the training episodes that ended since the row before; none "
        "where none did. Where episodes are long the newest 100 may be all of a run"
    ),
    "rollout/epsilon": "probability of a random action",
    "rollout/worker_restarts": (
        "with `environment.vectorization=async`: processes of training's environments that failed, "
        "died or hung and were replaced, so far"
    ),
    "rollout/actors": "with `data/collection=ray`: actors whose rows are coming",
    "rollout/rows_ahead": "likewise: rows that actors sent and that aren't learned from yet",
    "rollout/policy_age": (
        "likewise: env steps since the weights were sent by which the oldest of the iteration's "
        "rows were collected"
    ),
    "rollout/updates_per_env_step": "likewise: what was learned for what was taken, as counted",
    "train/loss": "mean loss of the iteration's updates",
    "train/q_value": "mean predicted value of the actions learned from",
    "train/td_error": "mean absolute TD error",
    "train/gradient_norm": "mean L2 norm of the gradient before clipping",
    "train/self_prediction_loss": (
        "with `module/self_prediction=spr`: mean squared distance of what was foretold from what "
        "came, of unit vectors, before its weight; 2 is chance, 0 perfect"
    ),
    "train/learning_rate": "of the first param group",
    "train/updates": "updates so far",
    "eval/episode_return": "mean return of the validation episodes",
    "eval/episode_return_std": "their standard deviation",
    "eval/episode_length": "their mean length in env steps",
    "eval/episodes": "how many there were",
    "eval/episodes_cut": (
        "how many of them were cut at `data.evaluation.max_episode_steps`; above 0 it warns"
    ),
    "eval/wrapped_return": "their mean return as wrappers make it, where there are any",
    "eval/unseen_states": (
        "of a table: share of decisions in states it never learned from (`UnseenStates`)"
    ),
    "eval/<opponent>/<seat>/win_rate": (
        "share of games that the greedy policy won in `first` or `second` seat, with "
        "`Matches`; in a test these and the exact ones stand under `test/`"
    ),
    "eval/<opponent>/<seat>/draw_rate": "share of them drawn",
    "eval/<opponent>/<seat>/loss_rate": "share of them lost",
    "eval/promotion_win_rate": (
        "share of games won against the newest past self, with `PromotePastSelf`"
    ),
    "eval/promotions": "past selves promoted so far",
    "eval/q_rmse": (
        "with `ExactMetrics`: root of the mean squared difference to Q*, over all legal "
        "moves of all positions on the learner's turn"
    ),
    "eval/mean_regret": (
        "exact value of the best move minus that of the greedy one, mean over these positions"
    ),
    "eval/missed_wins": "positions in which a move wins at once and another is made",
    "eval/missed_win_rate": "share of the positions in which one wins",
    "eval/missed_blocks": (
        "positions in which the move lets the other win at once though another would not,"
        " and nothing wins at once"
    ),
    "eval/missed_block_rate": "share of the positions with such a choice",
    "eval/optimality_gap": (
        "mean reward of the optimum minus the policy's, counted out; in self-play against"
        " the perfect player"
    ),
    "eval/exploitability": (
        "what the opponent who knows the policy best makes above the game's value"
    ),
    "eval/exact/<opponent>/<seat>/win_rate": (
        "probability to win against the `random` or the `perfect` player, counted out"
    ),
    "eval/exact/<opponent>/<seat>/draw_rate": "to draw",
    "eval/exact/<opponent>/<seat>/loss_rate": "to lose",
    "test/episode_return": "mean return of the test episodes, other ones than for validation",
    "test/episode_return_std": "their standard deviation",
    "test/episode_length": "their mean length in env steps",
    "test/episodes": "how many there were",
    "test/episodes_cut": "likewise in the test",
    "test/wrapped_return": "likewise in the test",
    "test/unseen_states": "likewise in the test; above 0 it warns",
    "eval/return_p<share>": (
        "with `Diagnostics`: return of the worst (`0`), the median (`50`) and the best (`100`) "
        "validation episode, and the quartiles; healthy: the worst follows the best"
    ),
    "eval/overestimation": (
        "predicted values of the validation episodes' actions minus the discounted returns that "
        "followed, mean; a truncated episode goes on with its last observation's value; left out "
        "where only one of training and evaluation is self-play; healthy: near 0, above it values "
        "are too high"
    ),
    "eval/predicted_return": "of that, the mean predicted value",
    "eval/discounted_return": (
        "of that, the mean return, in the reward that is learned from, until a life's end where "
        "learning ends there too"
    ),
    "values/q_value_p<share>": (
        "with `Diagnostics`, of the newest minibatch: percentiles (5 to 95) of the predicted "
        "values of its actions, in units of return; healthy: within what returns can be"
    ),
    "values/td_error_p<share>": (
        "of its TD errors, target minus prediction; healthy: around 0, narrow beside the values"
    ),
    "values/action_gap": (
        "best minus second best legal action's value, mean, in units of return; healthy: above "
        "the size of the errors; near 0 the greedy action is chance"
    ),
    "values/target_outside_range": (
        "with C51: share of the targets' probability beyond the atoms; healthy: below 0.05"
    ),
    "exploration/action_share/<action>": (
        "share of the newest 1,024 actions, for up to 18 actions; healthy: none dies out for good"
    ),
    "exploration/action_entropy": (
        "entropy of these shares, 1 where all are equal and 0 where one is all; healthy: falling "
        "with epsilon, then steady"
    ),
    "replay/fill": "share of the ring that is filled; healthy: 1 after its capacity in env steps",
    "replay/ratio": (
        "updates for each env step of the iteration (Fedus et al. 2020); healthy: as was set, and "
        "less where environments are more than env steps an iteration: those that step are told"
    ),
    "replay/age_mean": (
        "mean age of what was learned from, in env steps; healthy: half the ring, where sampling "
        "is uniform"
    ),
    "replay/age_p<share>": "its percentiles (5 to 95)",
    "replay/duplicates": (
        "share of a minibatch that stands in it already; healthy: batch size over twice the rows, "
        "far above it few transitions are all"
    ),
    "replay/priority_p<share>": (
        "with prioritised sampling: percentiles (5 to 95) of the priorities that came back; "
        "healthy: falling with the TD error, without a tail that runs away"
    ),
    "replay/priority_stale": (
        "with prioritised sampling: how often the priorities it keeps don't follow those that came "
        "back; healthy: 0"
    ),
    "replay/terminated": (
        "share of the ring's rows with which an episode terminated; healthy: above 0, where "
        "episodes end by themselves"
    ),
    "replay/truncated": "share of them with which one was truncated",
    "replay/largest_reward": (
        "largest reward in the ring that is learned from, of either sign; healthy: of the order "
        "of 1, no value can lie above it over 1 - gamma"
    ),
    "network/weight_norm/<layer>": (
        "L2 norm of a layer's parameters; healthy: slow growth that settles"
    ),
    "network/weight_norm_p<share>": "of more than 24 layers: percentiles (5 to 95)",
    "network/gradient_norm/<layer>": (
        "L2 norm of their gradient in the newest update, clipped; healthy: of one size in all "
        "layers, none 0"
    ),
    "network/gradient_norm_p<share>": "likewise of more than 24 layers",
    "network/target_distance": (
        "L2 norm of online minus target weights, over that of the online ones; healthy: small and "
        "steady, or a saw with hard copies"
    ),
    "network/dormant_units": (
        "share of the torso's units that are all but silent (score up to 0.025, as `ReDo` has "
        "it); healthy: low, not growing"
    ),
    "time/env_steps": "env steps so far, warm-up included: the x-axis",
    "time/env_steps_per_second": "since the last row",
    "time/updates_per_second": "since the last row",
    "checkpoint/failed": (
        "checkpoints that couldn't be written so far, as on a full disk; a row each time"
    ),
    "system/cpu_percent": (
        "with `DeviceStats`: load of all processors of the machine since the last row, in percent"
    ),
    "system/cpu_vm_percent": "memory in use on the machine, in percent",
    "system/cpu_swap_percent": "swap in use on the machine, in percent; above 0 and rising: slow",
    "system/allocated_bytes.all.current": "of a GPU: bytes that tensors take",
    "system/allocated_bytes.all.peak": "the most that they took so far",
    "system/reserved_bytes.all.current": "of a GPU: bytes that torch keeps, free ones among them",
    "system/reserved_bytes.all.peak": "the most that it kept so far",
    "system/num_alloc_retries": "of a GPU: times that memory had to be given back to go on; 0",
    "system/num_ooms": "of a GPU: times that memory ran out; 0",
}
"""Key -> meaning."""

MEDIA = {
    "videos/best": "with `EpisodeVideos`, in W&B: the evaluation's episode of the highest return",
    "videos/median": "of the lower of the middle two returns where their number is even",
    "videos/worst": "of the lowest return",
    "videos/only": "of an evaluation of one episode alone",
}
"""Key -> meaning of what is no number: it goes to loggers that show it, and to files."""

_BY_ITSELF = re.compile(r"(rollout|train|time)/.*|(eval|test)/(episode.*|wrapped_return)", re.ASCII)

OF_CALLBACKS = {key for key in GLOSSARY if not _BY_ITSELF.fullmatch(key)}
"""The keys that are there only with the callback that measures them."""

BEST: dict[str, Literal["max", "min"]] = {
    "rollout/episode_return": "max",
    "rollout/new_episode_return": "max",
    "rollout/wrapped_return": "max",
    "eval/episode_return": "max",
    "eval/wrapped_return": "max",
    "eval/return_p<share>": "max",
    "eval/unseen_states": "min",
    "eval/<opponent>/<seat>/win_rate": "max",
    "eval/<opponent>/<seat>/loss_rate": "min",
    "eval/q_rmse": "min",
    "eval/mean_regret": "min",
    "eval/missed_wins": "min",
    "eval/missed_win_rate": "min",
    "eval/missed_blocks": "min",
    "eval/missed_block_rate": "min",
    "eval/optimality_gap": "min",
    "eval/exploitability": "min",
    "eval/exact/<opponent>/<seat>/win_rate": "max",
    "eval/exact/<opponent>/<seat>/loss_rate": "min",
}
"""Key -> which end of its values is the best, where one is. A test is made once, and has none."""

_RETURN = re.compile(r"(rollout|eval)/((new_)?episode_return|wrapped_return|return_p\d+)")

_BEST = [(re.compile(re.sub(r"<\w+>", r"[^/]+", key)), end) for key, end in BEST.items()]


def best_is(key: str) -> Literal["max", "min"] | None:
    """Return which end of a metric's values is the best; None where neither is."""
    return next((end for pattern, end in _BEST if pattern.fullmatch(key)), None)


def is_return(key: str) -> bool:
    """Tell whether a metric is a return of whole episodes, of training or evaluation."""
    return _RETURN.fullmatch(key) is not None
