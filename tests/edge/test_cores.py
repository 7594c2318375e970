import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import cores
from edge.cores import Cores, available_cores, confined, divided

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("available", "threads", "interpreter", "others"),
    [
        pytest.param({0, 1, 2, 3}, 3, {1, 2, 3}, {0}, id="a board with four"),
        pytest.param({0, 1}, 1, {1}, {0}, id="two"),
        pytest.param({0}, 1, {0}, {0}, id="one is shared"),
        pytest.param({0, 1, 2, 3}, 4, {0, 1, 2, 3}, {0, 1, 2, 3}, id="as many threads as cores"),
        pytest.param({2, 5, 7}, 1, {7}, {2, 5}, id="what a service manager left"),
    ],
)
def test_each_interpreter_thread_gets_a_core_where_one_is_left(
    available, threads, interpreter, others
):
    assert Cores.divide(frozenset(available), threads=threads) == Cores(
        frozenset(interpreter), frozenset(others)
    )


@given(st.frozensets(st.integers(0, 255), min_size=1, max_size=64), st.integers(1, 64))
def test_both_sides_have_cores_and_no_core_is_invented(available, threads):
    cores = Cores.divide(available, threads=threads)
    assert cores.interpreter
    assert cores.others
    assert cores.interpreter | cores.others == available


@pytest.mark.parametrize(
    ("interpreter", "others", "count", "expected"),
    [
        pytest.param({1, 2, 3}, {0}, 3, [{1}, {2}, {3}], id="one core each"),
        pytest.param({4, 5, 6, 7}, {0, 1}, 2, [{4, 5}, {6, 7}], id="neighbours, of two threads"),
        pytest.param({0, 1}, {0, 1}, 2, [{0, 1}, {0, 1}], id="all share all"),
        pytest.param({1}, {0}, 1, [{1}], id="one worker"),
    ],
)
def test_each_worker_has_cores_of_its_own_where_the_interpreters_have(
    interpreter, others, count, expected
):
    cores = Cores(frozenset(interpreter), frozenset(others))

    assert list(cores.of_workers(count)) == expected


HOLDER = """
import socket, sys
claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
claim.bind(sys.argv[1].replace("@", chr(0)))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_cores_are_divided_by_one_process_alone_and_again_once_it_is_gone(monkeypatch):
    # A claim of the test's own: a run beside it holds the real one.
    claim = f"{cores.CLAIM}-{os.getpid()}"
    monkeypatch.setattr(cores, "CLAIM", claim)
    four = frozenset(range(4))
    command = [sys.executable, "-c", HOLDER, claim.replace("\0", "@")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with divided(four, threads=3) as divided_cores:
            assert divided_cores == Cores(four, four)
        other.kill()
    with divided(four, threads=3) as divided_cores:
        assert divided_cores == Cores.divide(four, threads=3)


def test_a_thread_that_is_started_inside_stays_confined_and_the_caller_does_not():
    before = available_cores()
    one = frozenset([min(before)])
    seen = []
    go = threading.Event()

    def look():
        go.wait(10)
        seen.append(available_cores())

    thread = threading.Thread(target=look)
    with confined(one):
        assert available_cores() == one
        thread.start()
    assert available_cores() == before
    go.set()
    thread.join(10)
    assert seen == [one]


def test_the_caller_gets_its_cores_back_after_an_error():
    before = available_cores()
    with pytest.raises(RuntimeError, match="inside"), confined(frozenset([min(before)])):
        raise RuntimeError("inside")
    assert available_cores() == before
