"""What can run a model besides the CPU: its name, its library, and what to do where it is missing.

Nothing here knows a runtime: a backend hands the library to its own.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.errors import ConfigError, DelegateError

if TYPE_CHECKING:
    from pathlib import Path

CPU, EDGE_TPU, CUDA, TENSORRT = "cpu", "edgetpu", "cuda", "tensorrt"
# The op that edgetpu_compiler puts in place of those it took; libedgetpu alone can run it.
EDGE_TPU_OP = "edgetpu-custom-op"
# Source: external_delegate_interface.h of TensorFlow Lite.
ENTRY_POINT = "tflite_plugin_create_delegate"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of delegate.

    Attributes:
        format: Of the models that it takes, a key of `edge.model.model_file.FORMATS`; empty for
            all.
        library: As the dynamic linker finds it; empty where the runtime brings it.
        provider: The runtime's own name of it; empty where it goes by its library.
        is_prepared: It runs an engine that `edge prepare` builds of a model beforehand.
        device: Pattern of the library's option `device`, written behind the kind and a colon;
            empty where there is none.
        compiled_op: The op that its compiler leaves in a file; empty where it takes any file.
        package: What holds the library, for apt.
        install: What to do first, so that apt knows the package.
        plug: What to do when the library finds no device.
        compile: How a file for it is made.
        choose: How it is chosen for a file that needs it.
    """

    format: str = ""
    library: str = ""
    provider: str = ""
    is_prepared: bool = False
    device: str = ""
    compiled_op: str = ""
    package: str = ""
    install: str = ""
    plug: str = ""
    compile: str = ""
    choose: str = ""


DELEGATES = {
    CPU: Kind(),
    EDGE_TPU: Kind(
        format="tflite",
        library="libedgetpu.so.1",
        device=r"(usb|pci)(:\d{1,2})?|:\d{1,2}",  # the bus, the number on it, or both
        compiled_op=EDGE_TPU_OP,
        package="libedgetpu1-std",
        install="for an Edge TPU add Coral's apt repository "
        "(coral.ai/docs/accelerator/get-started)",
        plug="plug the Edge TPU in: lsusb must name 1a6e:089a or 18d1:9302, or on PCIe "
        "ls /dev/apex_0 the file, and this user must be in its group (plugdev, apex)",
        compile="not compiled for an Edge TPU, so delegate {name} would leave all of it to the "
        "CPU; type: edge-convert export MODEL --edgetpu, and take the STEM.edgetpu.tflite that it "
        'makes, or set [model] delegate = "cpu"',
        choose='compiled for an Edge TPU: set [model] delegate = "edgetpu" or add '
        "--delegate edgetpu, or take the .tflite that it was compiled from",
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

    Raises:
        ConfigError: There is none of that name.
    """
    name, _, device = text.partition(":")
    kind = DELEGATES.get(name)
    if kind and (text == name or (kind.device and re.fullmatch(kind.device, device))):
        return Delegate(text, kind.library, {"device": device} if device else {})
    raise ConfigError(
        f"""expected a delegate: "{'", "'.join(DELEGATES)}", or one of several devices such as """
        f'"{EDGE_TPU}:usb:1", found {text!r}'
    )


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
            f'delegate "{delegate.name}" needs a library that cannot be loaded: {error}; '
            f"{kind.install} and type: sudo apt install {kind.package}"
        ) from error
    if not hasattr(library, ENTRY_POINT):
        raise DelegateError(
            f'delegate "{delegate.name}": {delegate.library} has no {ENTRY_POINT}, so it is not '
            f"the library of a delegate; type: sudo apt install --reinstall {kind.package}"
        )


def refused(delegate: Delegate, reason: str) -> DelegateError:
    """Return the error of a library that found no device, or none that it can use."""
    kind, said = delegate.kind, f" ({reason})" if reason else ""
    return DelegateError(
        f'delegate "{delegate.name}": {kind.library or kind.provider} found no device that it can '
        f"use{said}; {kind.plug}"
    )


def lost(delegate: Delegate, reason: str) -> DelegateError:
    """Return the error of a device that failed while it ran."""
    return DelegateError(
        f'delegate "{delegate.name}" failed while it ran: {reason}; check cable and power of the '
        "device, and start again"
    )
