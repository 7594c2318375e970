"""Where the four commands begin: Ctrl-C, or a stream that fails, ends them without a traceback.

What is imported here is what Python itself has imported already: until `start` runs, Ctrl-C ends in
a traceback, and `typing` or `signal` alone take 5 ms. `io` is not among it from Python 3.14 on.
"""

from __future__ import annotations

import os
import sys
from _io import BufferedWriter, FileIO, TextIOWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

DONE, FAILED = 0, 1
# Without one of these files, this checkout or package is broken, and a traceback tells where.
OWN = ("edge", "converter", "calibration", "boards")
# 128 and the number of SIGINT, as shells count.
INTERRUPTED = 130


class _Stream(FileIO):
    """Stdout or stderr, with the first failure of a write remembered.

    What cannot be written on stderr is lost: a log must not end what it tells of.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401 - as `FileIO` has it
        """Write, and remember if that failed."""
        try:
            return super().write(data)
        except OSError as error:
            self.failure = self.failure or error
            if self.fileno() == 1:
                raise
            return len(data)


def start(prog: str, module: str) -> int:
    """Run the `main` of a command's module and return the exit status of the process.

    Args:
        prog: The command's name, for messages.
        module: Imported only here, since that may take long.
    """
    status = DONE
    try:
        _own_interrupts()
        stdout = _own_streams()
        status = _status(prog, module)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _interrupted()
    except OSError:
        if stdout.failure is None:
            raise
    if stdout.failure is None:
        return status
    # Python flushes once more at its end, and would print a traceback.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # Whoever read stdout may have gone, as in `edge inspect | head`: nobody is left to tell.
    if status != DONE or isinstance(stdout.failure, BrokenPipeError):
        return status
    reason = stdout.failure.strerror
    sys.stderr.write(f"{prog}: stdout cannot be written: {reason}; write elsewhere\n")
    return FAILED


def _status(prog: str, module: str) -> int:
    from importlib import import_module  # noqa: PLC0415 - once Ctrl-C is minded

    try:
        return int(import_module(module).main())
    except SystemExit as end:
        # argparse's own: after --help 0, after a wrong option 2.
        return int(end.code or DONE)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing in OWN or "--debug" in sys.argv:
            raise
        import shlex  # noqa: PLC0415 - see above

        package = "'edge-vision[converter]'" if prog == "edge-convert" else "edge-vision"
        sys.stderr.write(
            f"{prog}: {sys.executable} has no module {missing!r}, which this needs; "
            f"install what is missing: {shlex.quote(sys.executable)} -m pip install {package}\n"
        )
        return FAILED


def _own_interrupts() -> None:
    """Let Ctrl-C during an import end the process at once.

    Raised there, `KeyboardInterrupt` may come out as something else: NumPy makes an `ImportError`
    of it that tells of a broken installation.
    """
    import signal  # noqa: PLC0415 - 5 ms, in which `start` catches it

    def interrupt(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                _interrupted()
            frame = frame.f_back
        raise KeyboardInterrupt

    # A shell starts what runs in the background with the signal ignored, and it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def _interrupted() -> int:
    """End as a program does that knows nothing of Ctrl-C: a shell's loop then ends as well."""
    import contextlib  # noqa: PLC0415 - see above
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    signal.raise_signal(signal.SIGINT)
    return INTERRUPTED


def _own_streams() -> _Stream:
    """Take stdout and stderr over, those too that were closed, as by `>&-`; return stdout's."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    # Stdout is opened to be read: results that are written into it fail, as they should.
    for stream, mode in zip(streams, (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY), strict=True):
        if stream is None:
            # The lowest free number is that of the stream; else the next file would get it.
            os.set_inheritable(os.open(os.devnull, mode), True)  # noqa: FBT003
    raw = _Stream(1, "w", closefd=False)
    raw.name = "<stdout>"
    sys.stdout = _text(BufferedWriter(raw), sys.stdout)
    sys.stderr = _text(BufferedWriter(_Stream(2, "w", closefd=False)), sys.stderr)
    return raw


def _text(stream: BufferedWriter, before: Any) -> TextIOWrapper:  # noqa: ANN401 - None too
    return TextIOWrapper(
        stream,
        encoding=before.encoding if before else "utf-8",
        # A file's name may hold bytes that are no text.
        errors="backslashreplace",
        line_buffering=stream.fileno() != 1 or stream.isatty(),
    )
