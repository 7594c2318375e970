"""Load a foreign model, in TensorFlow's child, as a frozen graph beside the original that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

# The whole module is TensorFlow's: no other may import it.
import tensorflow as tf
from google.protobuf import json_format

from converter.importers.tensorflow import frozen_graph, tfjs
from converter.importers.tensorflow.graph_input import image_shape
from converter.importers.tensorflow.graphdef import node_name, output_names, tensor_name
from converter.importers.tensorflow.keras_config import check_h5
from converter.importers.tensorflow.ssd_graph import ANCHORS
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.importers.tensorflow.graphdef import Graph

    Arrays = dict[str, NDArray[Any]]
    Run = Callable[[NDArray[Any]], Arrays]

SIGNATURE = "serving_default"
DUMMY_SHAPE = (320, 320, 3)  # of an image; detectors of a fixed size resize it
TENSORFLOW = f"TensorFlow {tf.__version__}"


@dataclass(frozen=True, slots=True)
class Original:
    """A model as its own runtime has it, and the same as a graph.

    Attributes:
        graph: Its variables are constants.
        graph_def: The same as TensorFlow has it, loops and conditions in it.
        outputs: Name to the tensor of the graph.
        run: Gives the outputs for one image `(1, H, W, C)`, by name; `None` where TensorFlow has
            nothing else than the graph to run.
        runtime: Which runs it, for the manifest.
    """

    graph: Graph
    graph_def: Any
    outputs: dict[str, str]
    run: Run | None = None
    runtime: str = TENSORFLOW


def load_keras(path: Path, name: Path, size_wh: tuple[int, int] | None) -> Original:
    """Return what a `.keras` or `.h5` file holds.

    Args:
        path: The file.
        name: The same, for messages.
        size_wh: Of the image, where the model takes any.

    Raises:
        ModelError: It has not one input, or is damaged.
        ConfigError: It takes an image of any size, and none is said.
    """
    import keras  # noqa: PLC0415 - after what checks a file

    model = keras.saving.load_model(
        path, custom_objects=_old_layers(keras), compile=False, safe_mode=True
    )
    entry = _only(list(model.inputs or ()), name)
    shape, dtype = image_shape(entry.shape, name, size_wh), entry.dtype

    def run(image: NDArray[Any]) -> Arrays:
        made = _named(model, model(tf.cast(image, dtype), training=False))
        return {key: np.asarray(value) for key, value in made.items()}

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="image")])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:  # noqa: ANN401
        return _named(model, model(image, training=False))

    return _frozen(
        serve.get_concrete_function(), name, run=run, runtime=f"Keras {keras.__version__}"
    )


def _only(entries: list[Any], name: Path) -> Any:  # noqa: ANN401 - of TensorFlow or Keras
    if len(entries) != 1:
        raise ModelError(
            f"{name}: expected a model with one input, found {len(entries)}; export a model of one "
            "image"
        )
    return entries[0]


def load_h5(path: Path, name: Path, size_wh: tuple[int, int] | None) -> Original:
    """Return what an `.h5` file holds; as `load_keras`."""
    check_h5(path, name)
    return load_keras(path, name, size_wh)


def load_saved_model(path: Path, name: Path, _size_wh: tuple[int, int] | None) -> Original:
    """Return what a SavedModel's signature computes; arguments and errors as for `load_keras`."""
    model = tf.saved_model.load(str(path))
    signatures = dict(model.signatures)
    function = signatures.get(SIGNATURE) or next(iter(signatures.values()), None)
    if function is None:
        raise ModelError(
            f"{name}: expected a SavedModel with a signature to call, found none; "
            "export it with model.export or with signatures="
        )
    key, entry = _only([*function.structured_input_signature[1].items()], name)

    def run(image: NDArray[Any]) -> Arrays:
        made = function(**{key: tf.cast(image, entry.dtype)})
        return {output: value.numpy() for output, value in made.items()}

    return _frozen(function, name, run=run, runtime=TENSORFLOW)


def load_frozen(path: Path, name: Path, _size_wh: tuple[int, int] | None) -> Original:
    """Return a frozen graph; arguments and errors as for `load_keras`."""
    data = frozen_graph.file_bytes(path)
    graph = frozen_graph.read_bytes(data, name)
    graph_def = tf.compat.v1.GraphDef.FromString(data)
    return Original(graph, graph_def, {name: f"{name}:0" for name in output_names(graph)})


def load_tfjs(path: Path, _name: Path, _size_wh: tuple[int, int] | None) -> Original:
    """Return a TF.js graph; arguments and errors as for `load_keras`."""
    graph = tfjs.read(path)
    outputs = {name: f"{name}:0" for name in output_names(graph)}
    return Original(graph, as_graph_def(graph), outputs)


