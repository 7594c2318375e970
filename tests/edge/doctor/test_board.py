"""Power, heat, memory and clock, from files in the kernel's formats."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.doctor import board
from edge.sensors import THROTTLED_FILE

pytestmark = pytest.mark.board

# /proc/meminfo of a Pi 5, shortened.
MEMINFO = "MemTotal:        8245136 kB\nMemFree:         3910064 kB\nMemAvailable:    {} kB\n"


@pytest.mark.parametrize(
    ("bits", "state", "says"),
    [
        pytest.param("0", "ok", "no under-voltage", id="well"),
        pytest.param("50005", "wrong", "under-voltage now", id="now"),
        pytest.param("50000", "warning", "under-voltage since the boot", id="since"),
        pytest.param("80008", "ok", "no under-voltage", id="only heat"),
    ],
)
def test_under_voltage_now_is_wrong_and_since_the_boot_a_warning(system, bits, state, says):
    found = board.power(system({THROTTLED_FILE: f"{bits}\n"}))

    assert (found.state, says in found.found) == (state, True)


def test_the_alarm_of_the_hwmon_counts_where_there_is_no_other_word(system):
    files = {"name": "rpi_volt\n", "in0_lcrit_alarm": "1\n"}
    host = system({f"sys/class/hwmon/hwmon2/{name}": text for name, text in files.items()})

    assert board.power(host).state == "wrong"


def test_over_current_events_of_a_jetson_are_counted(system):
    files = {"name": "soctherm_oc\n", "oc1_event_cnt": "0\n", "oc3_event_cnt": "4\n"}
    host = system({f"sys/class/hwmon/hwmon1/{name}": text for name, text in files.items()})

    found = board.power(host)

    assert found.state == "warning"
    assert found.found.startswith("4 over-current")
    assert "nvpmodel" in found.mend


def test_a_board_without_flags_has_nothing_to_tell(system):
    host = system()

    assert {board.power(host).state, board.throttling(host).state} == {"not applicable"}


def test_vcgencmd_is_asked_where_there_is_no_file(system):
    host = system(programs={"vcgencmd": "throttled=0xe0008"})

    found = board.throttling(host)

    assert found.state == "warning"
    assert "soft temperature limit now" in found.found


@pytest.mark.parametrize(
    ("milli", "state"), [("84900", "warning"), ("85500", "wrong"), ("52000", "ok")]
)
def test_heat_is_a_warning_where_boards_slow_down(system, milli, state):
    host = system({"sys/class/thermal/thermal_zone0/temp": f"{milli}\n"})

    assert board.temperature(host).state == state


@pytest.mark.parametrize(("name", "state"), [("powersave", "warning"), ("ondemand", "ok")])
def test_only_powersave_is_a_poor_governor(system, name, state):
    host = system({"sys/devices/system/cpu/cpufreq/policy0/scaling_governor": f"{name}\n"})

    assert board.governor(host).state == state


def test_swap_on_a_card_is_a_warning_and_swap_in_memory_none(system):
    heads = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    files = {"proc/meminfo": MEMINFO.format(5_000_000), "sys/block/mmcblk0/size": "1\n"}

    found = board.memory(system({**files, "proc/swaps": f"{heads}/var/swap file 102396 0 -2\n"}))
    assert (found.state, "/var/swap" in found.mend) == ("warning", True)
    found = board.memory(system({**files, "proc/swaps": f"{heads}/dev/zram0 partition 9 0 100\n"}))
    assert found.state == "ok"


def test_little_memory_is_a_warning(system):
    assert board.memory(system({"proc/meminfo": MEMINFO.format(30_000)})).state == "warning"


def test_a_memory_cgroup_that_is_off_is_told_with_the_line_that_turns_it_on(system):
    # As Raspberry Pi OS has it: "memory" is missing.
    host = system({"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"})
    found = board.memory_limit(host)
    assert (found.state, "cgroup_enable=memory" in found.mend) == ("warning", True)

    host = system({"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n"})
    assert board.memory_limit(host).state == "ok"


def test_the_clock_is_right_once_timesyncd_has_said_so(system, monkeypatch):
    host = system({"run/systemd/system/x": ""})
    assert board.clock(host).state == "warning"

    host = system({"run/systemd/timesync/synchronized": ""})
    assert board.clock(host).state == "ok"

    written_s = Path(board.__file__).stat().st_mtime
    monkeypatch.setattr(time, "time", lambda: written_s - 100)
    assert board.clock(host).state == "wrong"


def test_chrony_is_heard_through_timedatectl(system):
    assert board.clock(system({"run/systemd/x": ""}, programs={"timedatectl": "yes"})).state == "ok"
