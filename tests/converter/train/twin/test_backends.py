"""The twin under each backend of Keras that is installed; all other tests use TensorFlow."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [pytest.mark.converter, pytest.mark.slow]
TESTS = Path(__file__).parents[3]
# Three steps of training, and what comes back of them, which LiteRT must give as the twin does.
STEPS = """
import keras, numpy as np
from drawn_nets import net_of
from litert_runs import run
from converter.graph.edits import with_values
from converter.graph.writing import write
from converter.train.twin.building import build
from converter.train.twin.statistics import statistics

graph = net_of("residual", "prelu", "depthwise", "excite")
draw = np.random.default_rng(0).normal
images = draw(0, 1, (4, *graph.shape(graph.inputs[0])[1:])).astype(np.float32)
twin = build(graph, statistics=statistics(graph, [[one[None]] for one in images]))
wanted = {name: np.zeros((4, *graph.shape(name)[1:]), np.float32) for name in graph.outputs}
twin.model.compile(optimizer=keras.optimizers.AdamW(1e-2), loss={name: "mse" for name in wanted})
losses = [float(np.ravel(twin.model.train_on_batch(images, wanted))[0]) for _ in range(3)]
assert losses[2] < losses[0], losses
found = twin.model(images[:1], training=False)
for name, value in run(write(with_values(graph, twin.weights())), images[:1]).items():
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found[name]), value, atol=1e-4)
print(keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_twin_trains_under_it_and_comes_back_into_the_graph(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it trains where KERAS_BACKEND names it")
    paths = [str(TESTS / "support"), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, check=False, capture_output=True, text=True
    )
    assert done.stdout.split()[-1:] == [backend], done.stderr
