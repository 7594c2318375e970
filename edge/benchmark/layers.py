"""How long each op of a model takes.

LiteRT's Python interpreter gives no times of its ops, and a delegate makes one of many. So each op
is cut out and invoked alone, with the kernel and the delegate it has in the whole model; several
passes over all ops, so that a busy moment hits a few samples of many ops and not all of one.

What that misses: alone, an op finds its input in the cache and shares no call with others. So the
whole model is timed in the same passes, and `LayerTimes.sum_ratio` says how far the ops' sum is off
it. A call's own price, which each op pays here and the whole model once, is taken off.
"""

from __future__ import annotations

import statistics
import struct
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter
from edge.model.backends.litert_ops import list_ops
from edge.model.flatbuffer import OFFSET_BYTES, FlatBuffer
from edge.terminal import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.model.backends.litert_ops import Op
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

PASSES = 5
WARM_UP_INVOKES = 2
WINDOW_MS = 4.0
MIN_INVOKES = 3
NS_PER_US = 1e3
SCHEMA_VERSION = 1
NAME_COLUMNS = 40
# Fields of the tables, in their order. Source: schema.fbs of TensorFlow Lite.
MODEL_SUBGRAPHS, MODEL_SIGNATURES = 2, 7
GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 1, 2, 3
METHOD = (
    "each op was cut out and invoked alone, with the delegate it has in the whole model; "
    "the price of an empty call is taken off"
)


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One op of a model, in the graph's order.

    Attributes:
        kind: LiteRT's name, such as `CONV_2D`.
        output: Name of its first output tensor, of which `shape` is.
        time_us: Of the op alone: the median of the passes, between `low_us` and `high_us`.
        share_ratio: Of the sum over all ops.
    """

    number: int
    kind: str
    output: str
    shape: tuple[int, ...]
    time_us: float
    low_us: float
    high_us: float
    share_ratio: float


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """A model's ops.

    Attributes:
        whole_us: Of the whole model, median of the passes.
        call_us: Price of one call of the interpreter, taken off each op.
    """

    model: str
    threads: int
    layers: tuple[LayerTime, ...]
    whole_us: float
    call_us: float

    @property
    def sum_ratio(self) -> float:
        """Sum of the ops over the whole model; 1 if nothing were gained or lost by cutting."""
        return sum(layer.time_us for layer in self.layers) / self.whole_us


def cut(flatbuffer: bytes, op: Op) -> bytes:
    """Return a model that runs this op alone, on tensors of the same numbers."""
    return _rewired(flatbuffer, op.number, inputs=op.inputs, outputs=op.outputs)


def empty(flatbuffer: bytes, tensor: int) -> bytes:
    """Return a model without any op, from a tensor to itself: what a call costs in itself."""
    return _rewired(flatbuffer, None, inputs=(tensor,), outputs=(tensor,))


def _rewired(
    flatbuffer: bytes, op: int | None, *, inputs: Sequence[int], outputs: Sequence[int]
) -> bytes:
    """Return the same file, in which the graph is one op or none.

    Of its graph four vectors say what is run: operators, inputs, outputs and signatures. Those are
    rewritten; weights, tensors and options stay where they are, so that the op runs with the kernel
    that it always has.
    """
    data, reader = bytearray(flatbuffer), FlatBuffer(flatbuffer)
    model = reader.root()
    graph = reader.children(model, MODEL_SUBGRAPHS)[0]
    first, _ = reader.vector(graph, GRAPH_OPERATORS, OFFSET_BYTES)
    wanted = first + (op or 0) * OFFSET_BYTES
    target = wanted + int(struct.unpack_from("<I", data, wanted)[0])
    # The vector's count, and the distance from its first item.
    struct.pack_into("<II", data, first - OFFSET_BYTES, int(op is not None), target - first)
    at, fields = graph
    for field, tensors in ((GRAPH_INPUTS, inputs), (GRAPH_OUTPUTS, outputs)):
        data += bytes(-len(data) % OFFSET_BYTES)
        place = at + fields[field]
        struct.pack_into("<I", data, place, len(data) - place)
        data += struct.pack(f"<I{len(tensors)}i", len(tensors), *tensors)
    first, count = reader.vector(model, MODEL_SIGNATURES, OFFSET_BYTES)
    if count:
        # They name inputs and outputs that the graph no longer has.
        struct.pack_into("<I", data, first - OFFSET_BYTES, 0)
    return bytes(data)


# A model, how to time it, by which clock, and whom to tell.
def measure(  # noqa: PLR0913
    file: ModelFile,
    *,
    threads: int = 1,
    passes: int = PASSES,
    window_ms: float = WINDOW_MS,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress | None = None,
) -> LayerTimes:
    """Time each op alone, and the whole model, in several passes.

    Args:
        file: The model.
        threads: Of the interpreter.
        passes: Over all ops.
        window_ms: Of each op in each pass.
        clock: Nanoseconds; of one thread, `time.thread_time_ns` leaves out what others take: an
            op that is longer than the scheduler's slice looks several times as slow on a busy host.
        progress: Called with (ops timed, ops to time).
    """
    time_us = partial(_time_us, file, threads=threads, window_ms=window_ms, clock=clock)
    ops = list_ops(file)
    parts = [file.flatbuffer, empty(file.flatbuffer, ops[0].inputs[0])]
    whole_us: list[float] = []
    calls_us: list[float] = []
    times_us: dict[int, list[float]] = {op.number: [] for op in ops}
    for turn in range(passes):
        for part, found in zip(parts, (whole_us, calls_us), strict=True):
            found.append(time_us(part))
        for op in ops:
            alone = cut(file.flatbuffer, op)
            times_us[op.number].append(time_us(alone, op=op))
            if progress:
                progress(turn * len(ops) + op.number + 1, passes * len(ops))
    call_us = statistics.median(calls_us)
    return LayerTimes(
        model=file.description.name,
        threads=threads,
        layers=_layers(ops, times_us, call_us=call_us),
        whole_us=statistics.median(whole_us),
        call_us=call_us,
    )


def _layers(
    ops: Sequence[Op], times_us: dict[int, list[float]], *, call_us: float
) -> tuple[LayerTime, ...]:
    own_us = {key: [max(0.0, us - call_us) for us in found] for key, found in times_us.items()}
    medians_us = {key: statistics.median(found) for key, found in own_us.items()}
    total_us = sum(medians_us.values())
    return tuple(
        LayerTime(
            number=op.number,
            kind=op.kind,
            output=op.output_name,
            shape=op.output_shape,
            time_us=medians_us[op.number],
            low_us=min(own_us[op.number]),
            high_us=max(own_us[op.number]),
            share_ratio=medians_us[op.number] / total_us if total_us else 0.0,
        )
        for op in ops
    )


def _time_us(  # noqa: PLR0913 - as above
    file: ModelFile,
    flatbuffer: bytes,
    *,
    threads: int,
    window_ms: float,
    clock: Callable[[], int],
    op: Op | None = None,
) -> float:
    """Return the median of some invokes, microseconds."""
    try:
        runner = open_interpreter(flatbuffer, file.path, threads=threads)
    except ModelError as error:
        if op is None:
            raise
        raise ModelError(f"op {op.number} ({op.kind}) alone: {error}") from error
    _fill(runner)
    for _ in range(WARM_UP_INVOKES):
        runner.invoke()
    times_ns: list[int] = []
    while len(times_ns) < MIN_INVOKES or sum(times_ns) < window_ms * 1e6:
        started_ns = clock()
        runner.invoke()
        times_ns.append(clock() - started_ns)
    return statistics.median(times_ns) / NS_PER_US


def _fill(runner: Any) -> None:  # noqa: ANN401
    """Write noise: zeros could meet faster kernels, and what lies in fresh memory slower ones."""
    random = np.random.default_rng(0)
    for detail in runner.get_input_details():
        dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
        if dtype in (np.int8, np.uint8):
            values = random.integers(0, 256, shape, np.uint8).view(dtype)
        elif dtype.kind == "f":
            values = random.random(shape, np.float32).astype(dtype)
        else:
            values = np.zeros(shape, dtype)
        runner.set_tensor(detail["index"], values)


def fields(timed: Sequence[LayerTimes]) -> dict[str, Any]:
    """Return models' ops as JSON has them."""
    models = [asdict(model) | {"sum_ratio": model.sum_ratio} for model in timed]
    return {"schema_version": SCHEMA_VERSION, "method": METHOD, "models": models}


