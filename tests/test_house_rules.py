"""The house rules hold in every file, and each rule can tell a fault."""

from __future__ import annotations

import subprocess
from pathlib import Path

import house_rules
import import_rules
import pytest

pytestmark = pytest.mark.board

ROOT = Path(__file__).resolve().parents[1]
# Files over 300 lines, each with the reason why it is still one idea.
LONG_FILES: dict[str, str] = {}
MODULES = [path for package in import_rules.PACKAGES for path in (ROOT / package).rglob("*.py")]
SCRIPTS = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
TESTS = list((ROOT / "tests").rglob("*.py"))


SCHEMA = "from ai_edge_litert import schema_py_generated as schema"


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def every_function():
    return [
        function
        for path in MODULES
        for function in house_rules.functions(path.read_text(encoding="utf-8"), relative(path))
    ]


def tracked_texts():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in path.read_bytes()[:1024]:
            yield name, path.read_text(encoding="utf-8", errors="replace")


def test_files_are_short_and_named_by_what_they_hold():
    faults = [
        fault
        for path in [*MODULES, *SCRIPTS, *TESTS]
        for fault in house_rules.file_faults(
            path,
            lines=len(path.read_bytes().splitlines()),
            long_files=LONG_FILES,
            name=relative(path),
        )
    ]

    assert faults == []


def test_functions_are_short_and_take_few_things_by_position():
    assert house_rules.function_faults(every_function()) == []


def test_most_functions_are_very_short():
    assert house_rules.distribution_faults(every_function()) == []


def test_modules_import_in_one_direction():
    faults = [
        fault
        for path in MODULES
        for fault in import_rules.faults(
            path.read_text(encoding="utf-8"), import_rules.module_name(path, ROOT)
        )
    ]

    assert faults == []


def test_every_module_of_edge_stands_in_one_layer():
    inner = [
        import_rules.module_name(path, ROOT / "edge") for path in (ROOT / "edge").rglob("*.py")
    ]

    assert [name for name in inner if not import_rules.layer_of(name)] == []


def test_texts_name_no_machine_no_registry_and_no_loose_end():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing says which files are tracked")

    assert [
        fault for name, text in tracked_texts() for fault in house_rules.word_faults(text, name)
    ] == []


@pytest.mark.parametrize(
    ("name", "lines", "count"),
    [
        pytest.param("nms.py", 300, 0, id="sound"),
        pytest.param("nms.py", 301, 1, id="long"),
        pytest.param("listed.py", 400, 0, id="long, with a reason"),
        pytest.param("listed.py", 401, 1, id="too long for any reason"),
        pytest.param("utils.py", 1, 1, id="named by nothing"),
    ],
)
def test_the_file_rule_can_tell(name, lines, count):
    found = house_rules.file_faults(
        Path(name), lines=lines, long_files={"listed.py": "a table"}, name=name
    )

    assert len(found) == count


def body_of(lines: int, *, parameters: str = "") -> str:
    return f'def f({parameters}):\n    """Do."""\n' + "    x = 1\n" * lines


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        pytest.param(body_of(50), "", id="sound"),
        pytest.param(body_of(51), "51 lines", id="long"),
        pytest.param(body_of(1, parameters="a, b, c, *, d"), "", id="three and a keyword"),
        pytest.param(body_of(1, parameters="a, b, /, c, d"), "4 positional", id="four"),
        pytest.param("class A:\n def f(self, a, b, c): pass", "", id="self does not count"),
        pytest.param(
            "class A:\n @staticmethod\n def f(a, b, c, d): pass", "4 positional", id="static"
        ),
        pytest.param(body_of(1, parameters="a, b=False"), "b is a pos", id="boolean default"),
        pytest.param(body_of(1, parameters="a: bool"), "a is a pos", id="boolean type"),
        pytest.param(body_of(1, parameters="*, a=True"), "", id="boolean keyword"),
        pytest.param("def g():\n  def f(a, b, c, d): pass", "f: 4 pos", id="nested"),
    ],
)
def test_the_function_rules_can_tell(source, fault):
    found = house_rules.function_faults(house_rules.functions(source, "m.py"))

    assert len(found) == bool(fault)
    assert fault in "".join(found)


