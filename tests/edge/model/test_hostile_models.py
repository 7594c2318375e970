"""Hostile models: none that is refused, tried or let through ends this process or a service."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import factories
import hostile_models
import pytest
from reference import tiny_model, tiny_net, tiny_segmenter

from edge.errors import ModelError
from edge.model import model_file, structure, trial
from edge.model.default import default_model_path
from edge.model.readers import manifest

pytestmark = pytest.mark.board

PATH = Path("model.tflite")
BASES = {
    "shipped": lambda: model_file.read(default_model_path()).flatbuffer,
    "add": tiny_model.build,
    "net": tiny_net.build,
    "segmenter": tiny_segmenter.flatbuffer,
}
KINDS = len(hostile_models.KINDS)
# Loads what passed as a service would, on other values and more threads, and says how far it came.
SERVICE = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
for path in sys.argv[1:]:
    print(path, flush=True)
    loaded = Interpreter(model_content=open(path, "rb").read(), num_threads=2)
    loaded.allocate_tensors()
    for detail in loaded.get_input_details():
        values = np.random.default_rng(0).integers(0, 127, detail["shape"])
        loaded.set_tensor(detail["index"], values.astype(detail["dtype"]))
    loaded.invoke()
"""


def sealed(flatbuffer):
    """Return the bytes as a model file has them, its digest that of the damage."""
    return manifest.read(PATH, manifest.append(flatbuffer, factories.manifest(), None))[0]


def figures(seeds, folder):
    """Try changed models; return how many there were of each fate, and the files that passed."""
    counts = dict.fromkeys(("structure", "signal", "refused", "failed", "memory", "time"), 0)
    passed = []
    words = {"ended by": "signal", "cannot load": "refused", "cannot run": "failed"}
    words |= {"failed when": "failed", "needed more": "memory", "did not end": "time"}
    for base, seed in seeds:
        hostile = hostile_models.make(BASES[base](), seed)
        flatbuffer = sealed(hostile.flatbuffer)
        before = time.thread_time()
        try:
            structure.check(flatbuffer, PATH)
        except ModelError:
            counts["structure"] += 1
            continue
        finally:
            assert time.thread_time() - before < 3, hostile.name
        try:
            trial.admit(factories.model_file(path=PATH, flatbuffer=flatbuffer), state_folder=None)
        except ModelError as error:
            counts[next(fate for text, fate in words.items() if text in str(error))] += 1
            continue
        passed.append(folder / f"{base} {hostile.name}.tflite")
        passed[-1].write_bytes(flatbuffer)
    return counts, passed


def survive(passed):
    """Run what passed as a service would; it must not end by a signal or a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, *map(str, passed)], capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr[-500:])


def test_no_hostile_model_ends_this_process_or_a_service(tmp_path):
    seeds = [(base, seed) for base in BASES for seed in range(KINDS)]
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, passed = figures(seeds, tmp_path)

    assert counts["structure"] > 10
    assert sum(counts.values()) + len(passed) == len(seeds)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024
    survive(passed)


@pytest.mark.slow
def test_no_hostile_model_of_many_ends_this_process_or_a_service(tmp_path):
    seeds = [(base, seed) for base in BASES for seed in range(KINDS, KINDS * 11)]
    counts, passed = figures(seeds, tmp_path)

    print(f"{len(seeds)} models: {counts}, passed {len(passed)}")
    assert len(seeds) >= 368
    survive(passed)
