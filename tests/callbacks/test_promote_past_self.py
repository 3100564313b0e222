"""The gate into the pool of past selves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from support.board_runs import ID, board_data, board_module
from torch.nn.utils import parameters_to_vector

from lightning_dqn import DQN, EnvironmentFactory
from lightning_dqn.callbacks import EMATargetNetwork, LiveDashboard, PromotePastSelf
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


class Solved(torch.nn.Module):
    """Knows the Q-values of every position; ``sign`` -1 makes the worst of them."""

    def __init__(self, tree: GameTree, sign: float = 1.0) -> None:
        super().__init__()
        values = np.nan_to_num(tree.values_against(tree.random_policy(), (1.0, 0.0, -1.0)))
        key = GAME.encode(tree.state).astype(np.int64) @ 3 ** np.arange(9)
        table = torch.zeros(3**9, 9)
        table[torch.as_tensor(key + 3**9 // 2)] = torch.as_tensor(values, dtype=torch.float32)
        self.table = torch.nn.Parameter(table)
        self.sign = torch.nn.Parameter(torch.tensor(sign))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        key = (observation.long() * 3 ** torch.arange(9)).sum(dim=1) + 3**9 // 2
        return self.sign * self.table[key]


@pytest.fixture(scope="module")
def tree() -> GameTree:
    return GameTree.of(GAME)


def solved_module(tree: GameTree, sign: float = 1.0) -> DQN:
    """Return a module that plays well (or as badly as can be) and learns next to nothing."""
    frozen = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.0)}
    return board_module(network=Solved(tree, sign), **frozen)


def weights_of(pool: PastSelves) -> list[torch.Tensor]:
    return [torch.cat([p.flatten() for p in q.network.parameters()]) for q in pool.policies]  # type: ignore[attr-defined]


def test_the_first_past_self_must_beat_random_moves(
    tree: GameTree, make_board_trainer: Any
) -> None:
    pool = PastSelves()
    trainer = make_board_trainer(callbacks=[gate := PromotePastSelf(games=40)])
    trainer.fit(solved_module(tree), board_data(opponent=pool))
    assert gate.promotions == len(pool.policies) == 1
    assert trainer.callback_metrics["eval/promotions"] == 1
    assert trainer.callback_metrics["eval/promotion_win_rate"] > 0.7
    trainer = make_board_trainer(callbacks=[gate := PromotePastSelf(games=40)])
    trainer.fit(solved_module(tree, sign=-1.0), board_data(opponent=pool))
    assert gate.promotions == len(pool.policies) == 0
    assert trainer.callback_metrics["eval/promotion_win_rate"] < 0.3


def test_a_pool_of_evaluation_is_filled_likewise(tree: GameTree, make_board_trainer: Any) -> None:
    pool, other = PastSelves(), PastSelves(capacity=1)
    evaluation = EnvironmentFactory(ID, kwargs={"opponent": other})
    data = board_data(opponent=pool, evaluation=evaluation)
    make_board_trainer(callbacks=[PromotePastSelf(games=40)]).fit(solved_module(tree), data)
    assert pool.policies == other.policies
    assert len(other.policies) == 1


def test_who_is_as_good_as_the_newest_stays_outside(
    tree: GameTree, make_board_trainer: Any
) -> None:
    pool = PastSelves()
    trainer = make_board_trainer(callbacks=[gate := PromotePastSelf(games=200)], max_epochs=4)
    trainer.fit(solved_module(tree), board_data(opponent=pool))
    assert gate.promotions == 1
    assert 0.1 < trainer.callback_metrics["eval/promotion_win_rate"] < 0.6


def test_a_promoted_self_no_longer_learns(tree: GameTree, make_board_trainer: Any) -> None:
    pool, module = PastSelves(), solved_module(tree)
    make_board_trainer(callbacks=[PromotePastSelf(games=40)]).fit(module, board_data(opponent=pool))
    [frozen] = pool.policies
    state = GAME.initial_state(1)
    before = frozen.act(GAME.encode(state), GAME.legal_moves(state))
    with torch.no_grad():
        module.q_network.sign.neg_()
    after = frozen.act(GAME.encode(state), GAME.legal_moves(state))
    assert (before == after).all()
    assert not any(p.requires_grad for p in frozen.network.parameters())  # type: ignore[attr-defined]


def test_the_network_that_plays_is_promoted(make_board_trainer: Any) -> None:
    pool, module = PastSelves(), board_module()
    average = EMATargetNetwork(tau=0.01, network="average", evaluate=True)
    gate = PromotePastSelf(games=2, level=0.99)
    noted: list[tuple[int, torch.Tensor]] = []

    class Notes(pl.Callback):
        def on_validation_end(self, *_: Any) -> None:
            weights = parameters_to_vector(module.agent.get_submodule("average").parameters())
            noted.append((gate.promotions, weights.detach().clone()))

    trainer = make_board_trainer(callbacks=[average, gate, Notes()], max_epochs=3)
    trainer.fit(module, board_data(opponent=pool))
    assert gate.promotions == len(pool.policies) > 0
    for number, policy in enumerate(weights_of(pool), start=1):
        assert torch.equal(policy, next(w for promotions, w in noted if promotions == number))
    assert not torch.equal(noted[-1][1], parameters_to_vector(module.q_network.parameters()))


@pytest.mark.parametrize(
    ("wins", "losses", "promoted"), [(59, 41, True), (58, 42, False), (0, 0, False), (5, 0, True)]
)
def test_the_level_decides(
    wins: int, losses: int, promoted: bool, make_board_trainer: Any, monkeypatch: Any
) -> None:
    """Of 100 tosses 59 or more heads have 4.4 %, 58 or more 6.7 %; 5 of 5 have 3.1 %."""
    from lightning_dqn.games.matches import Record, SeatRecords

    record = SeatRecords(Record(wins, 100 - wins - losses, losses), Record())
    monkeypatch.setattr(
        "lightning_dqn.callbacks.promote_past_self.play_both_seats", lambda *a, **k: record
    )
    pool = PastSelves()
    trainer = make_board_trainer(callbacks=[gate := PromotePastSelf(games=100)])
    trainer.fit(board_module(), board_data(opponent=pool))
    assert gate.promotions == len(pool.policies) == int(promoted)


def test_both_seats_are_played_against_the_newest(
    make_board_trainer: Any, monkeypatch: Any
) -> None:
    from lightning_dqn.games.matches import Record, SeatRecords
    from lightning_dqn.games.opponents.random import RandomOpponent

    asked = []

    def note(game: Any, player: Any, opponent: Any, games: int, generator: Any, **how: Any) -> Any:
        asked.append((opponent, games, generator.bit_generator.state["state"]["state"], how))
        return SeatRecords(Record(games, 0, 0), Record(games, 0, 0))

    monkeypatch.setattr("lightning_dqn.callbacks.promote_past_self.play_both_seats", note)
    pool = PastSelves(capacity=2)
    gate = PromotePastSelf(games=40, random_plies=3)
    trainer = make_board_trainer(callbacks=[gate], max_epochs=4)
    trainer.fit(board_module(), board_data(opponent=pool))
    assert isinstance(asked[0][0], RandomOpponent)
    assert [games for _, games, _, _ in asked] == [20] * 4
    assert len({seed for _, _, seed, _ in asked}) == 4
    assert {how["random_plies"] for *_, how in asked} == {3}
    assert gate.promotions == 4
    assert len(pool.policies) == 2
    assert asked[-1][0].policy.network is not pool.policies[-1].network  # type: ignore[attr-defined]
    assert asked[-1][0].policy.network is pool.policies[-2].network  # type: ignore[attr-defined]
    first, second = weights_of(pool)
    assert not torch.equal(first, second)


def test_a_test_promotes_nobody(tree: GameTree, make_board_trainer: Any) -> None:
    pool = PastSelves()
    trainer = make_board_trainer(callbacks=[gate := PromotePastSelf(games=40)])
    module, data = solved_module(tree), board_data(opponent=pool)
    trainer.test(module, data, verbose=False)
    trainer.validate(module, data, verbose=False)
    assert gate.promotions == len(pool.policies) == 0


@dataclass
class Key(pl.Callback):
    """Asks for an evaluation after some iterations, as a key of the dashboard does."""

    dashboard: LiveDashboard
    iterations: tuple[int, ...]
    evaluations: int = field(default=0, init=False)

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step // 2 in self.iterations:
            self.dashboard._evaluation.ask(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.evaluations += 1


def test_an_evaluation_by_a_key_changes_nothing_that_is_learned(make_board_trainer: Any) -> None:
    def fit(*iterations: int) -> tuple[int, PromotePastSelf, DQN]:
        dashboard, gate = LiveDashboard(show=False), PromotePastSelf(games=2, level=0.99)
        key, module = Key(dashboard, iterations), board_module()
        trainer = make_board_trainer(callbacks=[key, dashboard, gate], max_epochs=3)
        trainer.fit(module, board_data(opponent=PastSelves()))
        return key.evaluations, gate, module

    evaluations, plain, module = fit()
    # Of the iterations that end an epoch the evaluation follows anyway, and promotes.
    more, pressed, again = fit(1, 2, 3)
    assert (evaluations, more) == (3, 5)
    assert plain.promotions == pressed.promotions > 1
    weights, expected = again.q_network.state_dict(), module.q_network.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_continued_run_has_the_pool_of_the_unbroken_one(
    tmp_path: Path, make_board_trainer: Any
) -> None:
    def fit(epochs: int, ckpt: Path | None = None) -> tuple[PastSelves, Any, Any]:
        pool = PastSelves()
        gate = PromotePastSelf(games=2, level=0.99)
        trainer = make_board_trainer(callbacks=[gate], max_epochs=epochs)
        trainer.fit(board_module(), board_data(opponent=pool), ckpt_path=ckpt)
        return pool, gate, trainer

    whole, _, trainer = fit(3)
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    assert len(whole.policies) > 1
    checkpoint = torch.load(path, weights_only=True)
    [state] = [s for name, s in checkpoint["callbacks"].items() if "PromotePastSelf" in name]
    assert len(state["past_selves"]) == len(whole.policies)
    continued, gate, _ = fit(3, path)  # no epoch is left: what it has was restored
    assert gate.promotions == state["promotions"]
    for found, expected in zip(weights_of(continued), weights_of(whole), strict=True):
        assert torch.equal(found, expected)
    observation = GAME.encode(GAME.initial_state(1))
    for found, expected in zip(continued.policies, whole.policies, strict=True):
        assert torch.equal(found.q_values(observation), expected.q_values(observation))  # type: ignore[attr-defined]
    longer, gate, _ = fit(5, path)
    assert gate.promotions >= state["promotions"]
    kept = len(whole.policies)
    assert torch.equal(weights_of(longer)[kept - 1], weights_of(whole)[-1])


def test_the_pool_the_callback_fills_is_the_one_that_is_played(make_board_trainer: Any) -> None:
    pool = PastSelves()
    data = board_data(opponent=pool)
    assert data.environment.make().unwrapped.opponent is pool


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"opponent": "random"}, "the training environment's opponent is .*RandomOpponent"),
        ({}, "opponent is None; make it PastSelves"),
        ({"opponent": PastSelves(), "overlap": True}, "overlap=True collects during validation"),
    ],
)
def test_other_settings_are_refused(
    data: dict[str, Any], message: str, make_board_trainer: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        make_board_trainer(callbacks=[PromotePastSelf()]).fit(board_module(), board_data(**data))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"games": 3}, "games=3: an even number"), ({"level": 0.0}, r"level=0\.0: a probability")],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromotePastSelf(**arguments)
