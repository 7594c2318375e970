"""What can run a model besides the CPU: its name, its library, and what to do where it is missing.

Nothing here knows a runtime: a backend hands the library to its own.
"""

from __future__ import annotations

import ctypes
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from edge.errors import ConfigError, DelegateError

CPU, EDGE_TPU, EXTERNAL, HAILO = "cpu", "edgetpu", "external", "hailo"
IMX500, CUDA, TENSORRT, TENSORRT_PYTHON = "imx500", "cuda", "tensorrt", "tensorrt-python"
# The op that edgetpu_compiler puts in place of those it took; libedgetpu alone can run it.
EDGE_TPU_OP = "edgetpu-custom-op"
# Source: external_delegate_interface.h of TensorFlow Lite.
ENTRY_POINTS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
ELF_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64"}  # Source: elf(5), e_machine


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of delegate.

    Attributes:
        format: Of the models that it takes, a key of `edge.model.model_file.FORMATS`; empty for
            all.
        library: As the dynamic linker finds it; empty where the runtime brings it.
        provider: The runtime's own name of it; empty where it goes by its library.
        backend: Of `edge.model.backend.BACKENDS`; empty for the first one of the format.
        is_prepared: It runs an engine that `edge prepare` builds of a model beforehand.
        device: Pattern of the library's option `device`, written behind the kind and a colon;
            empty where there is none.
        compiled_op: The op that its compiler leaves in a file; empty where it takes any file.
        install: What to do where the library cannot be loaded.
        reinstall: What to do where it is something else's.
        plug: What to do when the library finds no device.
        compile: How a file for it is made.
        choose: How it is chosen for a file that needs it.
        tried: On what this program was tried with it, where that was no such device.
    """

    format: str = ""
    library: str = ""
    provider: str = ""
    backend: str = ""
    is_prepared: bool = False
    device: str = ""
    compiled_op: str = ""
    install: str = ""
    reinstall: str = ""
    plug: str = ""
    compile: str = ""
    choose: str = ""
    tried: str = ""

    @property
    def is_one_device(self) -> bool:
        """Whether several interpreters would wait for one device."""
        return bool(self.device) or self.format == "rpk"


DELEGATES = {
    CPU: Kind(),
    EDGE_TPU: Kind(
        format="tflite",
        library="libedgetpu.so.1",
        device=r"(usb|pci)(:\d{1,2})?|:\d{1,2}",  # the bus, the number on it, or both
        compiled_op=EDGE_TPU_OP,
        install="for an Edge TPU add Coral's apt repository "
        "(coral.ai/docs/accelerator/get-started) and type: sudo apt install libedgetpu1-std",
        reinstall="type: sudo apt install --reinstall libedgetpu1-std",
        plug="plug the Edge TPU in: lsusb must name 1a6e:089a or 18d1:9302, or on PCIe "
        "ls /dev/apex_0 the file, and this user must be in its group (plugdev, apex)",
        compile="not compiled for an Edge TPU, so delegate {name} would leave all of it to the "
        "CPU; type: edge-convert export MODEL --edgetpu, and take the STEM.edgetpu.tflite that it "
        'makes, or set [model] delegate = "cpu"',
        choose='compiled for an Edge TPU: set [model] delegate = "edgetpu" or add '
        "--delegate edgetpu, or take the .tflite that it was compiled from",
        tried="on a stand-in for its library, not on hardware",
    ),
    # Of any maker: its path stands behind the colon, its options behind a question mark.
    EXTERNAL: Kind(
        format="tflite",
        install="check the path, and what it needs itself with: ldd PATH",
        reinstall="name the library that the device's maker gives for TensorFlow Lite",
        plug="check the options behind the ? and the device with the maker's own tools",
        tried="with a library compiled for its tests, not with a maker's",
    ),
    HAILO: Kind(
        format="hef",
        provider="HailoRT",
        device=r"[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.\d",  # domain, bus, device and function on PCIe
        install="type: sudo apt install hailo-all (Hailo-8, 8L) or hailo-h10-all (10H), and make "
        "the virtual environment of the system's Python with --system-site-packages",
        plug="see that hailortcli fw-control identify names the chip, that driver, firmware and "
        ".hef are of one version, and that no other program has it",
        choose='runs on a Hailo chip only: set [model] delegate = "hailo" or add --delegate hailo',
        tried="on classes with HailoRT's signatures, not on hardware",
    ),
    IMX500: Kind(
        format="rpk",
        choose='runs in an AI Camera only: set [model] delegate = "imx500" and [camera] source = '
        '"imx500:FILE.rpk"',
        tried="on picamera2's real class with made-up results, not on hardware",
    ),
    CUDA: Kind(
        format="onnx",
        provider="CUDAExecutionProvider",
        device=r"\d",
        install="an onnxruntime built with CUDA for this GPU: docs/accelerators.md",
        plug="see that nvidia-smi, or tegrastats on a Jetson, knows the GPU, and that CUDA and "
        "cuDNN are of the version that this onnxruntime was built with",
    ),
    TENSORRT: Kind(
        format="onnx",
        provider="TensorrtExecutionProvider",
        is_prepared=True,
        device=r"\d",
        install="an onnxruntime built with TensorRT for this GPU: docs/accelerators.md",
        plug="see that nvidia-smi, or tegrastats on a Jetson, knows the GPU, and that TensorRT is "
        "of the version that this onnxruntime was built with",
    ),
    TENSORRT_PYTHON: Kind(
        format="onnx",
        provider="TensorRT",
        backend="tensorrt",
        is_prepared=True,
        device=r"\d",
        install="type: sudo apt install python3-libnvinfer, and make the virtual environment of "
        "the system's Python with --system-site-packages",
        plug="see that tegrastats or nvidia-smi knows the GPU; after an update type: edge prepare",
        tried="on classes with TensorRT's signatures, not on hardware",
    ),
}


@dataclass(frozen=True, slots=True)
class Delegate:
    """What a runtime hands ops to.

    Attributes:
        name: As the configuration has it.
        library: As the dynamic linker finds it; empty where the runtime brings it.
        options: For the library.
    """

    name: str
    library: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.name != CPU

    @property
    def kind(self) -> Kind:
        """Its row of `DELEGATES`."""
        return DELEGATES[self.name.partition(":")[0]]


def parse(text: str) -> Delegate:
    """Return the delegate of a key of `DELEGATES`, or of `KEY:DEVICE` such as `edgetpu:usb:1`.

    One of any maker is `external:/PATH.so?KEY=VALUE&KEY=VALUE`, with `%26` for a `&` in a value.

    Raises:
        ConfigError: There is none of that name.
    """
    name, _, device = text.partition(":")
    if name == EXTERNAL:
        return _external(text, device)
    kind = DELEGATES.get(name)
    if kind and (text == name or (kind.device and re.fullmatch(kind.device, device))):
        return Delegate(text, kind.library, {"device": device} if device else {})
    raise ConfigError(
        f"""expected a delegate: "{'", "'.join(DELEGATES)}", or one of several devices such as """
        f'"{EDGE_TPU}:usb:1", found {text!r}'
    )


def _external(text: str, place: str) -> Delegate:
    path, _, query = place.partition("?")
    pairs = [part.partition("=") for part in query.split("&")] if query else []
    options = {unquote(key): unquote(value) for key, sign, value in pairs if sign and key}
    if not path.startswith("/") or len(options) != len(pairs):
        raise ConfigError(
            f'expected a delegate "{EXTERNAL}:/PATH/LIBRARY.so?KEY=VALUE&KEY=VALUE", each key '
            f"once, found {text!r}"
        )
    return Delegate(text, path, options)


def needed_for(op: str) -> str:
    """Return which delegate a file with this op needs; the CPU where no compiler left it."""
    return next((name for name, kind in DELEGATES.items() if kind.compiled_op == op), CPU)


def check_format(delegate: Delegate, found: str, path: Path) -> None:
    """Refuse a model in a format that a delegate does not run.

    Raises:
        DelegateError: It is.
    """
    wanted = delegate.kind.format
    if wanted and wanted != found:
        others = [name for name, kind in DELEGATES.items() if kind.format in ("", found)]
        raise DelegateError(
            f'{path}: delegate "{delegate.name}" runs .{wanted} files, found a .{found}; set '
            f"[model] delegate to {' or '.join(others)}, or take the .{wanted} that edge-convert "
            "export makes"
        )


def check_library(delegate: Delegate) -> None:
    """Load the library, which touches no device.

    LiteRT does so too, but prints a traceback beside its error.

    Raises:
        DelegateError: It cannot be loaded, or is not a delegate's.
    """
    kind = delegate.kind
    try:
        library = ctypes.PyDLL(delegate.library)
    except OSError as error:
        raise DelegateError(
            f'delegate "{delegate.name}" needs a library that cannot be loaded: '
            f"{_foreign(Path(delegate.library)) or error}; {kind.install}"
        ) from error
    for name in ENTRY_POINTS:
        if not hasattr(library, name):
            raise DelegateError(
                f'delegate "{delegate.name}": {delegate.library} has no {name}, so it is not '
                f"the library of a delegate; {kind.reinstall}"
            )


def _foreign(path: Path) -> str:
    """Say that a library is for another processor: the linker calls such a file missing."""
    try:
        with path.open("rb") as file, Path("/proc/self/exe").open("rb") as own:
            theirs, ours = file.read(20), own.read(20)
    except OSError:
        return ""
    # The class (32 or 64 bits), the order of bytes, and the machine. Source: elf(5), Elf64_Ehdr.
    if not theirs.startswith(b"\x7fELF") or (theirs[4:6], theirs[18:]) == (ours[4:6], ours[18:]):
        return ""
    machine = int.from_bytes(theirs[18:20], "little")
    return (
        f"{path} is for a processor {ELF_MACHINES.get(machine, f'of ELF machine {machine}')}, "
        f"this Python for {platform.machine()}"
    )


def without_engine(delegate: Delegate, path: Path) -> DelegateError:
    """Return the error of a delegate that runs a prepared engine, and was given none."""
    return DelegateError(
        f'{path}: delegate "{delegate.name}" runs a prepared engine; type: edge prepare --model '
        f"{path} --delegate {delegate.name}"
    )


def refused(delegate: Delegate, reason: str) -> DelegateError:
    """Return the error of a library that found no device, or none that it can use."""
    kind, said = delegate.kind, f" ({reason})" if reason else ""
    return DelegateError(
        f'delegate "{delegate.name}": {delegate.library or kind.provider} found no device that it '
        f"can use{said}; {kind.plug}"
    )


def unprepared(delegate: Delegate, path: Path, reason: str) -> DelegateError:
    """Return the error of a library that cannot take a model that it was given."""
    return DelegateError(
        f'{path}: delegate "{delegate.name}" cannot prepare this model: {reason}; '
        f"{delegate.kind.plug}"
    )


def lost(delegate: Delegate, reason: str) -> DelegateError:
    """Return the error of a device that failed while it ran."""
    return DelegateError(
        f'delegate "{delegate.name}" failed while it ran: {reason}; check cable and power of the '
        "device, and start again"
    )
