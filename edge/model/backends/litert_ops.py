"""The ops of a LiteRT model, as its file has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.model.backends.litert import open_interpreter, runtime_module

if TYPE_CHECKING:
    from edge.model.model_file import ModelFile


@dataclass(frozen=True, slots=True)
class Op:
    """One op of a model's main graph.

    Attributes:
        number: Its place in the graph.
        kind: LiteRT's name, such as `CONV_2D`.
        inputs: Numbers of the tensors that an earlier op or the caller fills, each once.
        outputs: Tensor numbers.
        output_name: Of its first output.
        output_shape: Of that.
    """

    number: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_name: str
    output_shape: tuple[int, ...]


def list_ops(file: ModelFile) -> tuple[Op, ...]:
    """Return the ops of a model in their order, as they are before a delegate takes them over.

    Raises:
        ModelError: The runtime refuses the model.
    """
    plain = runtime_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = open_interpreter(
        file.flatbuffer, file.path, threads=1, experimental_op_resolver_type=plain
    )
    tensors = {detail["index"]: detail for detail in runtime.get_tensor_details()}
    filled = {detail["index"] for detail in runtime.get_input_details()}
    ops = []
    for detail in runtime._get_ops_details():  # noqa: SLF001 - what LiteRT's own analyzer calls
        outputs = tuple(int(index) for index in detail["outputs"])
        first = tensors[outputs[0]]
        ops.append(
            Op(
                number=int(detail["index"]),
                kind=str(detail["op_name"]),
                inputs=tuple(dict.fromkeys(int(i) for i in detail["inputs"] if i in filled)),
                outputs=outputs,
                output_name=first["name"],
                output_shape=tuple(int(side) for side in first["shape"]),
            )
        )
        filled.update(outputs)
    return tuple(ops)