@pytest.mark.parametrize(
    ("lengths", "fault"),
    [
        pytest.param([8] * 90 + [25] * 10, "", id="sound"),
        pytest.param([9] * 100, "median function: 9", id="long in the middle"),
        pytest.param([1] * 89 + [26] * 11, "p90 function: 26", id="long at the end"),
    ],
)
def test_the_distribution_rule_can_tell(lengths, fault):
    found = [
        function
        for length in lengths
        for function in house_rules.functions(body_of(length), "m.py")
    ]

    assert fault in "".join(house_rules.distribution_faults(found))
    assert bool(house_rules.distribution_faults(found)) == bool(fault)


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        pytest.param("edge.decode.ssd", "import numpy", "", id="numpy"),
        pytest.param("edge.app", "from edge.pipeline import Pipeline", "", id="downwards"),
        pytest.param("edge.decode.ssd", "from edge.app import run", "above stages", id="upwards"),
        pytest.param(
            "edge.decode.ssd", "def f():\n  import edge.cli", "above", id="inside a function"
        ),
        pytest.param("edge.pipeline", "from edge.app import run", "above", id="module by from"),
        pytest.param(
            "edge.decode.ssd",
            "from edge.preprocess import x",
            "each other",
            id="stage to stage",
        ),
        pytest.param("edge.capture.v4l2", "from edge.capture.source import S", "", id="a family"),
        pytest.param(
            "edge.sinks.mqtt", "import edge.model.spec", "sinks import", id="sink too low"
        ),
        pytest.param("edge.sinks.mqtt", "from edge.messages.envelope import encode", "", id="sink"),
        pytest.param("edge.strange", "import edge.decode.ssd", "no layer", id="no layer"),
        pytest.param("edge.decode.ssd", "from . import app", "full name", id="relative"),
        pytest.param(
            "edge.decode.ssd", "import calibration.store", "nothing", id="edge to calibration"
        ),
        pytest.param("calibration.cli", "import converter", "may import", id="the wrong way"),
        pytest.param(
            "converter.cli.command",
            "import calibration.store, edge.decode.ssd",
            "",
            id="the right way",
        ),
        pytest.param(
            "converter.judge.gate", "import converter.quantize.scores", "", id="a lower folder"
        ),
        pytest.param(
            "converter.judge.gate", "import converter.search.attempts", "search", id="a higher one"
        ),
        pytest.param("boards.cli", "from edge.errors import EdgeError", "", id="boards"),
        pytest.param(
            "boards.cli",
            "from edge.decode.ssd import x",
            "edge.config",
            id="boards too deep",
        ),
        pytest.param("edge.decode.ssd", "from tests import factories", "nobody", id="tests"),
        pytest.param("edge.decode.ssd", "import cv2", "only edge.preprocess", id="OpenCV"),
        pytest.param("edge.capture.v4l2", "import cv2", "", id="OpenCV in its place"),
        pytest.param("edge.app", "import paho.mqtt.client", "edge.sinks.mqtt", id="MQTT client"),
        pytest.param("edge.app", "N = 'ai_edge_litert.interpreter'", "only", id="lazy LiteRT"),
        pytest.param("converter.judge.bill", SCHEMA, "only converter.graph", id="the schema"),
        pytest.param("converter.graph.reading", SCHEMA, "", id="the schema in its place"),
        pytest.param("calibration.observe", "import tensorflow as tf", "only", id="TensorFlow"),
        pytest.param("converter.export", "import tensorflow as tf", "", id="TensorFlow at home"),
    ],
)
def test_the_import_rules_can_tell(module, source, fault):
    found = import_rules.faults(source, module)

    assert bool(found) == bool(fault)
    assert fault in "".join(found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("x = 1  # TO" "DO(#12): later", 0, id="with an issue"),
        pytest.param("x = 1  # TO" "DO later", 1, id="without"),
        pytest.param("open('/ro" "ot/x')", 1, id="machine path"),
        pytest.param("~/work/x, a/home/b, /proc/x", 0, id="other paths"),
        pytest.param("https://pypi.or" "g/simple", 1, id="registry"),
        pytest.param("see ../shared/" "docs/x.md", 1, id="outside"),
        pytest.param("../shared/assets", 0, id="assets"),
        pytest.param("AI-" "generated", 1, id="not about the code"),
    ],
)  # fmt: skip
def test_the_word_rules_can_tell(text, count):
    assert len(house_rules.word_faults(text, "a.md")) == count
