"""What the Edge TPU would run of a model and what the CPU: said without compiling.

The compiler maps one connected part of the graph, from the input on. An op that it supports still
runs on the CPU if anything that it needs was computed there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.deliver.targets.edgetpu_ops import (
    ADVICE,
    COMPILER_VERSION,
    CONSTANT_DTYPES,
    DOUBTS,
    DTYPES,
    INT8_VERSIONS,
    ON_CHIP_BYTES,
    READABLE_VERSIONS,
    SUPPORTED,
    innermost_axes,
)
from converter.graph.reading import read
from edge.terminal.table import render

if TYPE_CHECKING:
    from converter.graph.values import Graph, Op
    from edge.model.model_file import ModelFile

MIB = 2**20
TPU, CPU, DOUBT = "Edge TPU", "CPU", "Edge TPU?"
AFTER = "behind an op that runs on the CPU: only one part is mapped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one op would run.

    Attributes:
        number: In the model's order.
        place: `TPU`, `CPU`, or `DOUBT` where the published table leaves it open.
        reason: Why not for certain on the Edge TPU; empty where it is.
    """

    number: int
    kind: str
    version: int
    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """What the compiler is expected to make of a model.

    Attributes:
        verdicts: Of each op.
        unreadable: Why the compiler would refuse the whole file, a clause each.
        parameter_bytes: Of the constants of the ops that would be mapped.
    """

    verdicts: tuple[Verdict, ...]
    unreadable: tuple[str, ...]
    parameter_bytes: int

    @property
    def on_cpu(self) -> tuple[Verdict, ...]:
        """The ops that would run on the CPU."""
        return tuple(row for row in self.verdicts if row.place == CPU)

    @property
    def streamed_bytes(self) -> int:
        """Parameters beyond the on-chip memory, sent anew for each frame."""
        return max(0, self.parameter_bytes - ON_CHIP_BYTES)


def check(file: ModelFile) -> Check:
    """Return what the compiler is expected to make of a quantised model.

    Raises:
        ModelError: The model is damaged.
    """
    graph = read(file.flatbuffer, file.path)
    reached: set[str] = set(graph.inputs)
    verdicts: list[Verdict] = []
    parameters: dict[str, int] = {}
    for number, op in enumerate(graph.ops):
        reason = _own_reason(op, graph)
        if not reason and not reached.issuperset(graph.computed_inputs(op)):
            reason = AFTER
        if not reason:
            reached.update(op.outputs)
            parameters |= {
                name: value.nbytes for name in op.inputs if (value := graph.value(name)) is not None
            }
        doubt = "" if reason else _doubt(op)
        place = CPU if reason else DOUBT if doubt else TPU
        verdicts.append(Verdict(number, op.kind, op.version, place, reason or doubt))
    return Check(
        verdicts=tuple(verdicts),
        unreadable=tuple(_unreadable(graph)),
        parameter_bytes=sum(parameters.values()),
    )


def _own_reason(op: Op, graph: Graph) -> str:
    """Return why an op would not be mapped whatever comes before it."""
    if op.kind not in SUPPORTED:
        advice = ADVICE.get(op.kind)
        return f"not supported; {advice}" if advice else "not supported"
    dtypes = _foreign_dtypes(op, graph)
    if dtypes:
        return f"works on {', '.join(dtypes)}; the Edge TPU takes int8 and uint8"
    limits = (reason for is_met, reason in SUPPORTED[op.kind] if is_met(op, graph))
    return next(limits, "") or innermost_axes(op, graph)


def _doubt(op: Op) -> str:
    """Return what is open about an op that the table supports."""
    least = INT8_VERSIONS.get(op.kind, 1)
    if op.version < least:
        return (
            f"int8 came to it with version {least}: the compiler may refuse this; "
            "quantise with --recipe int8_tflite_converter"
        )
    return DOUBTS.get(op.kind, "")


def _foreign_dtypes(op: Op, graph: Graph) -> list[str]:
    computed = [graph.tensors[name].dtype for name in (*graph.computed_inputs(op), *op.outputs)]
    stored = [graph.tensors[name].dtype for name in op.inputs if graph.is_constant(name)]
    found = {dtype for dtype in computed if dtype not in DTYPES}
    return sorted(found | {dtype for dtype in stored if dtype not in CONSTANT_DTYPES})


def _unreadable(graph: Graph) -> list[str]:
    found = Counter((op.kind, op.version) for op in graph.ops)
    return [
        f"{kind} of version {version}, {count} times; it reads up to {READABLE_VERSIONS[kind]}"
        for (kind, version), count in sorted(found.items())
        if version > READABLE_VERSIONS.get(kind, version)
    ]


def as_text(found: Check) -> str:
    """Return the check for a terminal: ops by kind and place, then what it amounts to."""
    counts = Counter((row.kind, row.version, row.place, row.reason) for row in found.verdicts)
    rows = [[kind, version, count, *rest] for (kind, version, *rest), count in counts.items()]
    lines = [render(["op", "version", "count", "runs on", "because"], rows), *_summary(found)]
    return "\n".join(lines)


def _summary(found: Check) -> list[str]:
    left = len(found.on_cpu)
    total = len(found.verdicts)
    lines = [
        (
            f"{total - left} of {total} ops on the Edge TPU, {left} on the CPU, "
            f"by the published table for compiler {COMPILER_VERSION}"
        )
    ]
    first = next(iter(found.on_cpu), None)
    if first:
        behind = sum(row.reason == AFTER for row in found.on_cpu)
        lines.append(
            f"the first is op {first.number}, {first.kind}: {first.reason}; {behind} ops that are "
            "supported run on the CPU behind it"
        )
    size = found.parameter_bytes / MIB
    if found.streamed_bytes:
        lines.append(
            f"weights take {size:.1f} MiB, over the about {ON_CHIP_BYTES // MIB} MiB on the chip: "
            f"{found.streamed_bytes / MIB:.1f} MiB are streamed for each frame, which is slow"
        )
    else:
        lines.append(f"weights take {size:.1f} of about {ON_CHIP_BYTES // MIB} MiB on the chip")
    doubtful = sum(row.place == DOUBT for row in found.verdicts)
    if doubtful:
        lines.append(f"of {doubtful} ops only the compiler itself can tell")
    lines += [f"the compiler would refuse the file: {clause}" for clause in found.unreadable]
    return lines
