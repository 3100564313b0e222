"""Every metric that a run may log: the one list of their keys, with meaning and unit.

The site's page of metrics is made from it; tests compare it with what is logged. ``<opponent>`` and
``<seat>`` stand for the names that a run has.
"""

import re
from typing import Literal

GLOSSARY = {
    "rollout/episode_return": "mean undiscounted return of the newest 100 training episodes",
    "rollout/episode_length": "their mean length in env steps",
    "rollout/wrapped_return": (
        "their mean return as changed by wrappers (`environment.wrappers`), which is learned from; "
        "the other returns are the environment's own"
    ),
    "rollout/new_episode_return": (
        "mean undiscounted return of the training episodes that ended since the previous row; "
        "empty if none did. If episodes are long, the newest 100 may be all of a run"
    ),
    "rollout/epsilon": "probability of a random action",
    "rollout/worker_restarts": (
        "with `environment.vectorization=async`: training environments' processes that failed, "
        "died or hung and were replaced so far"
    ),
    "rollout/actors": "with `data/collection=ray`: actors that send rows",
    "rollout/rows_ahead": (
        "with `data/collection=ray`: rows that actors sent and that aren't learned from yet"
    ),
    "rollout/policy_age": (
        "with `data/collection=ray`: env steps since the weights were sent that collected the "
        "oldest of the iteration's rows"
    ),
    "rollout/updates_per_env_step": "with `data/collection=ray`: updates per env step, as counted",
    "train/loss": "mean loss of the iteration's updates",
    "train/q_value": "mean predicted value of the actions learned from",
    "train/td_error": "mean absolute TD error",
    "train/gradient_norm": "mean L2 norm of the gradient before clipping",
    "train/self_prediction_loss": (
        "with `module/self_prediction=spr`: mean squared distance between predicted and actual "
        "latents, as unit vectors, before its weight; 2 is chance, 0 perfect"
    ),
    "train/learning_rate": "learning rate of the first param group",
    "train/updates": "updates so far",
    "eval/episode_return": "mean return of the validation episodes",
    "eval/episode_return_std": "their standard deviation",
    "eval/episode_length": "their mean length in env steps",
    "eval/episodes": "how many there were",
    "eval/episodes_cut": (
        "how many of them were cut at `data.evaluation.max_episode_steps`; above 0 there is a "
        "warning"
    ),
    "eval/wrapped_return": "their mean return as changed by wrappers, if there are any",
    "eval/unseen_states": (
        "with `UnseenStates`: share of decisions that a table takes in states it never learned from"
    ),
    "eval/<opponent>/<seat>/win_rate": (
        "with `Matches`: share of games that the greedy policy won in the `first` or `second` "
        "seat; in a test these keys and the exact ones begin with `test/`"
    ),
    "eval/<opponent>/<seat>/draw_rate": "share of them drawn",
    "eval/<opponent>/<seat>/loss_rate": "share of them lost",
    "eval/promotion_win_rate": (
        "with `PromotePastSelf`: share of games won against the newest past self"
    ),
    "eval/promotions": "past selves promoted so far",
    "eval/q_rmse": (
        "with `ExactMetrics`: root mean squared difference from Q*, over all legal "
        "moves of all positions on the learner's turn"
    ),
    "eval/mean_regret": (
        "exact value of the best move minus that of the greedy one, mean over these positions"
    ),
    "eval/missed_wins": "positions in which a move would win at once but another is made",
    "eval/missed_win_rate": "their share of the positions in which a move wins at once",
    "eval/missed_blocks": (
        "positions without an immediate win in which the move lets the opponent win at once "
        "though another would not"
    ),
    "eval/missed_block_rate": "their share of the positions with such a choice",
    "eval/optimality_gap": (
        "expected reward of the optimal policy minus that of this one, computed exactly; in "
        "self-play against the perfect player"
    ),
    "eval/exploitability": (
        "expected reward of a best response to the policy, minus the game's value"
    ),
    "eval/exact/<opponent>/<seat>/win_rate": (
        "exact probability of a win against the `random` or the `perfect` player"
    ),
    "eval/exact/<opponent>/<seat>/draw_rate": "exact probability of a draw",
    "eval/exact/<opponent>/<seat>/loss_rate": "exact probability of a loss",
    "test/episode_return": "mean return of the test episodes, which differ from validation's",
    "test/episode_return_std": "their standard deviation",
    "test/episode_length": "their mean length in env steps",
    "test/episodes": "how many there were",
    "test/episodes_cut": "as `eval/episodes_cut`, of the test episodes",
    "test/wrapped_return": "as `eval/wrapped_return`, of the test episodes",
    "test/unseen_states": (
        "as `eval/unseen_states`, in the test episodes; above 0 there is a warning"
    ),
    "eval/return_p<share>": (
        "with `Diagnostics`: return of the worst (`0`), the median (`50`) and the best (`100`) "
        "validation episode, and the quartiles; healthy: the worst rises with the best"
    ),
    "eval/overestimation": (
        "mean of the predicted values of the validation episodes' actions minus the discounted "
        "returns that followed; a truncated episode bootstraps from its last observation; missing "
        "if only one of training and evaluation is self-play; healthy: near 0; above 0 values "
        "are too high"
    ),
    "eval/predicted_return": "the mean predicted value in `eval/overestimation`",
    "eval/discounted_return": (
        "the mean return in `eval/overestimation`, of the reward that is learned from, until the "
        "end of a life if learning ends there too"
    ),
    "values/q_value_p<share>": (
        "with `Diagnostics`, of the newest minibatch: percentiles (5 to 95) of the predicted "
        "values of its actions, in units of return; healthy: within the range of possible returns"
    ),
    "values/td_error_p<share>": (
        "percentiles (5 to 95) of the newest minibatch's TD errors, target minus prediction; "
        "healthy: around 0, and narrow compared with the values"
    ),
    "values/action_gap": (
        "mean difference between the best and the second best legal action's value, in units of "
        "return; healthy: above the size of the errors; near 0 the greedy action is chance"
    ),
    "values/target_outside_range": (
        "with C51: share of the targets' probability outside the atoms; healthy: below 0.05"
    ),
    "exploration/action_share/<action>": (
        "share of the newest 1,024 actions, for up to 18 actions; healthy: none stays at 0"
    ),
    "exploration/action_entropy": (
        "entropy of these shares: 1 if all are equal, 0 if only one action is taken; healthy: "
        "falling with epsilon, then steady"
    ),
    "replay/fill": "share of the ring that is filled; healthy: 1 after its capacity in env steps",
    "replay/ratio": (
        "updates per env step of the iteration (Fedus et al. 2020); healthy: as set; lower if an "
        "iteration has fewer env steps than there are environments, since all of them step"
    ),
    "replay/age_mean": (
        "mean age of what was learned from, in env steps; healthy: half the ring with uniform "
        "sampling"
    ),
    "replay/age_p<share>": "percentiles of that age (5 to 95)",
    "replay/duplicates": (
        "share of a minibatch that repeats another of its transitions; healthy: batch size over "
        "twice the rows; far above that few transitions are drawn again and again"
    ),
    "replay/priority_p<share>": (
        "with prioritised sampling: percentiles (5 to 95) of the newest priorities; "
        "healthy: falling with the TD error, without a tail that keeps growing"
    ),
    "replay/priority_stale": (
        "with prioritised sampling: how often the stored priorities don't match the newest ones; "
        "healthy: 0"
    ),
    "replay/terminated": (
        "share of the ring's rows at which an episode terminated; healthy: above 0, if episodes "
        "terminate"
    ),
    "replay/truncated": "share of the ring's rows at which an episode was truncated",
    "replay/largest_reward": (
        "largest absolute reward in the ring that is learned from; healthy: of the order of 1; no "
        "value can exceed it divided by 1 - gamma"
    ),
    "network/weight_norm/<layer>": (
        "L2 norm of a layer's parameters; healthy: slow growth that settles"
    ),
    "network/weight_norm_p<share>": "their percentiles (5 to 95), for more than 24 layers",
    "network/gradient_norm/<layer>": (
        "L2 norm of a layer's gradient in the newest update, after clipping; healthy: of similar "
        "size in all layers, none 0"
    ),
    "network/gradient_norm_p<share>": "their percentiles (5 to 95), for more than 24 layers",
    "network/target_distance": (
        "L2 norm of online minus target weights, over that of the online ones; healthy: small and "
        "steady, or a sawtooth with hard copies"
    ),
    "network/dormant_units": (
        "share of the torso's units that are nearly inactive (score up to 0.025, as in `ReDo`); "
        "healthy: low, not growing"
    ),
    "time/env_steps": "env steps so far, warm-up included; the x-axis",
    "time/env_steps_per_second": "env steps per second since the last row",
    "time/updates_per_second": "updates per second since the last row",
    "checkpoint/failed": (
        "checkpoints that couldn't be written so far, for example on a full disk; a row each time"
    ),
    "system/cpu_percent": (
        "with `DeviceStats`: load of all processors of the machine since the last row, in percent"
    ),
    "system/cpu_vm_percent": "memory in use on the machine, in percent",
    "system/cpu_swap_percent": "swap in use on the machine, in percent; above 0 and rising: slow",
    "system/allocated_bytes.all.current": "on a GPU: bytes that tensors use",
    "system/allocated_bytes.all.peak": "on a GPU: most bytes that tensors used so far",
    "system/reserved_bytes.all.current": "on a GPU: bytes that torch reserves, used or free",
    "system/reserved_bytes.all.peak": "on a GPU: most bytes that torch reserved so far",
    "system/num_alloc_retries": (
        "on a GPU: times that torch had to free cached memory to continue; healthy: 0"
    ),
    "system/num_ooms": "on a GPU: times that memory ran out; healthy: 0",
}
"""Key -> meaning."""

