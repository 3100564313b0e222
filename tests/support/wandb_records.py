"""Reads a ``.wandb`` file back: what W&B would receive from an offline run.

The file is a LevelDB log: a head of 7 bytes, then blocks of 32 KiB that hold chunks, each with a
header of checksum, length and type; the chunks of one record may span blocks.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_HEAD = b":W&B"
_HEAD_SIZE = 7
_BLOCK_SIZE = 32 * 1024
_CHUNK_HEADER = struct.Struct("<IHB")  # crc, length, type
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_records(run_dir: Path) -> list[Record]:
    """Return the records of the one ``.wandb`` file in an offline run's directory."""
    (path,) = run_dir.glob("*.wandb")
    data = path.read_bytes()
    assert data.startswith(_HEAD), data[:_HEAD_SIZE]
    records, pending = [], b""
    for kind, chunk in _chunks(data):
        pending = chunk if kind in (_FULL, _FIRST) else pending + chunk
        if kind in (_FULL, _LAST):
            records.append(Record.FromString(pending))
    return records


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = _HEAD_SIZE
    while position + _CHUNK_HEADER.size <= len(data):
        block_left = _BLOCK_SIZE - position % _BLOCK_SIZE
        if block_left < _CHUNK_HEADER.size:
            position += block_left
            continue
        _, length, kind = _CHUNK_HEADER.unpack_from(data, position)
        position += _CHUNK_HEADER.size
        yield kind, data[position : position + length]
        position += length


def history(records: list[Record]) -> list[dict[str, Any]]:
    """Return the logged rows, W&B's own columns left out."""
    rows = [record.history.item for record in records if record.HasField("history")]
    pairs = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row}
        for row in rows
    ]
    return [{key: row[key] for key in row if not key.startswith("_")} for row in pairs]


def config(records: list[Record]) -> dict[str, Any]:
    """Return the run's configuration after all updates."""
    updates = [record.run.config.update for record in records if record.HasField("run")]
    updates += [record.config.update for record in records if record.HasField("config")]
    return {item.key: json.loads(item.value_json) for update in updates for item in update}


def step_metrics(records: list[Record]) -> dict[str, str]:
    """Return the x-axis of each metric or pattern; a later definition wins."""
    metrics = [record.metric for record in records if record.HasField("metric")]
    return {metric.name or metric.glob_name: metric.step_metric for metric in metrics}


def summary(records: list[Record]) -> dict[str, Any]:
    """Return the run's summary after all updates."""
    updates = [record.summary.update for record in records if record.HasField("summary")]
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for update in updates
        for item in update
    }


def exit_codes(records: list[Record]) -> list[int]:
    """Return what the run said that it ended with, each time."""
    return [record.exit.exit_code for record in records if record.HasField("exit")]