# Format to what loads it.
LOADERS: dict[str, Callable[[Path, Path, tuple[int, int] | None], Original]] = {
    "keras": load_keras,
    "h5": load_h5,
    "saved_model": load_saved_model,
    "frozen": load_frozen,
    "tfjs": load_tfjs,
}


def as_graph_def(graph: Graph, *, fed: Collection[str] = ()) -> Any:  # noqa: ANN401
    """Return a graph as TensorFlow's own message; nodes that are `fed` become placeholders."""
    made = tf.compat.v1.GraphDef()
    for node in graph.nodes.values():
        if node.name in fed:
            added = made.node.add(name=node.name, op="Placeholder")
            added.attr["dtype"].type = tf.float32.as_datatype_enum
            continue
        if node.op != "Const":
            added = made.node.add(name=node.name, op=node.op)
            for name, value in node.attrs.items():
                json_format.ParseDict(value, added.attr[name])
        elif node.name in graph.constants:
            added = add_constant_inplace(made, node.name, graph.constants[node.name])
        # What a node waits for tells which loop it is of; of a part of a graph it may be cut off.
        waits = {name for name in node.inputs if name.startswith("^")}
        left_out = {name for name in waits if node_name(name) not in graph.nodes}
        added.input.extend(name for name in node.inputs if name not in left_out)
    return made


def add_constant_inplace(graph_def: Any, name: str, value: NDArray[Any]) -> Any:  # noqa: ANN401
    """Add a constant to a graph; return its node."""
    tensor = tf.make_tensor_proto(value)
    node = graph_def.node.add(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tensor)
    node.attr["dtype"].type = tensor.dtype
    return node


def session(graph_def: Any, feed: str, fetches: dict[str, str]) -> Run:  # noqa: ANN401
    """Return what runs a graph from one node to others, by role; what lies behind is left alone."""
    nodes = sorted(set(map(node_name, fetches.values())))
    graph = tf.Graph()
    with graph.as_default():
        part = tf.compat.v1.graph_util.extract_sub_graph(graph_def, nodes)
        tf.graph_util.import_graph_def(part, name="")
    opened = tf.compat.v1.Session(graph=graph)
    entry = graph.get_tensor_by_name(f"{feed}:0")

    def run(image: NDArray[Any]) -> Arrays:
        fed = image.astype(entry.dtype.as_numpy_dtype)
        return dict(opened.run(fetches, {entry: fed}))

    return run


def _named(model: Any, made: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a Keras model's outputs by name; a model of layers in a row has no names for them."""
    if isinstance(made, dict):
        return made
    listed = list(made) if isinstance(made, (list, tuple)) else [made]
    names = getattr(model, "output_names", None) or []
    if len(set(names)) != len(listed):
        names = ["output"] if len(listed) == 1 else [f"output_{at}" for at in range(len(listed))]
    return dict(zip(names, listed, strict=True))


def _old_layers(keras: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the layers whose arguments Keras 2 wrote and Keras 3 does not know."""

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            if kwargs.get("groups") == 1:  # all that the layer can do
                del kwargs["groups"]
            super().__init__(*args, **kwargs)

    return {"DepthwiseConv2D": DepthwiseConv2D}


def _frozen(function: Any, name: Path, *, run: Run, runtime: str) -> Original:  # noqa: ANN401
    from tensorflow.python.framework import convert_to_constants  # noqa: PLC0415

    made = convert_to_constants.convert_variables_to_constants_v2(function)
    graph_def = made.graph.as_graph_def()
    _fold_anchors_inplace(graph_def)
    # Flattened as TensorFlow's nest does it: by sorted names.
    names = sorted(function.structured_outputs)
    outputs = {key: tensor.name for key, tensor in zip(names, made.outputs, strict=True)}
    graph = frozen_graph.read_bytes(graph_def.SerializeToString(), name)
    return Original(graph, graph_def, outputs, run, runtime)


def _fold_anchors_inplace(graph_def: Any) -> None:  # noqa: ANN401
    """Compute the anchors of a detector, which version 2 of its API makes in the graph.

    They hang on the shape of the image at most; so those of a black and of a white one are equal.
    """
    found = [node for node in graph_def.node if node.name.endswith(f"/{ANCHORS}")]
    inputs = [node for node in graph_def.node if node.op == "Placeholder"]
    if len(found) != 1 or len(inputs) != 1:
        return
    tensor = tensor_name(found[0].input[0])
    run = session(graph_def, inputs[0].name, {"anchors": tensor})
    black, white = (run(np.full((1, *DUMMY_SHAPE), value))["anchors"] for value in (0, 255))
    if not np.array_equal(black, white):
        raise ModelError(
            "expected a detector with fixed anchors, found ones that follow the image; export it "
            "with a fixed image size"
        )
    add_constant_inplace(graph_def, f"{found[0].name}/folded", black)
    found[0].input[0] = graph_def.node[-1].name
