"""Refuse Keras files that would run code, by reading their configuration before Keras does.

A Keras file may hold marshalled Python (Lambda), name any function of any module, or ask for a
pickle or another SavedModel to be loaded. None of it is executed: it is found here and named.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = ("metadata.json", CONFIG, WEIGHTS)
MAX_CONFIG_BYTES = 16 * 2**20
MAX_ARCHIVE_BYTES = 2**30
# Layers that run code which the file, or another file, brings along.
CODE_LAYERS = (
    "Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
    "TensorFlowOpLayer", "TFOpLambda", "__typespec__",
)  # fmt: skip
OWN_MODULES = ("keras", "builtins")


def check_keras_archive(path: Path) -> None:
    """Refuse a `.keras` archive that is damaged, unsafe or without its parts.

    Raises:
        ModelError: It is; the message says what was found.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            _check_members(path, sizes)
            text = archive.read(CONFIG)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a Keras archive, found one that is damaged ({error}); "
            "copy the file again"
        ) from error
    # zlib.error is none of the above, as it is no ValueError.
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise ModelError(f"{path}: its {CONFIG} cannot be unpacked; copy the file again") from error
    check_config(text, path)


def check_config(text: bytes | str, path: Path) -> None:
    """Refuse a model's configuration that names code, or objects that Keras does not have.

    Raises:
        ModelError: It does; the message names the layer.
    """
    try:
        config: Any = json.loads(text)
        rows = list(_objects(config))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: expected the JSON of a Keras model, found text that is damaged; "
            "copy the file again"
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelError(f"{path}: expected the JSON of a Keras model, found other JSON")
    for fields in rows:
        _check_object(fields, path)


def check_h5(path: Path, name: Path) -> None:
    """Refuse an HDF5 file without a model or with code in it; to be called in a child process.

    All of it is read: 15 of 100 files with flipped bits had a sound configuration, and failed
    here.

    Raises:
        ModelError: It is one; the message says what was found.
    """
    import h5py  # noqa: PLC0415 - its reader may crash

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
    check_config(config, name)


def _read(_name: str, item: Any) -> None:  # noqa: ANN401 - a group or a dataset
    if hasattr(item, "dtype"):
        _ = item[()]


def _check_members(path: Path, sizes: dict[str, int]) -> None:
    missing = [name for name in (CONFIG, WEIGHTS) if name not in sizes]
    if missing:
        raise ModelError(
            f"{path}: expected a Keras archive with {CONFIG} and {WEIGHTS}, found no {missing[0]}; "
            "save it again with model.save"
        )
    strange = [name for name in sizes if name not in MEMBERS and not name.startswith("assets/")]
    if strange or any(".." in name for name in sizes):
        raise ModelError(
            f"{path}: expected a Keras archive, found {(strange or ['..'])[0]!r} in it"
        )
    if sum(sizes.values()) > MAX_ARCHIVE_BYTES or sizes[CONFIG] > MAX_CONFIG_BYTES:
        raise ModelError(f"{path}: it unpacks to over {MAX_ARCHIVE_BYTES} bytes")


def _objects(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield every dictionary in a JSON tree that describes an object."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _check_object(fields: dict[str, Any], path: Path) -> None:
    name, module = fields["class_name"], fields.get("module")
    label = _label(fields)
    if name in CODE_LAYERS:
        raise ModelError(
            f"{path}: layer {label} is a {name}, which runs code that the file brings along; "
            "replace it by a Keras layer, such as Rescaling, and save the model again"
        )
    registered = fields.get("registered_name")
    custom = isinstance(registered, str) and ">" in registered
    foreign = isinstance(module, str) and module.split(".")[0] not in OWN_MODULES
    if custom or foreign:
        raise ModelError(
            f"{path}: {label} is a {registered or name} of {module or 'its own package'}, a custom "
            "object whose code is not in the file; export the model as a SavedModel instead"
        )


def _label(fields: dict[str, Any]) -> str:
    config = fields.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return repr(name or fields["class_name"])
