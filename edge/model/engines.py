"""Engines that `edge prepare` builds of a model for one GPU, in a private folder.

Building takes minutes, and would do so inside the first frame. An engine is code for one GPU, one
version of the libraries and one model: it is kept under a digest of all three, and taken only from
a folder that nobody else can write to.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import DelegateError
from edge.model import delegates
from edge.model.backend import who_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.model.model_file import ModelFile

FOLDER = "engines"
PRIVATE = 0o700
MODEL_CHARACTERS, KEY_CHARACTERS = 12, 24
ENGINE_FILES = "*.engine"  # as onnxruntime's TensorRT provider names them
# Of TensorRT 10 for JetPack 6 and 7, and those before and after it.
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer.so.11", "libnvinfer.so.8")
CUDA_LIBRARY = "libcuda.so.1"
NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class Engine:
    """Where the engine of a model for this machine stands, whether it is there or not.

    Attributes:
        folder: Of its files.
        gpu: Its name, and version of the driver.
    """

    folder: Path
    gpu: str


def locate(file: ModelFile, delegate: str, state_folder: Path | None) -> Engine | None:
    """Return where an engine belongs; `None` for a delegate that needs none. Asks the GPU's name.

    Raises:
        DelegateError: There is no GPU, or no folder to keep anything in.
    """
    wanted = delegates.parse(delegate)
    if not wanted.kind.is_prepared:
        return None
    if state_folder is None:
        raise DelegateError(
            f'delegate "{delegate}" keeps an engine, and there is no folder for it; set '
            "StateDirectory=edge-vision in the unit, or HOME"
        )
    gpu = gpu_name(int(wanted.options.get("device", "0")))
    parts = (file.description.digest, str(who_runs(file, delegate)), tensorrt_version(), gpu)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:KEY_CHARACTERS]
    return Engine(state_folder / FOLDER / f"{_of_model(file)}{key}", gpu)


def _of_model(file: ModelFile) -> str:
    """Return what the folders of a model's engines begin with."""
    return file.description.digest.partition(":")[2][:MODEL_CHARACTERS] + "-"


def check_any(file: ModelFile, delegate: str, state_folder: Path | None) -> None:
    """Refuse a delegate for which no engine of this model was ever prepared; asks no GPU.

    Raises:
        DelegateError: None was.
    """
    if delegates.parse(delegate).kind.is_prepared:
        folders = (state_folder / FOLDER).glob(f"{_of_model(file)}*") if state_folder else ()
        if not any(map(_holds_engine, folders)):
            raise _unprepared(file, delegate)


def _holds_engine(folder: Path) -> bool:
    """Whether there is one; of one without a byte a power cut left nothing but the name."""
    return any(path.lstat().st_size for path in folder.glob(ENGINE_FILES))


def _unprepared(file: ModelFile, delegate: str, on: str = "") -> DelegateError:
    return DelegateError(
        f'{file.path}: no engine is prepared for delegate "{delegate}"{on}; type: edge prepare '
        f"--model {file.path} --delegate {delegate} (once, as the user that runs it; it takes "
        "minutes)"
    )


def find(file: ModelFile, delegate: str, state_folder: Path | None) -> Path | None:
    """Return the folder of the engine that runs a file; `None` for a delegate that needs none.

    Raises:
        DelegateError: It was not prepared, or others may have changed it.
    """
    engine = locate(file, delegate, state_folder)
    if engine is None:
        return None
    if not _holds_engine(engine.folder):
        raise _unprepared(file, delegate, f" on {engine.gpu}")
    _check_private(engine.folder.parent)
    for path in (engine.folder, *engine.folder.iterdir()):
        _check_private(path)
    return engine.folder


@contextmanager
def building(engine: Engine) -> Iterator[Path]:
    """Give a new private folder, which takes its place at the end of a block that did not fail.

    Raises:
        DelegateError: Nothing was built, or the folder cannot be used.
    """
    import shutil  # noqa: PLC0415 - for this verb only
    import tempfile  # noqa: PLC0415

    parent = engine.folder.parent
    try:
        parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        parent.chmod(PRIVATE)
        made = Path(tempfile.mkdtemp(dir=parent, prefix=".building."))
    except OSError as error:
        raise DelegateError(
            f"{parent}: an engine cannot be kept here: {error.strerror}; run as the user that "
            "owns the folder"
        ) from error
    try:
        yield made
        if not _holds_engine(made):
            raise DelegateError(
                f"no engine was written to {made}; update the runtime that builds it"
            )
        for path in made.iterdir():
            path.chmod(0o600)
        shutil.rmtree(engine.folder, ignore_errors=True)
        made.rename(engine.folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_private(path: Path) -> None:
    """Refuse what somebody else could have written: an engine is code."""
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    own = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
    if not own or mode & 0o077:
        raise DelegateError(
            f"{path}: expected an engine that only this user can read and write, found mode "
            f"{mode:o} of user {found.st_uid}; delete it, and type: edge prepare"
        )


def gpu_name(device: int) -> str:
    """Return a GPU's name with its driver's version, as the CUDA driver says.

    Source: CUDA Driver API, cuInit, cuDeviceGet, cuDeviceGetName, cuDriverGetVersion.

    Raises:
        DelegateError: There is no driver, or no such GPU.
    """
    try:
        cuda = ctypes.CDLL(CUDA_LIBRARY)
    except OSError as error:
        raise DelegateError(
            f"expected the library of a GPU's driver, found: {error}; install NVIDIA's driver, or "
            'set [model] delegate = "cpu"'
        ) from error
    name, number, version = ctypes.create_string_buffer(NAME_BYTES), ctypes.c_int(), ctypes.c_int()
    failed = (
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(number), device)
        or cuda.cuDeviceGetName(name, NAME_BYTES, number)
        or cuda.cuDriverGetVersion(ctypes.byref(version))
    )
    if failed:
        raise DelegateError(
            f"expected GPU {device}, found error {failed} of {CUDA_LIBRARY}; see that nvidia-smi, "
            "or tegrastats on a Jetson, knows it"
        )
    return f"{name.value.decode(errors='replace')}, driver {version.value}"


def tensorrt_version() -> str:
    """Return the version of TensorRT, such as `101603`; empty where it is not found."""
    for name in TENSORRT_LIBRARIES:
        with suppress(OSError, AttributeError):
            return str(ctypes.CDLL(name).getInferLibVersion())
    return ""
