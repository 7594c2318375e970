"""What can run a model besides the CPU: its name, its library, and what to do where it is missing.

Nothing here knows LiteRT: `edge.model.interpreter` hands the library to it.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field

from edge.errors import ConfigError, DelegateError

CPU, EDGE_TPU = "cpu", "edgetpu"
# The op that edgetpu_compiler puts in place of those it took; libedgetpu alone can run it.
EDGE_TPU_OP = "edgetpu-custom-op"
# Source: external_delegate_interface.h of TensorFlow Lite.
ENTRY_POINT = "tflite_plugin_create_delegate"
# What libedgetpu's option `device` takes: the bus, the number on it, or both.
EDGE_TPU_DEVICE = re.compile(r"(usb|pci)(:\d{1,2})?|:\d{1,2}")


@dataclass(frozen=True, slots=True)
class Delegate:
    """A library that LiteRT hands ops to.

    Attributes:
        name: As the configuration has it.
        library: As the dynamic linker finds it; empty for the CPU, which needs none.
        options: For the library.
    """

    name: str
    library: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.library)


def parse(text: str) -> Delegate:
    """Return the delegate of a name: `cpu`, `edgetpu`, or `edgetpu:DEVICE` such as `edgetpu:usb:1`.

    Raises:
        ConfigError: There is none of that name.
    """
    name, _, device = text.partition(":")
    if text == CPU:
        return Delegate(CPU)
    if name == EDGE_TPU and (text == name or EDGE_TPU_DEVICE.fullmatch(device)):
        return Delegate(text, "libedgetpu.so.1", {"device": device} if device else {})
    raise ConfigError(
        f'expected a delegate: "{CPU}", "{EDGE_TPU}", or one of several Edge TPUs such as '
        f'"{EDGE_TPU}:usb:1", found {text!r}'
    )


def check_library(delegate: Delegate) -> None:
    """Load the library, which touches no device.

    LiteRT does so too, but prints a traceback beside its error.

    Raises:
        DelegateError: It cannot be loaded, or is not a delegate's.
    """
    try:
        library = ctypes.PyDLL(delegate.library)
    except OSError as error:
        raise DelegateError(
            f'delegate "{delegate.name}" needs a library that cannot be loaded: {error}; for an '
            "Edge TPU add Coral's apt repository (coral.ai/docs/accelerator/get-started) and type: "
            "sudo apt install libedgetpu1-std"
        ) from error
    if not hasattr(library, ENTRY_POINT):
        raise DelegateError(
            f'delegate "{delegate.name}": {delegate.library} has no {ENTRY_POINT}, so it is not '
            "the library of a delegate; type: sudo apt install --reinstall libedgetpu1-std"
        )


def refused(delegate: Delegate, reason: str) -> DelegateError:
    """Return the error of a library that found no device, or none that it can use."""
    said = f" ({reason})" if reason else ""
    return DelegateError(
        f'delegate "{delegate.name}": {delegate.library} found no device that it can use{said}; '
        "plug the Edge TPU in: lsusb must name 1a6e:089a or 18d1:9302, or on PCIe ls /dev/apex_0 "
        "the file, and this user must be in its group (plugdev, apex)"
    )


def lost(delegate: Delegate, reason: str) -> DelegateError:
    """Return the error of a device that failed while it ran."""
    return DelegateError(
        f'delegate "{delegate.name}" failed while it ran: {reason}; check cable and power of the '
        "device, and start again"
    )
