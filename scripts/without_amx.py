"""A process that the kernel gives no AMX tiles, as no board has them: kernels fall back to VNNI.

Tiles work on 64 channels at once, so that half of 64 channels take as long; on a workstation with
them fewer channels save little, and a board does not say the same.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
ARCH_PRCTL, REQUEST_PERMISSION = 158, 0x1023  # of x86-64; asks the kernel for the tiles
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16  # places in seccomp_data
REFUSE, ALLOW = 0x00050001, 0x7FFF0000  # EPERM
PROGRAM = (
    (LOAD, 0, 0, NUMBER), (IF_EQUAL, 0, 3, ARCH_PRCTL),
    (LOAD, 0, 0, FIRST_ARGUMENT), (IF_EQUAL, 0, 1, REQUEST_PERMISSION),
    (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW),
)  # fmt: skip


def forbid_amx() -> None:
    """Refuse this process the tiles, from now on; call it before LiteRT is loaded.

    Source: seccomp(2) and Documentation/arch/x86/xstate.rst of Linux.
    """
    if platform.machine() != "x86_64":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in PROGRAM))
    program = struct.pack("HxxxxxxQ", len(PROGRAM), ctypes.addressof(code))
    for words in ((NO_NEW_PRIVS, 1, 0, 0, 0), (SET_SECCOMP, FILTER, program, 0, 0)):
        if libc.prctl(*words):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
