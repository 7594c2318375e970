"""What a model file says of itself, as a tree for machines and a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.model.backends.litert import compiled_for
from edge.model.delegates import CPU
from edge.model.loaded import load_model, read_spec
from edge.terminal import table

if TYPE_CHECKING:
    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, TensorSpec

MIB = 2**20


def inspect(file: ModelFile) -> dict[str, Any]:
    """Load a model, unless that needs a delegate, and return what `describe` does.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
    """
    delegate = compiled_for(file)
    spec = load_model(file).spec if delegate == CPU else read_spec(file)
    return describe(file, spec, delegate=delegate)


def describe(file: ModelFile, spec: ModelSpec, *, delegate: str = CPU) -> dict[str, Any]:
    """Return everything `edge inspect` shows, ready for JSON.

    Args:
        file: The model.
        spec: Its contract.
        delegate: The least that can run it.
    """
    tensors = [_tensor("input", spec.input)]
    tensors += [_tensor(role, output) for role, output in spec.outputs.items()]
    manifest = file.own_manifest().model_dump(mode="json")
    return {
        "file": str(file.path),
        "delegate": delegate,
        "size_mib": round(len(file.flatbuffer) / MIB, 2),
        "tensors": tensors,
        "anchors": 0 if file.description.anchors is None else len(file.description.anchors),
        **manifest,
    }


def render(facts: dict[str, Any]) -> str:
    """Return `describe`'s facts as text for a terminal."""
    rows = [
        [t["role"], t["name"], t["shape"], t["dtype"], t["scale"], t["zero_point"]]
        for t in facts["tensors"]
    ]
    labels = [label for label in facts["labels"] if label]
    sections = [
        f"{facts['name']}  ({facts['size_mib']} MiB, {facts['digest'][:19]}…)",
        *_delegate_lines(facts["delegate"]),
        table.render(["role", "tensor", "shape", "dtype", "scale", "zero point"], rows),
        _input_line(facts["input"]),
        *_head_lines(facts),
        _threshold_line(facts),
        f"labels      {len(labels)}: {', '.join(labels)}",
        *_accuracy_lines(facts["accuracy"]),
        *_provenance_lines(facts),
    ]
    return "\n".join(sections)


def _tensor(role: str, spec: TensorSpec) -> dict[str, Any]:
    return {
        "role": role,
        "name": spec.name,
        "shape": list(spec.shape),
        "dtype": str(spec.dtype),
        "scale": float(f"{spec.quant.scale:.6g}"),
        "zero_point": spec.quant.zero_point,
    }


def _delegate_lines(delegate: str) -> list[str]:
    if delegate == CPU:
        return []
    return [f'compiled for an Edge TPU: runs only with [model] delegate = "{delegate}"']


def _input_line(transform: dict[str, Any]) -> str:
    width, height = transform["size_wh"]
    mean = ", ".join(f"{value:g}" for value in transform["mean"])
    std = ", ".join(f"{value:g}" for value in transform["std"])
    return (
        f"frame       {transform['resize']} to {width} x {height}, {transform['color']}, "
        f"(pixel - ({mean})) / ({std})"
    )


def _head_lines(facts: dict[str, Any]) -> list[str]:
    return HEAD_LINES[facts["head"]["kind"]](facts)


def _ssd_lines(facts: dict[str, Any]) -> list[str]:
    head = facts["head"]
    background = ", column 0 is background" if head["background"] else ""
    line = (
        f"head        {head['kind']}, {facts['anchors']} anchors, "
        f"score activation {head['activation']}{background}"
    )
    return [line]


def _yolo_lines(facts: dict[str, Any]) -> list[str]:
    head = facts["head"]
    lines = [f"head        {head['kind']}, sides {head['sides']}, classes {head['classes']}"]
    for grid in head["grids"]:
        anchors = ", ".join(f"{width:g} x {height:g}" for width, height in grid["anchors_px"])
        roles = dict.fromkeys([grid["boxes"], grid["objectness"], grid["scores"]])
        lines.append(
            f"grid        {_cells(facts, grid['boxes'])} cells in {', '.join(roles)}, "
            f"centre times {grid['scale_xy']:g}, anchors {anchors} px"
        )
    return lines


def _anchor_free_lines(facts: dict[str, Any]) -> list[str]:
    head = facts["head"]
    bins = f" over {head['bins']} bins" if head["bins"] > 1 else ""
    lines = [f"head        {head['kind']}, boxes {head['boxes']}{bins}"]
    for grid in head["grids"]:
        roles = [role for role in (grid["boxes"], grid["scores"], grid["objectness"]) if role]
        lines.append(
            f"grid        {_cells(facts, grid['boxes'])} cells in {', '.join(roles)}, "
            f"stride {grid['stride_px']} px"
        )
    return lines


def _segmentation_lines(facts: dict[str, Any]) -> list[str]:
    head = facts["head"]
    background = head["background"]
    named = "none" if background is None else f"{background} ({facts['labels'][background]})"
    line = (
        f"head        {head['kind']}, {_cells(facts, 'classes')} cells, "
        f"activation {head['activation']}, background class {named}"
    )
    return [line]


HEAD_LINES = {
    "ssd": _ssd_lines,
    "yolo": _yolo_lines,
    "anchor_free": _anchor_free_lines,
    "segmentation": _segmentation_lines,
}


def _cells(facts: dict[str, Any], role: str) -> str:
    """Return the width and height of a grid."""
    shape = next(tensor["shape"] for tensor in facts["tensors"] if tensor["role"] == role)
    return f"{shape[2]} x {shape[1]}"


def _threshold_line(facts: dict[str, Any]) -> str:
    """Return the thresholds; where nothing is suppressed, an IoU has no meaning."""
    iou = "" if facts["head"]["kind"] == "segmentation" else f", IoU {facts['iou_threshold']}"
    return f"thresholds  score {facts['score_threshold']}{iou}"


def _accuracy_lines(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"accuracy    {row['metric']} float {row['float_value']:.4f}, "
        f"quantized {row['quantized_value']:.4f}, difference {row['difference']:+.4f} "
        f"(95 % interval {row['difference_interval'][0]:+.4f} to "
        f"{row['difference_interval'][1]:+.4f}), {row['images']} images of {row['dataset']}"
        for row in rows
    ]


def _provenance_lines(facts: dict[str, Any]) -> list[str]:
    origin, calibration = facts["provenance"], facts["calibration"]
    lines = [
        f"source      {origin['source']}",
        f"licence     {origin['license']}",
        f"changes     {origin['changes']}",
        f"recipe      {origin['recipe']}, seed {origin['seed']}",
    ]
    if calibration:
        lines.append(
            f"calibrated  {calibration['method']} over {calibration['images']} images, "
            f"{calibration['digest'][:19]}…"
        )
    tools = ", ".join(f"{name} {version}" for name, version in sorted(origin["tools"].items()))
    return [*lines, f"made with   {tools}"]
