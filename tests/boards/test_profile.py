"""The shipped board profiles are sound, and a faulty one names all its faults."""

from __future__ import annotations

from collections import Counter

import pytest

from boards import profile as profiles
from edge.capture.registry import SOURCES
from edge.errors import ConfigError
from edge.model.delegates import DELEGATES

pytestmark = pytest.mark.board

SUPPORTED_PYTHONS = {"3.10", "3.11", "3.12", "3.13", "3.14"}
ALL = profiles.load_all()
# What a profile says of itself, and what it was decided to be.
OWN_WORDS = {
    "name", "title", "match", "system", "carrier", "notes", "unsupported", "sources",
}  # fmt: skip
SOUND = """
title = "A board"
compatible = ["maker,a-board"]
match = "exact"
cores = 4
core = "Cortex-A53"
ram_mib = [1024]
system = "Linux"
python = ["3.13"]
runtime = "ai-edge-litert"
threads = 3
machine = "aarch64"
page_kib = 4
carrier = "none"
glibc = "2.36"
max_workers = 1
max_input_px = 320
memory_percent = 60
camera = "v4l2:/dev/video0"
cameras = ["v4l2"]
delegates = ["cpu"]
thermal_zone = "cpu-thermal"
throttling = "none"
[sources]
"made up" = ["cores"]
"""


def test_every_board_of_the_documentation_has_a_profile():
    assert set(profiles.names()) == {
        "zero2w", "pi3", "pi4", "cm4", "pi5", "cm5", "orin-nano", "orin-nx", "agx-orin",
        "jetson-nano", "xavier-nx", "aarch64", "x86-64",
    }  # fmt: skip


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_a_profile_is_consistent(profile):
    assert profile.threads <= profile.cores
    assert profile.delegates[-1] == "cpu"
    assert set(profile.delegates) <= set(DELEGATES)
    assert list(profile.ram_mib) == sorted(profile.ram_mib)
    if profile.unsupported:
        assert not SUPPORTED_PYTHONS.intersection(profile.python)
    else:
        assert SUPPORTED_PYTHONS.issuperset(profile.python)
        assert profile.runtime == "ai-edge-litert"
        assert profile.cameras


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_every_fact_has_a_source(profile):
    told = [fact for facts in profile.sources.values() for fact in facts]
    given = {fact for fact, value in profile.plain().items() if value not in ((), [], "", 0)}

    assert set(told) <= set(profile.__struct_fields__)
    assert len(told) == len(set(told))
    assert given - OWN_WORDS - set(told) == ({"core"} if not profile.compatible else set())


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_every_camera_of_a_profile_is_a_source_that_this_version_has(profile):
    assert set(profile.cameras) <= set(SOURCES)
    assert profile.camera.partition(":")[0] in (*profile.cameras, "v4l2")


def test_a_device_tree_string_belongs_to_one_profile():
    counts = Counter(text for profile in ALL for text in (*profile.compatible, *profile.soc))

    assert {text for text, count in counts.items() if count > 1} == set()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"found 'pi9'; known are: aarch64, agx-orin, .*zero2w"):
        profiles.load("pi9")


@pytest.mark.parametrize("name", ["../profiles/pi5", "", "pi5.toml"])
def test_a_name_is_not_a_path(name):
    with pytest.raises(ConfigError):
        profiles.load(name)


def test_a_sound_profile_takes_its_name_from_the_file():
    assert profiles.parse("mine", SOUND).name == "mine"


def test_all_faults_of_a_profile_are_named_at_once():
    faulty = SOUND.replace("cores = 4", "cores = -1").replace("match", "matches")

    with pytest.raises(ConfigError) as caught:
        profiles.parse("mine", faulty)

    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "unknown key 'matches'; did you mean 'match'?", "match", "cores",
    ]  # fmt: skip
    assert all(line.startswith("mine.toml: ") for line in lines)


def test_text_that_is_no_toml_says_where():
    with pytest.raises(ConfigError, match=r"mine\.toml: not TOML: .*line 2"):
        profiles.parse("mine", "cores = 4\ntitle = ]\n")


def test_a_profile_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        profiles.load("pi5").threads = 9
