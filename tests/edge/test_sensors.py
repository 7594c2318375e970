"""Sensors as boards have them: trees of files in the kernel's formats, and a `vcgencmd`."""

from __future__ import annotations

import pytest
from waiting import eventually

from edge.sensors import (
    THROTTLED_FILE,
    Sample,
    Sampler,
    Sensors,
    governors,
    throttle_words,
    throttled_during,
)

pytestmark = pytest.mark.board

# As printed by a Pi 5: Raspberry Pi documentation, "vcgencmd", pmic_read_adc (shortened).
PMIC = """\
 VDD_CORE_A current(7)=1.50000000A
     HDMI_A current(22)=0.02000000A
 VDD_CORE_V volt(15)=0.80000000V
     HDMI_V volt(23)=5.00000000V
   EXT5V_V volt(24)=5.15472000V
    BATT_V volt(25)=0.00000000V
"""


@pytest.fixture
def sys_tree(tmp_path):
    """Return a function that writes files of a board below a root, and returns the root."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def vcgencmd(tmp_path, monkeypatch):
    """Return a function that puts a `vcgencmd` into a folder, and returns the folder."""
    # A busy machine takes its time for a program of one line.
    monkeypatch.setattr("edge.sensors.COMMAND_TIMEOUT_S", 60.0)

    def write(answers):
        cases = "\n".join(
            f"{question}) printf '%s' '{text}';;" for question, text in answers.items()
        )
        program = tmp_path / "bin" / "vcgencmd"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}\n*) exit 1;;\nesac\n")
        program.chmod(0o755)
        return str(program.parent)

    return write


def test_the_hottest_zone_and_the_fastest_core_are_told(sys_tree):
    root = sys_tree(
        {
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
            "sys/class/thermal/thermal_zone1/temp": "61850\n",
            "sys/class/thermal/thermal_zone2/temp": "-256000\n",  # off, as on a Jetson
            "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000\n",
            "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq": "2400000\n",
        }
    )

    sample = Sensors(root, path="").read(3.0)

    assert sample.at_s == 3.0
    assert sample.temperature_c == pytest.approx(61.85)
    assert sample.frequency_mhz == 2400


def test_a_jetsons_ina3221_tells_power_from_voltage_and_current(sys_tree):
    device = "sys/class/hwmon/hwmon1"
    root = sys_tree(
        {
            f"{device}/name": "ina3221\n",
            f"{device}/in1_label": "VDD_IN\n",
            f"{device}/in1_input": "5000\n",
            f"{device}/curr1_input": "800\n",
            f"{device}/in2_input": "5000\n",
            f"{device}/curr2_input": "200\n",
            f"{device}/in7_label": "sum of shunt voltages\n",
            f"{device}/in7_input": "40\n",
        }
    )

    assert Sensors(root, path="").read(0).power_w == pytest.approx(5.0 * 0.8 + 5.0 * 0.2)


def test_power_in_microwatts_is_taken_as_it_is(sys_tree):
    root = sys_tree(
        {
            "sys/class/hwmon/hwmon0/power1_input": "3250000\n",
            "sys/class/hwmon/hwmon0/curr1_input": "1\n",
            "sys/class/hwmon/hwmon0/in1_input": "1\n",
        }
    )

    assert Sensors(root, path="").read(0).power_w == pytest.approx(3.25)


def test_a_pi_5_tells_the_power_of_rails_with_voltage_and_current(tmp_path, vcgencmd):
    folder = vcgencmd({"pmic_read_adc": PMIC, "get_throttled": "throttled=0x50005\n"})
    sensors = Sensors(tmp_path, path=folder)

    assert sensors.read(0).power_w is None
    sample = sensors.read_all(0)

    assert sample.power_w == pytest.approx(1.5 * 0.8 + 0.02 * 5.0)
    assert sample.throttled == 0x50005
    assert sensors.absent() == ("no temperature sensor", "no clock frequency")


def test_throttle_bits_come_from_the_kernels_file_where_it_has_one(sys_tree, vcgencmd):
    root = sys_tree({THROTTLED_FILE: "50000\n"})
    folder = vcgencmd({"get_throttled": "throttled=0x1\n"})

    assert Sensors(root, path=folder).read_all(0).throttled == 0x50000


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param({}, id="fails"),
        pytest.param({"get_throttled": "VCHI initialization failed\n"}, id="no device"),
        pytest.param({"pmic_read_adc": "error=1 error_msg=Command not registered\n"}, id="Pi 4"),
    ],
)  # fmt: skip
def test_a_vcgencmd_that_knows_nothing_is_an_absent_sensor(tmp_path, vcgencmd, answers):
    sensors = Sensors(tmp_path, path=vcgencmd(answers))

    assert "no power sensor" in sensors.absent()
    assert "no throttle flags" in sensors.absent()


def test_without_any_sensor_each_is_named_and_the_rest_goes_on(tmp_path):
    sensors = Sensors(tmp_path, path="")

    assert sensors.absent() == (
        "no temperature sensor",
        "no clock frequency",
        "no power sensor",
        "no throttle flags",
    )
    assert sensors.read_all(1.0) == Sample(at_s=1.0)


def test_a_sensor_that_is_damaged_or_goes_away_is_left_out(sys_tree):
    root = sys_tree(
        {
            "sys/class/thermal/thermal_zone0/temp": "garbage",
            "sys/class/thermal/thermal_zone1/temp": "40000",
            THROTTLED_FILE: "zz",
        }
    )
    sensors = Sensors(root, path="")
    assert sensors.read(0).temperature_c == 40
    assert sensors.read(0).throttled is None

    (root / "sys/class/thermal/thermal_zone1/temp").unlink()

    assert sensors.read(0).temperature_c is None


def test_governors_are_named_once(sys_tree):
    cpu = "sys/devices/system/cpu/cpufreq"
    root = sys_tree(
        {
            f"{cpu}/policy0/scaling_governor": "schedutil\n",
            f"{cpu}/policy4/scaling_governor": "schedutil\n",
        }
    )

    assert governors(root) == ("schedutil",)
    assert governors(root / "sys") == ()


def test_the_sampler_looks_at_both_ends_and_in_between(sys_tree):
    root = sys_tree({"sys/class/thermal/thermal_zone0/temp": "40000"})

    with Sampler(Sensors(root, path=""), period_s=0.01) as sampler:
        assert eventually(lambda: len(sampler.samples) > 7)
        (root / "sys/class/thermal/thermal_zone0/temp").write_text("50000")

    assert sampler.samples[0].temperature_c == 40
    assert sampler.samples[-1].temperature_c == 50
    assert [s.at_s for s in sampler.samples] == sorted(s.at_s for s in sampler.samples)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        pytest.param(0, [], id="none"),
        pytest.param(0x1, ["under-voltage now"], id="under-voltage"),
        pytest.param(0x2, ["frequency capped now"], id="capped"),
        pytest.param(0x4, ["throttled now"], id="throttled"),
        pytest.param(0x8, ["soft temperature limit now"], id="soft limit"),
        pytest.param(0x10000, ["under-voltage since boot"], id="under-voltage, past"),
        pytest.param(0x20000, ["frequency capped since boot"], id="capped, past"),
        pytest.param(0x40000, ["throttled since boot"], id="throttled, past"),
        pytest.param(0x80000, ["soft temperature limit since boot"], id="soft limit, past"),
        pytest.param(
            0x50005,
            [
                "under-voltage now",
                "throttled now",
                "under-voltage since boot",
                "throttled since boot",
            ],
            id="a weak supply",
        ),
        pytest.param(0x100010, ["unknown bits 0x100010"], id="bits of a later firmware"),
    ],
)
def test_each_bit_has_its_words(bits, words):
    assert throttle_words(bits) == words


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param([0x50000, 0x50000], [], id="before the run only"),
        pytest.param([0, 0x4, 0x40000], ["throttled"], id="seen"),
        pytest.param([0, 0x40000], ["throttled"], id="between two looks"),
        pytest.param([0x10000, 0x90000], ["soft temperature limit"], id="new beside an old one"),
    ],
)
def test_what_happened_in_the_run_is_told_from_what_was_before(seen, words):
    assert throttled_during(seen) == words