MEDIA = {
    "videos/best": "with `EpisodeVideos`, in W&B: the evaluation episode with the highest return",
    "videos/median": "the median one; of an even number, the lower of the middle two",
    "videos/worst": "the one with the lowest return",
    "videos/only": "the only episode, if the evaluation has just one",
}
"""Key -> meaning of what isn't a number: it goes to loggers that can show it, and to files."""

_BY_ITSELF = re.compile(r"(rollout|train|time)/.*|(eval|test)/(episode.*|wrapped_return)", re.ASCII)

OF_CALLBACKS = {key for key in GLOSSARY if not _BY_ITSELF.fullmatch(key)}
"""The keys that are logged only with the callback that measures them."""

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
"""Key -> whether its largest or smallest value is best, if either is. A test runs once: none."""

_RETURN = re.compile(r"(rollout|eval)/((new_)?episode_return|wrapped_return|return_p\d+)")

_BEST = [(re.compile(re.sub(r"<\w+>", r"[^/]+", key)), end) for key, end in BEST.items()]


def best_is(key: str) -> Literal["max", "min"] | None:
    """Return whether a metric's largest or smallest value is best; None if neither is."""
    return next((end for pattern, end in _BEST if pattern.fullmatch(key)), None)


def is_return(key: str) -> bool:
    """Tell whether a metric is a return of whole episodes, of training or evaluation."""
    return _RETURN.fullmatch(key) is not None
