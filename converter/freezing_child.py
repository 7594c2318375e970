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
from edge.errors import ModelError

SAVED_MODEL_SIGNATURE = "serving_default"
# Grappler's own names: fold what hangs on no input, such as the anchors of a detector.
OPTIMIZERS = ("function", "constfold", "dependency")


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
    """Refuse an HDF5 file without a model or with code in it, before Keras is even imported."""
    if path.read_bytes()[:4] != b"\x89HDF":
        return
    import h5py  # noqa: PLC0415 - no Keras before the check

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            names = ", ".join(list(file)[:3])
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
    return bytes(_folded(made).SerializeToString())


def _folded(function: Any) -> Any:  # noqa: ANN401
    """Return the GraphDef with its constant parts computed."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2  # noqa: PLC0415
    from tensorflow.python.grappler import tf_optimizer  # noqa: PLC0415
    from tensorflow.python.training.saver import export_meta_graph  # noqa: PLC0415

    meta = export_meta_graph(graph_def=function.graph.as_graph_def(), graph=function.graph)
    fetches = meta_graph_pb2.CollectionDef()
    for tensor in function.outputs:
        fetches.node_list.value.append(tensor.name)
    meta.collection_def["train_op"].CopyFrom(fetches)
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.optimizers.extend(OPTIMIZERS)
    return tf_optimizer.OptimizeGraph(config, meta)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