def render(timed: LayerTimes) -> str:
    """Return one model's ops as text: each of them, then their kinds."""
    rows = [
        [
            layer.number,
            layer.kind,
            "x".join(map(str, layer.shape)),
            f"{layer.time_us:.1f}",
            f"{layer.low_us:.1f} to {layer.high_us:.1f}",
            f"{layer.share_ratio:.1%}",
            _short(layer.output),
        ]
        for layer in timed.layers
    ]
    headers = ("op", "kind", "output shape", "µs", "least to greatest", "share", "output")
    total_us = sum(layer.time_us for layer in timed.layers)
    return (
        f"{timed.model}, {timed.threads} thread{'s' * (timed.threads > 1)}\n"
        f"{table.render(headers, rows)}\n\n{_kinds(timed)}\n\n"
        f"note: {METHOD} ({timed.call_us:.1f} µs)\n"
        f"note: the ops' sum is {total_us:.0f} µs, the whole model {timed.whole_us:.0f} µs: "
        f"{timed.sum_ratio:.2f}; trust the shares more than the times"
    )


def _short(name: str) -> str:
    """Return the end of a name's first part: a converter joins the names of what it fused."""
    first = name.partition(";")[0]
    return first if len(first) <= NAME_COLUMNS else f"…{first[-NAME_COLUMNS:]}"


def _kinds(timed: LayerTimes) -> str:
    found: dict[str, list[float]] = {}
    for layer in timed.layers:
        found.setdefault(layer.kind, []).append(layer.share_ratio)
    ordered = sorted(found.items(), key=lambda item: -sum(item[1]))
    rows = [[kind, len(shares), f"{sum(shares):.1%}"] for kind, shares in ordered]
    return table.render(("kind", "ops", "share"), rows)
