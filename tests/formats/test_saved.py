"""A module comes back from its files; what is damaged or something else is refused."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.formats.saved import (
    HYPERPARAMETERS,
    WEIGHTS,
    load_agent,
    read_saved,
    save_weights,
)
from lightning_dqn.formats.tensors import read_tensors
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead


@pytest.fixture
def module(make_module, make_data, make_trainer) -> DQN:
    module = make_module(dueling=True)
    average = EMATargetNetwork(decay=0.5, network="average_network", evaluate=True)
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1), average]).fit(module, make_data())
    return module


def test_a_module_comes_back_with_all_its_networks(module, tmp_path):
    save_weights(module.agent, tmp_path)
    loaded = load_agent(tmp_path)
    observation = torch.randn(5, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))
    assert loaded.evaluation_network == "average_network"
    for name, tensor in module.agent.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_the_files_are_readable_without_this_package(module, tmp_path):
    path = save_weights(module.agent, tmp_path)
    assert path == tmp_path / WEIGHTS
    names = set(load_file(path))
    assert {"q_network.torso.0.weight", "target_network.torso.0.weight"} <= names
    description = json.loads((tmp_path / HYPERPARAMETERS).read_text())
    assert description["hyperparameters"]["environment"]["num_actions"] == 2


def test_writing_again_replaces_both_files_and_leaves_nothing_beside_them(module, tmp_path):
    save_weights(module.agent, tmp_path)
    torch.nn.init.zeros_(module.agent.average_network.head.value.weight)
    save_weights(module.agent, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, HYPERPARAMETERS}
    assert not load_agent(tmp_path).average_network.head.value.weight.any()


@pytest.mark.skipif(os.name != "posix", reason="permission bits of POSIX")
@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_weights_are_as_readable_as_their_description(umask, expected, module, tmp_path):
    before = os.umask(umask)
    try:
        save_weights(module.agent, tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {WEIGHTS: expected, HYPERPARAMETERS: expected}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere: there is no such file or folder"):
        load_agent(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(keep, module, tmp_path):
    path = save_weights(module.agent, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match="no readable weights there"):
        load_agent(tmp_path)


def test_weights_of_another_network_are_refused(module, make_module, tmp_path):
    save_weights(module.agent, tmp_path)
    save_weights(make_module(network=[{"Linear": 3}]).agent, tmp_path / "other")
    (tmp_path / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match=r"differs from its checksum in module\.json"):
        load_agent(tmp_path)
    forget_checksum(tmp_path)
    with pytest.raises(ValueError, match=r"doesn't fit module\.json"):
        load_agent(tmp_path)


def forget_checksum(folder: Path) -> None:
    """Leave the hyper-parameters as they were written before there were checksums."""
    description = json.loads((folder / HYPERPARAMETERS).read_text())
    del description["sha256"]
    (folder / HYPERPARAMETERS).write_text(json.dumps(description))


def test_one_flipped_bit_is_told_with_the_file(module, tmp_path):
    path = save_weights(module.agent, tmp_path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{WEIGHTS}: differs from its checksum") as caught:
        load_agent(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="differs from its checksum"):
        read_tensors(path)
    forget_checksum(tmp_path)
    load_agent(tmp_path)  # nothing tells


def test_files_of_before_without_a_checksum_load(module, tmp_path):
    save_weights(module.agent, tmp_path)
    forget_checksum(tmp_path)
    observation = torch.randn(5, 4)
    assert torch.equal(load_agent(tmp_path).q_values(observation), module.q_values(observation))


@pytest.mark.parametrize(
    "head",
    [
        ScalarHead(error="mse"),
        CategoricalHead(5, -1.0, 1.0),
        QuantileHead(3),
        ImplicitQuantileHead(4, num_evaluation_quantiles=5, num_cosines=6),
        ProposedQuantileHead(4, num_cosines=6),
    ],
    ids=lambda head: type(head).__name__,
)
@pytest.mark.parametrize("target_network", [False, True])
def test_every_head_comes_back(head, target_network, make_module, tmp_path):
    options = {"dueling": True, "noisy": True, "layer_norm": True, "munchausen": Munchausen(0.5)}
    module = make_module(head=head, double=False, slow_copy=target_network, **options)
    save_weights(module.agent, tmp_path, module.hparams)
    loaded = load_agent(tmp_path)
    assert loaded.head == head
    assert read_saved(tmp_path).hyperparameters["target"]["munchausen"]["alpha"] == 0.5
    assert loaded.state_dict().keys() == module.agent.state_dict().keys()
    observation = torch.randn(5, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))


def test_a_folder_and_a_checkpoint_hold_the_same_agent(module, tmp_path):
    save_weights(module.agent, tmp_path / "run")
    module.trainer.save_checkpoint(tmp_path / "last.ckpt")
    for path in (tmp_path / "run", tmp_path / "last.ckpt", str(tmp_path / "last.ckpt")):
        loaded = load_agent(path)
        assert loaded.evaluation_network == "average_network"
        assert loaded.state_dict().keys() == module.agent.state_dict().keys()
        for name, tensor in module.agent.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor), (path, name)
    counters = {"updates": module.updates, "env_steps": module.env_steps}
    assert read_saved(tmp_path / "last.ckpt").counters == counters
    assert module.updates > 0


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(keep, module, tmp_path):
    path = tmp_path / "last.ckpt"
    module.trainer.save_checkpoint(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match=r"last\.ckpt: no readable checkpoint"):
        load_agent(path)


def test_what_is_no_checkpoint_of_a_dqn_is_refused(tmp_path):
    path = tmp_path / "some.ckpt"
    with pytest.raises(ValueError, match=r"some\.ckpt: there is no such file or folder"):
        load_agent(path)
    path.write_text("weights, but in words\n")
    with pytest.raises(ValueError, match=r"some\.ckpt: no readable checkpoint"):
        load_agent(path)
    for content, told in ((torch.ones(3), "it holds no mapping"), ({}, "holds no DQN")):
        torch.save(content, path)
        with pytest.raises(ValueError, match=rf"some\.ckpt: .*{told}"):
            load_agent(path)


class Loud:
    """Says so when it is unpickled."""

    loads = 0

    def __reduce__(self) -> tuple:
        return (Loud._load, ())

    @staticmethod
    def _load() -> None:
        Loud.loads += 1


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"dqn": Loud()}, tmp_path / "some.ckpt")
    with pytest.raises(ValueError, match=r"some\.ckpt: no readable checkpoint"):
        load_agent(tmp_path / "some.ckpt")
    assert Loud.loads == 0


def test_a_checkpoint_whose_parts_do_not_fit_is_refused(module, tmp_path):
    path = tmp_path / "last.ckpt"
    module.trainer.save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["q_network.torso.0.weight"] = torch.ones(3, 4)
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="its weights don't fit its hyper-parameters"):
        load_agent(path)
