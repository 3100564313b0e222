"""Latents of a Q-network: they lead to its values, and the first linear layer projects them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.foretelling import CONVOLUTIONS, LATENT, LAYERS, PROJECTED, SPEC
from torch import nn

from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import ImplicitQuantileHead, ProposedQuantileHead
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.latents import Latents
from lightning_dqn.networks.q_network import QNetwork, build_layers
from lightning_dqn.networks.self_prediction import Renormalise, renormalised
from lightning_dqn.networks.torsos import Impala, NatureCNN, NetworkOptions

HEADS: list[Head] = [
    ScalarHead(),
    CategoricalHead(num_atoms=5, v_min=-1.0, v_max=1.0),
    ImplicitQuantileHead(num_quantiles=4, num_cosines=5),
    ProposedQuantileHead(num_quantiles=4, num_cosines=5),
]


def network(layers: Any = LAYERS, head: Head | None = None, **options: Any) -> QNetwork:
    torch.manual_seed(0)
    return QNetwork(SPEC, layers, head=head, options=NetworkOptions(**options))


def images(number: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(256, (number, 2, 12, 12), generator=draw, dtype=torch.uint8)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("dueling", [True, False])
@pytest.mark.parametrize("layers", [LAYERS, [*CONVOLUTIONS, "Flatten"], CONVOLUTIONS])
def test_values_of_latents_are_the_networks(head: Head, dueling: bool, layers: Any) -> None:
    made = network(layers, head, dueling=dueling, head_hidden=6).eval()
    latents = Latents(made, SPEC)
    latent = latents.encode(images())
    assert latent.shape == (3, *LATENT) == (3, *latents.shape)
    assert torch.equal(head.q_values(latents.values(latent)), head.q_values(made(images())))


def test_the_torsos_linear_layer_projects_without_its_activation() -> None:
    made = network(head_hidden=6)
    latents, latent = Latents(made, SPEC), torch.rand(3, *LATENT)
    assert latents.projected == PROJECTED
    expected = latent.flatten(1) @ made.torso[6].weight.T + made.torso[6].bias
    torch.testing.assert_close(latents.project(latent), expected)
    assert (expected < 0).any()


def test_the_hidden_layers_of_value_and_advantage_project_together_and_without_noise() -> None:
    made: Any = network([*CONVOLUTIONS, "Flatten"], dueling=True, noisy=True, head_hidden=6)
    latents, latent = Latents(made, SPEC), torch.rand(3, *LATENT)
    assert latents.projected == 12
    value, advantage = made.head.value[0], made.head.advantage[0]
    parts = [latent.flatten(1) @ one.weight.T + one.bias for one in (value, advantage)]
    torch.testing.assert_close(latents.project(latent), torch.cat(parts, dim=1))


def test_looking_at_a_network_changes_neither_mode_nor_statistics() -> None:
    layers = [*CONVOLUTIONS, {"BatchNorm2d": 4}, "Flatten", {"Linear": 7}]
    made = network(layers)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    Latents(made, SPEC)
    assert all(module.training for module in made.modules())
    assert all(torch.equal(before[n], tensor) for n, tensor in made.state_dict().items())


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (nn.Linear(2, 2), "it is a Linear, not built from a list of layers"),
        (network(["Flatten", {"Linear": 4}]), "no convolutions stand before its first Flatten"),
        (network([*CONVOLUTIONS, "Flatten"]), "it has no hidden linear layer"),
        (
            network([*CONVOLUTIONS, "Flatten", {"Unflatten": [1, [4, 9]]}, {"Linear": 4}]),
            "its first linear layer doesn't read the whole latent",
        ),
    ],
    ids=["own", "no image", "no hidden layer", "parts"],
)
def test_networks_without_latents_are_refused(made: nn.Module, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^network: .*{reason}.*module/self_prediction=none\)$"):
        Latents(made, SPEC)


@pytest.mark.parametrize(("torso", "channels"), [(NatureCNN, 64), (Impala, 32)])
def test_a_torso_may_renormalise_what_its_convolutions_make(torso: Any, channels: int) -> None:
    image = torch.rand(2, 4, 84, 84)
    plain = torso(hidden=None).layer_list()
    scaled = torso(hidden=None, renormalised=True).layer_list()
    assert [layer for layer in scaled if layer != "Renormalise"] == plain
    torch.manual_seed(0)
    before = build_layers(plain, image)[:-1](image).detach()
    torch.manual_seed(0)
    built = build_layers(scaled, image)
    assert isinstance(built[-2], Renormalise)
    found = built[:-1](image).detach()
    assert found.shape[1] == channels
    torch.testing.assert_close(found, renormalised(before))
    assert found.amin() == 0.0
    assert found.amax().item() == pytest.approx(1.0, abs=1e-3)
