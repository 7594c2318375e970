"""Wheels are chosen for the board's Python and processor, and what is missing is said by name."""

from __future__ import annotations

import pytest
from fake_wheels import library, make_wheel

from boards import profile as profiles
from boards.wheels import Target, WheelError, check_pages, fetch

pytestmark = pytest.mark.board

PI = profiles.load("pi5")
PAGE_4, PAGE_16, PAGE_64 = 1 << 12, 1 << 14, 1 << 16


@pytest.fixture
def index(tmp_path):
    """A folder in the place of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    return folder


def fetched(tmp_path, index, python, *requires):
    own = make_wheel(tmp_path / "wheels", "edge-vision", requires=requires)
    fetch(own, own.parent, Target(python, PI), source=index)
    return sorted(wheel.name for wheel in own.parent.iterdir())


def test_what_counts_is_the_board_s_python_and_processor_and_not_this_one(tmp_path, index):
    for_pi = "cp313-cp313-manylinux_2_28_aarch64"
    make_wheel(index, "native", tag=for_pi, requires=["old; python_version < '3.11'"])
    make_wheel(index, "native", tag="cp313-cp313-manylinux_2_28_x86_64", version="2.0")
    make_wheel(index, "native", tag="cp313-cp313-manylinux_2_99_aarch64", version="3.0")
    make_wheel(index, "arm", requires=["deep"])
    make_wheel(index, "deep", tag="cp37-abi3-manylinux2014_aarch64")

    found = fetched(tmp_path, index, "3.13", "native>=1", "arm; platform_machine == 'aarch64'")

    assert found == [
        "arm-1.0-py3-none-any.whl", "deep-1.0-cp37-abi3-manylinux2014_aarch64.whl",
        "edge_vision-1.0-py3-none-any.whl", f"native-1.0-{for_pi}.whl",
    ]  # fmt: skip


def test_what_only_the_board_s_python_needs_is_fetched_too(tmp_path, index):
    make_wheel(index, "between", requires=["tomli; python_version < '3.11'"])
    make_wheel(index, "tomli")

    assert "tomli-1.0-py3-none-any.whl" in fetched(tmp_path, index, "3.10", "between")


@pytest.mark.parametrize(
    ("python", "profile", "version"),
    [
        pytest.param("3.11", "pi5", "1.26", id="Debian 12, whose camera stack has numpy 1"),
        pytest.param("3.13", "pi5", "2.0", id="Debian 13"),
        pytest.param("3.11", "aarch64", "2.0", id="no camera stack of the system's"),
    ],
)
def test_numpy_is_the_one_that_the_system_s_camera_stack_was_built_for(
    tmp_path, index, python, profile, version
):
    for each in ("1.26", "2.0"):
        make_wheel(index, "numpy", version=each)
    make_wheel(index, "runtime", requires=["numpy"])
    own = make_wheel(tmp_path / "wheels", "edge-vision", requires=["numpy>=1.24", "runtime"])

    fetch(own, own.parent, Target(python, profiles.load(profile)), source=index)

    assert [each.name for each in own.parent.glob("numpy*")] == [
        f"numpy-{version}-py3-none-any.whl"
    ]


@pytest.mark.parametrize(
    ("python", "version"),
    [
        pytest.param("3.10", "2.0", id="older than this one"),
        pytest.param("3.14", "1.0", id="newer than this one"),
    ],
)
def test_a_package_of_any_platform_is_taken_in_the_version_for_that_python(
    tmp_path, index, python, version
):
    make_wheel(index, "backport", python="<3.15")
    make_wheel(index, "backport", python="<3.11", version="2.0")

    assert f"backport-{version}-py3-none-any.whl" in fetched(tmp_path, index, python, "backport")


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param("cp312-cp312-manylinux_2_28_aarch64", id="another Python"),
        pytest.param("cp313-cp313-linux_armv7l", id="32 bits"),
    ],
)
def test_a_package_without_a_wheel_is_named_with_the_way_out(tmp_path, index, tag):
    make_wheel(index, "native", tag=tag)

    with pytest.raises(WheelError) as caught:
        fetched(tmp_path, index, "3.13", "native")

    assert str(caught.value) == (
        f"native: found no wheel for Python 3.13 on aarch64, glibc 2.36 in {index}; choose another "
        "Python that the board's system has: --python 3.13 or 3.11"
    )


def test_a_library_that_is_aligned_to_the_board_s_pages_passes(tmp_path):
    files = {"a.so": library(PAGE_64, PAGE_16), "a.py": b"print()", "short.so": b"\x7fELF\x02\x01"}
    make_wheel(tmp_path, "native", files=files)

    assert check_pages(tmp_path, PI) == 1


def test_a_library_that_a_16_kib_kernel_cannot_map_is_named(tmp_path):
    make_wheel(tmp_path, "native", files={"lib/a.so.1": library(PAGE_16, PAGE_4)})

    with pytest.raises(WheelError, match=r"lib/a\.so\.1 is aligned to 4 KiB, .* pages of 16 KiB"):
        check_pages(tmp_path, PI)
    assert check_pages(tmp_path, profiles.load("pi4")) == 1
