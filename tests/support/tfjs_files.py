"""TF.js models written by hand, for tests of the importers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SHARD_BYTES = 64


def node(name, op, *inputs, **attrs):
    return {"name": name, "op": op, "input": list(inputs), "attr": attrs}


def write_tfjs(folder: Path, nodes, weights, *, shard_bytes=SHARD_BYTES) -> Path:
    """Write a TF.js graph model: `weights` maps names to arrays, or to (array, quantization)."""
    rows, blob = [], b""
    for name, value in weights.items():
        array, quantization = value if isinstance(value, tuple) else (value, None)
        row = {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        if quantization:
            row |= {"dtype": "float32", "quantization": quantization}
        rows.append(row)
        blob += array.tobytes()
    shards = [blob[at : at + shard_bytes] for at in range(0, len(blob), shard_bytes)]
    names = [f"group1-shard{number + 1}of{len(shards)}" for number in range(len(shards))]
    for name, data in zip(names, shards, strict=True):
        (folder / name).write_bytes(data)
    fields = {
        "modelTopology": {"node": nodes, "versions": {}},
        "weightsManifest": [{"paths": names, "weights": rows}],
    }
    path = folder / "model.json"
    path.write_text(json.dumps(fields))
    return path
