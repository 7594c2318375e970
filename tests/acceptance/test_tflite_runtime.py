"""tflite-runtime stands in for ai-edge-litert: in an environment of its own, with the same model.

The environment is kept in `.envs/tflite-runtime`, 250 MB, and made anew when REQUIREMENTS change.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.model.backends.litert import open_interpreter, runtime_module, runtime_name
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.model_file import read
from edge.preprocess import Preprocessor

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".envs" / "tflite-runtime"
PYTHON = FOLDER / "bin" / "python"
# The lines of docs/boards.md; a test there holds the two together.
REQUIREMENTS = (
    "tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless<4.12", "paho-mqtt>=2.1,<3",
    "msgspec>=0.20,<1", "shtab>=1.13,<2", "tomli>=2", "tqdm>=4.66",
)  # fmt: skip
NUMPY_2 = "numpy>=2,<2.3"
UNREACHABLE = ("NewConnectionError", "Temporary failure", "Name or service not known", "timed out")

INVOKE = """
import sys
import numpy as np
from pathlib import Path
from edge.model.backends.litert import runtime_name
from edge.model.loaded import load_model
from edge.model.model_file import read

model = load_model(read(Path(sys.argv[1])))
heads, buffer = model.output_buffers(), model.input_buffers()[0]
buffer.tensor[:] = np.load(sys.argv[2])
model.invoke(buffer, out=heads)
np.savez(sys.argv[3], **heads)
print(runtime_name(), np.__version__)
"""
LOAD = """
from edge.errors import DependencyError
from edge.model.backends.litert import runtime_module
try:
    runtime_module()
except DependencyError as error:
    print(error)
"""


def pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip(f"pip reaches no package index: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def run(code: str, *arguments: object, **environment: str) -> str:
    done = subprocess.run(
        [str(PYTHON), "-c", code, *map(str, arguments)],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def find_python() -> str:
    """Ask the scripts' own search for a Python that tflite-runtime has a wheel for."""
    search = (
        'source "$0/scripts/environment.sh"; find_python 3.11 || find_python 3.10; echo "$REPLY"'
    )
    found = subprocess.run(
        ["bash", "-euc", search, str(ROOT)], capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip("no Python 3.10 or 3.11 here: tflite-runtime has wheels for no later one")
    return found.stdout.strip()


@pytest.fixture(scope="module")
def environment():
    """Make `.envs/tflite-runtime` if it is not there as wanted."""
    stamp = FOLDER / "requirements.stamp"
    wanted = "\n".join((*REQUIREMENTS, NUMPY_2, str(ROOT)))
    if not stamp.is_file() or stamp.read_text() != wanted:
        command = [find_python(), "-m", "venv", "--clear", str(FOLDER)]
        subprocess.run(command, check=True, capture_output=True)
        pip(*REQUIREMENTS)
        pip("--no-deps", "--editable", str(ROOT))
        pip("--no-deps", "--target", str(FOLDER / "numpy2"), NUMPY_2)
        stamp.write_text(wanted)


@pytest.fixture(scope="module")
def photo_input(tmp_path_factory):
    """Return a demo photo as the default model's input, and the file that holds it."""
    spec = load_model(read(default_model_path())).spec
    tensor = np.zeros(spec.input.shape, spec.input.dtype)
    photo = cv2.imread(str(ROOT / "edge" / "capture" / "scenes" / "astronaut.jpg"))
    transform = spec.description.input
    Preprocessor(transform, quant=spec.input.quant, dtype=spec.input.dtype).fill_input(
        photo, tensor
    )
    path = tmp_path_factory.mktemp("photo") / "input.npy"
    np.save(path, tensor)
    return tensor, path


@pytest.fixture(scope="module")
def heads(environment, photo_input, tmp_path_factory):
    """Return the raw heads that tflite-runtime gives for the photo."""
    path = tmp_path_factory.mktemp("heads") / "heads.npz"
    printed = run(INVOKE, default_model_path(), photo_input[1], path)
    assert printed.startswith("tflite_runtime 1.")
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere both delegate, each its way")
def test_its_heads_are_those_of_the_same_kernels_in_ai_edge_litert_bit_for_bit(heads, photo_input):
    """On x86-64 tflite-runtime delegates no int8 op, so the reference is LiteRT without XNNPACK."""
    file = read(default_model_path())
    plain = runtime_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    reference = open_interpreter(
        file.flatbuffer, file.path, threads=1, experimental_op_resolver_type=plain
    )
    spec = load_model(file).spec
    reference.set_tensor(spec.input.index, photo_input[0])
    reference.invoke()

    assert runtime_name() == "ai_edge_litert"
    for role, tensor in spec.outputs.items():
        np.testing.assert_array_equal(heads[role], reference.get_tensor(tensor.index))


def test_its_heads_are_near_those_that_xnnpack_gives(heads, photo_input):
    """XNNPACK rounds every layer in its own way: a box side is off by 0.9 quantum in the mean."""
    model = load_model(read(default_model_path()))
    expected, buffer = model.output_buffers(), model.input_buffers()[0]
    buffer.tensor[:] = photo_input[0]
    model.invoke(buffer, out=expected)

    mean_quanta = {
        role: np.abs(head.astype(int) - expected[role].astype(int)).mean()
        for role, head in heads.items()
    }

    print(f"mean difference, quanta: {mean_quanta}")
    assert mean_quanta["boxes"] <= 1.5
    assert mean_quanta["scores"] <= 0.3


@pytest.mark.usefixtures("environment")
def test_beside_numpy_2_it_says_what_to_install():
    printed = run(LOAD, PYTHONPATH=str(FOLDER / "numpy2"))

    assert printed.startswith("tflite-runtime needs numpy < 2, found 2.")
    assert "type: pip install 'numpy<2' 'opencv-python-headless<4.12'" in printed


@pytest.mark.usefixtures("environment")
def test_the_edge_command_works_with_it():
    done = subprocess.run(
        [str(FOLDER / "bin" / "edge"), "inspect", str(default_model_path())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_the_documentation_says_the_same():
    text = (ROOT / "docs" / "boards.md").read_text(encoding="utf-8")

    for requirement in REQUIREMENTS:
        assert f"'{requirement}'" in text
