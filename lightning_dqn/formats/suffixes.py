"""The formats that an agent is exported in, and how their files end; without torch."""

from __future__ import annotations

from typing import Literal

Format = Literal["safetensors", "npz", "onnx", "torchscript", "torch_export"]
Folder = Literal["card"]
"""A folder to publish, of several files."""
Keys = Literal["dfdx", "own"]

SUFFIXES: dict[Format, str] = {
    "safetensors": ".safetensors",
    "npz": ".npz",
    "onnx": ".onnx",
    "torchscript": ".pt",
    "torch_export": ".pt2",
}
