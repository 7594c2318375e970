"""The product beside a real Home Assistant: every entity, every command, then many restarts.

Run by scripts/homeassistant_test, which installs Home Assistant and makes a network of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]

from conftest import mosquitto_program  # noqa: E402
from house import House, restart  # noqa: E402
from house_checks import CONFIGURATION, EXPECTED, check_house, check_log  # noqa: E402


def main() -> int:
    """Run the checks; the exit status says whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("installed", type=Path, help="the folder of a Home Assistant")
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for logs, which stays")
    given = parser.parse_args()
    program = mosquitto_program()
    if program is None:
        print("no mosquitto; type: sudo apt install mosquitto", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with House(given.installed, program, folder, CONFIGURATION) as house:
            check_house(house)
            before = house.entities()
            found = restart(house, given.restarts, seed=given.seed)
            done = ", ".join(f"{count} x {kind}" for kind, count in sorted(found.done.items()))
            house.say(f"{sum(found.done.values())} restarts: {done or 'none'}")
            house.say(f"longest until every state was back: {found.longest_s:.1f} s")
            house.check("nothing stuck", ok=not found.stuck, found=found.stuck)
            house.check("no duplicate, no orphan", ok=house.entities() == before
                        and len(house.home.devices()) == 1 and not house.home.orphans(),
                        found=set(house.entities().items()) ^ set(before.items()))  # fmt: skip
            house.check("the same entities as at first", ok={*before} == EXPECTED)
            check_log(house)
        passed = sum(house.results)
        print(f"{passed} passed, {len(house.results) - passed} failed")
    return 0 if all(house.results) else 1


if __name__ == "__main__":
    sys.exit(main())
