"""Files of named tensors that other libraries read and write: safetensors and NumPy's npz."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from lightning_dqn.safekeeping.checksums import verify
from lightning_dqn.system.files import write_whole

SUFFIXES = (".safetensors", ".npz")


def read_tensors(path: str | Path, *, suffix: str | None = None) -> dict[str, Tensor]:
    """Read the tensors of a file, on the CPU, in the file's order.

    Nothing in the file is run: pickled arrays are refused. Where a description with a checksum
    lies beside the file, its bytes are held against that.

    Args:
        path: a file.
        suffix: one of ``SUFFIXES`` that says how to read it; None: the file's own.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    kind = _known(suffix or path.suffix, path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    for name in (f"{path.name}.json", f"{path.stem}.json"):
        verify(path, path.with_name(name))
    tensors = _read_npz(path) if kind == ".npz" else _read_safetensors(path)
    if not tensors:
        raise ValueError(f"{path}: holds no tensors")
    return tensors


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], *, suffix: str | None = None
) -> None:
    """Write named tensors; the file is there whole or not at all.

    Args:
        path: the file.
        tensors: of any device.
        suffix: one of ``SUFFIXES`` that says how to write it; None: the file's own.

    Raises:
        ValueError: NumPy has no such type as a tensor's, or the suffix is another.
    """
    path = Path(path)
    write_whole(path, tensor_writer(path, tensors, suffix=suffix))


def tensor_writer(
    path: Path, tensors: Mapping[str, Tensor], *, suffix: str | None = None
) -> Callable[[Path], object]:
    """Return what writes named tensors into the file whose path it is given.

    Args:
        path: where the file will lie.
        tensors: of any device.
        suffix: see :func:`write_tensors`.

    Raises:
        ValueError: see :func:`write_tensors`.
    """
    kind = _known(suffix or path.suffix, path)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if kind == ".safetensors":
        content = save(whole)  # save_file would make a file that its owner alone may read
        return lambda target: target.write_bytes(content)
    arrays: Any = {name: _as_array(name, tensor) for name, tensor in whole.items()}

    def write(target: Path) -> None:
        with target.open("wb") as file:  # given a name, NumPy would add its suffix
            np.savez(file, allow_pickle=False, **arrays)

    return write


def _known(suffix: str, path: Path) -> str:
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: tensors are kept in files named {' or '.join(SUFFIXES)}")
    return suffix


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{path}: no readable safetensors file ({error})") from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except (OSError, EOFError, ValueError, BadZipFile) as error:
            # NumPy takes what it doesn't know for a pickle, which would mislead.
            kind = "truncated" if isinstance(error, BadZipFile | EOFError) else "of another kind"
            raise ValueError(f"{path}: no readable npz file, it is {kind}") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{path}: holds a single array without a name, not an npz of several")
        with archive:
            return {name: _read_member(archive, name, path) for name in archive.files}


def _read_member(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> Tensor:
    try:
        array = archive[name]
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: {name} can't be read ({error})") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: {name} isn't an array")
    try:
        return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))
    except TypeError as error:
        raise ValueError(f"{path}: {name} is of the type {array.dtype}, not numbers") from error


def _as_array(name: str, tensor: Tensor) -> np.ndarray:
    try:
        return tensor.numpy()
    except TypeError as error:
        raise ValueError(
            f"{name}: npz has no type for {tensor.dtype}; choose safetensors"
        ) from error
