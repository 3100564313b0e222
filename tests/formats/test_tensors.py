"""Named tensors in files: bit for bit there and back, and what isn't one is refused by name."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_dqn.formats.tensors import SUFFIXES, read_tensors, tensor_writer, write_tensors
from lightning_dqn.safekeeping.checksums import write_described

TYPES = [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool]


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"weights{request.param}"


def some_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "0.weight": torch.randn(3, 2, generator=generator),
        "0.bias": torch.randn(3, generator=generator),
        "scalar": torch.tensor(float("nan")),
        "empty": torch.zeros(0, 4),
    }


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def test_tensors_come_back_bit_for_bit(path):
    tensors = some_tensors()
    write_tensors(path, tensors)
    found = read_tensors(path)
    assert {n: (bits(t), t.shape, t.dtype) for n, t in found.items()} == {
        n: (bits(t), t.shape, t.dtype) for n, t in tensors.items()
    }


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_type_comes_back(dtype, path):
    tensor = torch.tensor([0, 1, 1, 0]).to(dtype)
    write_tensors(path, {"a": tensor})
    found = read_tensors(path)["a"]
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


def test_a_view_and_a_parameter_are_written_as_their_values(path):
    view = torch.arange(6.0).view(2, 3).T
    write_tensors(path, {"view": view, "parameter": torch.nn.Parameter(torch.ones(2))})
    found = read_tensors(path)
    assert torch.equal(found["view"], view)
    assert torch.equal(found["parameter"], torch.ones(2))


def test_npz_has_no_bfloat16_and_says_which_tensor_is_one(tmp_path):
    with pytest.raises(ValueError, match=r"head\.weight: npz has no type for torch\.bfloat16"):
        write_tensors(tmp_path / "a.npz", {"head.weight": torch.ones(2, dtype=torch.bfloat16)})
    assert list(tmp_path.iterdir()) == []


def test_an_npz_of_numpy_is_read_in_its_order_whatever_its_layout(tmp_path):
    weight = np.arange(6, dtype=">f4").reshape(2, 3)
    np.savez(tmp_path / "a.npz", **{"2.weight": np.asfortranarray(weight), "0.bias": np.ones(2)})
    found = read_tensors(tmp_path / "a.npz")
    assert list(found) == ["2.weight", "0.bias"]
    assert torch.equal(found["2.weight"], torch.arange(6.0).view(2, 3))


def test_numpy_reads_what_is_written_as_little_endian_floats_in_row_order(tmp_path):
    write_tensors(tmp_path / "a.npz", {"0.weight": torch.arange(6.0).view(2, 3)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.namelist() == ["0.weight.npy"]
        header = archive.read("0.weight.npy")[10:128].decode("latin1")
    assert "'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)" in header


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused_by_its_name(keep, path):
    write_tensors(path, {"a": torch.randn(50, 50)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match=rf"{path.name}: no readable"):
        read_tensors(path)


def test_a_damaged_member_is_refused_by_its_name(tmp_path):
    path = tmp_path / "a.npz"
    write_tensors(path, {"ok": torch.zeros(4), "2.weight": torch.full((64,), 7.0)})
    content = path.read_bytes()
    place = content.rindex(np.float32(7.0).tobytes())
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(ValueError, match=r"a\.npz: 2\.weight can't be read"):
        read_tensors(path)


def test_text_and_an_image_are_refused(path):
    path.write_text("weights, but in words\n" * 20)
    with pytest.raises(ValueError, match=rf"{path.name}: no readable"):
        read_tensors(path)
    Image.new("RGB", (8, 8)).save(path, format="PNG")
    with pytest.raises(ValueError, match=rf"{path.name}: no readable"):
        read_tensors(path)


def test_the_other_format_under_this_name_is_refused(tmp_path):
    for suffix, other in (SUFFIXES, SUFFIXES[::-1]):
        path = tmp_path / f"a{suffix}"
        write_tensors(path, some_tensors())
        path = path.rename(tmp_path / f"b{other}")
        with pytest.raises(ValueError, match=rf"{path.name}: no readable"):
            read_tensors(path)


class Loud:
    """Says so when it is unpickled."""

    loads = 0

    def __setstate__(self, state: dict) -> None:
        Loud.loads += 1

    def __getstate__(self) -> dict:
        return {"a": 1}


def test_pickled_arrays_are_refused_and_not_run(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, weight=np.array([Loud()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npz: weight can't be read"):
        read_tensors(path)
    assert Loud.loads == 0


def test_a_file_of_one_nameless_array_text_or_nothing_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match="a single array without a name"):
        read_tensors(path)
    np.savez(path, names=np.array(["left", "right"]))
    with pytest.raises(ValueError, match=r"names is of the type <U5, not numbers"):
        read_tensors(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight.npy", b"not NumPy's")
    with pytest.raises(ValueError, match="weight isn't an array"):
        read_tensors(path)
    np.savez(path)
    with pytest.raises(ValueError, match="holds no tensors"):
        read_tensors(path)


def test_a_missing_file_and_another_suffix_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.npz: there is no such file"):
        read_tensors(tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match=r"a\.pkl: tensors are kept in files named"):
        read_tensors(tmp_path / "a.pkl")
    with pytest.raises(ValueError, match=r"a\.pkl: tensors are kept in files named"):
        write_tensors(tmp_path / "a.pkl", some_tensors())


@pytest.mark.parametrize("beside", ["weights.json", "weights.safetensors.json"])
def test_a_file_is_held_against_the_checksum_beside_it(beside, tmp_path):
    path = tmp_path / "weights.safetensors"
    write_described(path, tensor_writer(path, {"a": torch.ones(3)}), tmp_path / beside, {})
    assert torch.equal(read_tensors(path)["a"], torch.ones(3))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.safetensors: differs .* {beside}"):
        read_tensors(path)


def test_a_description_of_another_file_says_nothing_of_this_one(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_described(path, tensor_writer(path, {"a": torch.ones(3)}), tmp_path / "weights.json", {})
    write_tensors(tmp_path / "weights.npz", {"a": torch.zeros(3)})
    assert torch.equal(read_tensors(tmp_path / "weights.npz")["a"], torch.zeros(3))
