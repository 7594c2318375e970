"""The child process that loads a Keras file or a SavedModel, and freezes it into one graph.

Run as ``python -m converter.freezing_child FOLDER``. The folder holds `freeze.json`; `frozen.pb` is
written, or `refused.txt` with a sentence.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from converter.importers.freezing import FROZEN, JOB, REFUSED
from converter.importers.keras_config import check_config
from converter.importers.ssd_graph import ANCHORS
from edge.errors import ModelError

SAVED_MODEL_SIGNATURE = "serving_default"
DUMMY_SHAPE = (320, 320, 3)  # of an image; detectors of a fixed size resize it


def main(argv: list[str]) -> int:
    """Freeze the model that the job names."""
    folder = Path(argv[0])
    job = json.loads((folder / JOB).read_text())
    path, name = Path(job["path"]), job["name"]
    try:
        if path.is_dir():
            frozen = _freeze_saved_model(path, name)
        else:
            _check_h5(path, name)
            frozen = _freeze_keras(path, name)
    except ModelError as error:
        (folder / REFUSED).write_text(str(error), "utf-8")
        return 1
    (folder / FROZEN).write_bytes(frozen)
    return 0


def _check_h5(path: Path, name: str) -> None:
    """Refuse an HDF5 file without a model or with code in it, before Keras is even imported.

    All of it is read: 15 of 100 files with flipped bits that had a sound configuration fail here in
    0.4 s of CPU time. What only Keras can tell, such as a layer's argument misspelt by a bit, takes
    4 s like a sound file, 3 of them the import of TensorFlow; beside other work on two cores, more
    than 10 s on the clock.
    """
    if path.read_bytes()[:4] != b"\x89HDF":
        return
    import h5py  # noqa: PLC0415 - no Keras before the check

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            names = ", ".join(list(file)[:3])
            file.visititems(_read)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{name}: expected a Keras .h5, found one that is damaged ({error}); copy it again"
        ) from error
    if config is None:
        raise ModelError(
            f"{name}: expected a whole Keras model, found weights only ({names}), without the "
            "layers they belong to; save it with model.save, not save_weights"
        )
    check_config(config, Path(name))


def _read(_name: str, item: Any) -> None:  # noqa: ANN401 - a group or a dataset
    if hasattr(item, "dtype"):
        _ = item[()]


def _freeze_keras(path: Path, name: str) -> bytes:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras  # noqa: PLC0415 - after the checks
    import tensorflow as tf  # noqa: PLC0415

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    if len(model.inputs) != 1:
        raise ModelError(f"{name}: expected a model with one input, found {len(model.inputs)}")
    shape = [1, *model.inputs[0].shape[1:]]
    spec = tf.TensorSpec(shape, model.inputs[0].dtype, name="image")

    def serve(image: Any) -> Any:  # noqa: ANN401
        made = model(image, training=False)
        named = (
            made
            if isinstance(made, dict)
            else dict(zip(model.output_names, _list(made), strict=True))
        )
        return {name: tf.identity(tensor, name=_safe(name)) for name, tensor in named.items()}

    return _frozen(tf.function(serve).get_concrete_function(spec))


def _list(made: Any) -> list[Any]:  # noqa: ANN401
    return list(made) if isinstance(made, (list, tuple)) else [made]


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name) or "output"


def _freeze_saved_model(path: Path, name: str) -> bytes:
    import tensorflow as tf  # noqa: PLC0415

    model = tf.saved_model.load(str(path))
    signatures = dict(model.signatures)
    function = signatures.get(SAVED_MODEL_SIGNATURE) or next(iter(signatures.values()), None)
    if function is None:
        raise ModelError(
            f"{name}: expected a SavedModel with a signature to call, found none; "
            "export it with model.export or with signatures="
        )
    return _frozen(function)


def _frozen(function: Any) -> bytes:  # noqa: ANN401
    from tensorflow.python.framework import convert_to_constants  # noqa: PLC0415

    made = convert_to_constants.convert_variables_to_constants_v2(function)
    graph_def = made.graph.as_graph_def()
    _fold_anchors_inplace(graph_def)
    return bytes(graph_def.SerializeToString())


def _fold_anchors_inplace(graph_def: Any) -> None:  # noqa: ANN401
    """Compute the anchors of a detector, which version 2 of its API makes in the graph.

    They hang on the shape of the image at most; so those of a black and of a white one are equal.
    """
    import numpy as np  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    found = [node for node in graph_def.node if node.name.endswith(f"/{ANCHORS}")]
    inputs = [node for node in graph_def.node if node.op == "Placeholder"]
    if len(found) != 1 or len(inputs) != 1:
        return
    dtype = tf.dtypes.as_dtype(inputs[0].attr["dtype"].type).as_numpy_dtype
    image = np.zeros((1, *DUMMY_SHAPE), dtype)
    reference = found[0].input[0]
    tensor = reference if ":" in reference else f"{reference}:0"
    with tf.compat.v1.Session(graph=_graph(graph_def)) as session:
        black, white = (
            session.run(tensor, {f"{inputs[0].name}:0": image + value}) for value in (0, 255)
        )
    if not np.array_equal(black, white):
        raise ModelError("expected a detector with fixed anchors, found ones that follow the image")
    constant = graph_def.node.add(name=f"{found[0].name}/folded", op="Const")
    constant.attr["dtype"].type = tf.dtypes.as_dtype(black.dtype).as_datatype_enum
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(black))
    found[0].input[0] = constant.name


def _graph(graph_def: Any) -> Any:  # noqa: ANN401
    import tensorflow as tf  # noqa: PLC0415

    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    return graph


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
