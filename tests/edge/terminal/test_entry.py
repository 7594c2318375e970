"""The four commands as processes: what becomes of Ctrl-C, and of streams that fail."""

from __future__ import annotations

import ast
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.terminal.command import DONE, FAILED, MISUSED

pytestmark = pytest.mark.board

ROOT = Path(__file__).parents[3]
MODULES = ("edge", "boards", "calibration", "converter")
BOARD = "boards.device"  # what runs on a board before `edge` is there
# Ctrl-C comes at the import of this number, counted from the start of the command.
INTERRUPTED_IMPORT = """
import os, signal, sys
from edge.terminal.entry import start

class Interrupting:
    left = int(os.environ["IMPORTS"])
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.left -= 1
        if cls.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
status = start(sys.argv[0], os.environ["MODULE"])
print(Interrupting.left)
sys.exit(status)
"""


def in_shell(line, **environment):
    """Run a line of bash in which `edge` and the others are the commands of this tree."""
    functions = "".join(f'{name}() {{ "$PYTHON" -m {name} "$@"; }}; ' for name in (*MODULES, BOARD))
    return subprocess.run(
        ["bash", "-c", functions + line],
        env=os.environ | {"PYTHON": sys.executable} | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "line",
    [
        "edge inspect >/dev/full",
        "edge inspect --json >/dev/full",
        "edge inspect >&-",
        "edge --help >/dev/full",
        "edge --version >&-",
        "edge --completion bash >/dev/full",
        "edge run --frames 2 >/dev/full",
        "edge run --frames 2 >&-",
        "boards list >/dev/full",
        "boards show pi5 --json >&-",
        "calibration sample --help >/dev/full",
        "boards.device status >/dev/full",
        "boards.device --help >&-",
    ],
)
def test_results_that_cannot_be_written_are_one_sentence_and_a_failure(line, unbuffered):
    done = in_shell(line, PYTHONUNBUFFERED=unbuffered)

    assert done.returncode == FAILED, done.stderr
    (sentence,) = (text for text in done.stderr.splitlines() if not text.startswith("INFO"))
    assert "<stdout>" in sentence or "stdout cannot be written" in sentence
    assert "No space left" in sentence or "Bad file descriptor" in sentence


def test_a_check_whose_answer_cannot_be_written_fails_too(tmp_path):
    (tmp_path / "door.toml").write_text("")

    done = in_shell(f"edge check {tmp_path}/door.toml >/dev/full")

    assert done.returncode == FAILED
    assert "stdout cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_log_that_cannot_be_written_stops_nothing(streams):
    done = in_shell(f"edge run --frames 3 {streams}")

    assert (done.returncode, done.stderr) == (DONE, "")
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("edge inspect gone.tflite 2>&-", FAILED),
        ("edge nothing 2>/dev/full", MISUSED),
        ("edge inspect <&- >&- 2>&-", FAILED),
        ("boards show nothing 2>&-", MISUSED),
    ],
)
def test_the_status_tells_what_the_streams_cannot(line, status):
    assert in_shell(line).returncode == status


@pytest.mark.parametrize("line", ["edge inspect --json", "boards list", "boards.device status"])
def test_a_reader_that_has_enough_is_no_failure(line):
    """`true` is gone before the first line comes."""
    done = in_shell(f"{line} | true; exit ${{PIPESTATUS[0]}}")

    assert (done.returncode, done.stderr) == (DONE, "")


@pytest.mark.parametrize("status", [DONE, FAILED])
def test_what_failed_has_failed_also_where_nobody_reads_the_rest(status):
    code = (
        "import sys, types, edge.terminal.entry as entry\n"
        "module = types.ModuleType('tried'); sys.modules['tried'] = module\n"
        f"module.main = lambda: print('said') or {status}\n"
        "sys.exit(entry.start('tried', 'tried'))"
    )
    done = in_shell(f'"$PYTHON" -c "{code}" | true; exit ${{PIPESTATUS[0]}}')

    assert (done.returncode, done.stderr) == (status, "")


def test_no_file_takes_the_number_of_a_closed_stream():
    code = (
        "import sys, types, edge.terminal.entry as entry\n"
        "module = types.ModuleType('tried'); sys.modules['tried'] = module\n"
        "module.main = lambda: open('/dev/zero').fileno()\n"
        "sys.exit(entry.start('tried', 'tried'))"
    )
    done = in_shell(f'"$PYTHON" -c "{code}" <&- >&- 2>&-')

    assert done.returncode > 2


def test_names_that_are_no_text_can_be_printed(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.tflite")
    done = in_shell(
        'cp "$MODEL" "$COPY"; edge inspect "$COPY" --json; edge inspect "$COPY.gone"',
        MODEL=default_model(),
        COPY=path,
    )

    assert "m\\udcff.tflite" in done.stdout
    assert "m\\udcff.tflite.gone: no such file" in done.stderr


def default_model():
    from edge.model.default import default_model_path  # noqa: PLC0415

    return str(default_model_path())


def test_nothing_is_imported_before_ctrl_c_is_minded(root):
    code = (
        "import site, sys; old = {*sys.modules}; import edge.__main__; print({*sys.modules} - old)"
    )
    # With what `site` itself imports, and without what it does for this environment.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, cwd=root, text=True, check=True
    )

    own = {"__future__", "edge", "edge.__main__", "edge.terminal", "edge.terminal.entry"}
    assert ast.literal_eval(done.stdout) == own


def with_ctrl_c(module, *words, imports):
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, *words],
        env=os.environ | {"IMPORTS": str(imports), "MODULE": module},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


@functools.cache
def imports_of(module, *words):
    never = 10**6
    return never - int(with_ctrl_c(module, *words, imports=never).stdout.splitlines()[-1])


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
@pytest.mark.parametrize(
    ("module", "words"),
    [
        pytest.param("edge.cli", ["inspect"], id="edge inspect"),
        pytest.param("edge.cli", ["run", "--frames", "1"], id="edge run"),
        pytest.param("boards.cli", ["list"], id="edge-board"),
        pytest.param("calibration.cli", ["show", "gone"], id="edge-calibrate"),
    ],
)
def test_ctrl_c_ends_a_command_at_once_and_without_a_word_while_it_still_imports(
    module, words, share
):
    last = imports_of(module, *words)

    done = with_ctrl_c(module, *words, imports=1 + int(share * last))

    assert done.returncode == -signal.SIGINT
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_import_that_makes_something_else_of_ctrl_c_is_ended_all_the_same(tmp_path):
    (tmp_path / "tried.py").write_text(
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException: raise ImportError('a broken installation')\n"
    )
    code = "from edge.terminal.entry import start; start('tried', 'tried')"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_ctrl_c_lets_a_command_tidy_up_once_it_works(tmp_path):
    (tmp_path / "tried.py").write_text(
        "import os, signal, sys\n"
        "def main():\n"
        "    try: os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally: sys.stderr.write('tidy')\n"
    )
    code = "from edge.terminal.entry import start; start('tried', 'tried')"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (-signal.SIGINT, "tidy")


def test_nothing_that_takes_long_is_imported_before_ctrl_c_is_minded():
    code = (
        "import sys; before = set(sys.modules); import {}.__main__; "
        "print(*(set(sys.modules) - before))"
    )
    done = [
        subprocess.run(
            [sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True
        )
        for module in (*MODULES, BOARD)
    ]

    loaded = {name for each in done for name in each.stdout.split()}
    own = {name for name in loaded if name.partition(".")[0] in MODULES}
    assert loaded - own <= {"__future__"}
