"""The page in a real browser: what is drawn on the picture becomes zones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import Browser, chromium_program
from previewing import previewing
from waiting import eventually

from edge import app

PROGRAM = chromium_program()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium: install it with: sudo apt install chromium"
)
ZONE = """[[zone]]
name = "zone-1"
polygon = [[0.25, 0.5], [0.75, 0.5], [0.75, 0.9], [0.25, 0.9]]
"""
LINE = """[[line]]
name = "line-1"
from = [0.1, 0.2]
to = [0.9, 0.3]
"""
SCENE = Path(app.__file__).parent / "capture" / "scenes" / "coffee.jpg"
EVENTS = {"settle_s": 0, "kinds": ["enter", "leave"]}
CORNERS = [(0.25, 0.5), (0.75, 0.5), (0.75, 0.9), (0.25, 0.9)]
TOML = "document.querySelector('#toml').value"
HIDE = """
Object.defineProperty(document, "hidden", {value: %s, configurable: true});
document.dispatchEvent(new Event("visibilitychange"));
"""


@pytest.fixture(scope="module")
def served():
    with previewing(tracking={}, camera={"rate_hz": 10}) as running:
        assert eventually(lambda: running.ask("/healthz")[0] == 200, timeout_s=60)
        yield running


@pytest.fixture(scope="module")
def browser():
    with Browser(PROGRAM, (1400, 1000)) as one:
        yield one


def show(browser, url):
    """Open a page of the preview, and wait for its first picture."""
    # The page before may have lost its service by now.
    browser.open("about:blank")
    browser.wait("location.href === 'about:blank'")
    browser.faults.clear()
    browser.open(url)
    browser.wait(f"location.href === '{url}' && document.querySelector('#picture').naturalWidth")
    return browser


@pytest.fixture
def page(browser, served):
    yield show(browser, served.url)
    assert browser.faults == []


def place(page, x, y):
    """Return a place of the picture in the window, CSS pixels."""
    left, top, width, height = page.run(
        "(({left, top, width, height}) => [left, top, width, height])"
        "(document.querySelector('#overlay').getBoundingClientRect())"
    )
    return left + x * width, top + y * height


def rename(page, name):
    page.run(
        f"(() => {{ const field = document.querySelector('#shapes input'); field.value = '{name}';"
        "field.dispatchEvent(new Event('input')); })()"
    )


def choose(page, camera):
    page.run(
        f"(() => {{ const field = document.querySelector('#camera'); field.value = '{camera}';"
        "field.dispatchEvent(new Event('change')); })()"
    )


def draw(page, kind, points):
    page.run(f"document.querySelector('[data-draw={kind}]').click()")
    for point in points:
        page.click(*place(page, *point))


def rounded(toml):
    """Return shares to a hundredth: a click is on a whole pixel of the window."""
    return re.sub(r"\d\.\d+", lambda match: f"{round(float(match[0]), 2):g}", toml)


def test_clicks_on_the_picture_draw_a_zone_and_its_toml_stands_below(page):
    draw(page, "zone", [*CORNERS, CORNERS[0]])

    assert rounded(page.run(TOML)) == ZONE
    draw(page, "line", [(0.1, 0.2), (0.9, 0.3)])
    assert rounded(page.run(TOML)) == f"{ZONE}\n{LINE}"
    # From the left of who looks along it to the right is the line's first word.
    assert page.run("[...document.querySelectorAll('#overlay text')].at(-1).textContent") == "in"
    tomllib = pytest.importorskip("tomllib", reason="no tomllib before Python 3.11")
    assert [*tomllib.loads(page.run(TOML))] == ["zone", "line"]


def test_keys_draw_as_well(page):
    page.run("document.querySelector('[data-draw=line]').click()")
    for _ in range(10):
        page.key("ArrowLeft")
    page.key(" ", " ")
    for _ in range(20):
        page.key("ArrowRight")
    page.key(" ", " ")

    assert page.run(TOML) == '[[line]]\nname = "line-1"\nfrom = [0.4, 0.5]\nto = [0.6, 0.5]\n'


def test_a_finger_draws_as_the_mouse_does(page):
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    page.run("document.querySelector('[data-draw=zone]').click()")
    for point in CORNERS:
        x, y = place(page, *point)
        page.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.run("document.querySelector('#finish').click()")
    page.call("Emulation.setTouchEmulationEnabled", enabled=False)

    assert rounded(page.run(TOML)) == ZONE


def test_a_corner_is_dragged_and_a_zone_renamed_and_removed(page):
    draw(page, "zone", [*CORNERS, CORNERS[0]])
    for kind, point in (
        ("mousePressed", CORNERS[1]), ("mouseMoved", (0.8, 0.4)), ("mouseReleased", (0.8, 0.4)),
    ):  # fmt: skip
        x, y = place(page, *point)
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1)
    rename(page, "door")

    assert rounded(page.run(TOML)) == ZONE.replace("[0.75, 0.5]", "[0.8, 0.4]").replace(
        "zone-1", "door"
    )
    page.run("document.querySelector('#shapes button').click()")
    assert page.run(TOML) == "# nothing is drawn yet"


def test_applying_hands_all_that_is_drawn_on(page, served):
    draw(page, "zone", [*CORNERS, CORNERS[0]])
    page.run("document.querySelector('#apply').click()")
    page.wait("document.querySelector('#said').textContent === 'done'")

    name, body = served.changes.asked[-1]
    given = json.loads(body)
    assert name == "zones"
    assert (given["line"], given["mask"], given["save"]) == ([], [], False)
    assert rounded(json.dumps(given["zone"][0]["polygon"])) == str(list(map(list, CORNERS)))


@pytest.fixture
def coming_and_going(tmp_path):
    """A camera that sees a cup for one second, and none for another."""
    path, size_wh = tmp_path / "cup.avi", (640, 360)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20, size_wh)
    cup = cv2.resize(cv2.imread(str(SCENE)), size_wh)
    for frame in [np.full_like(cup, 90)] * 20 + [cup] * 20:
        video.write(frame)
    video.release()
    return {"source": f"file:{path}", "loop": True, "realtime": True}


def test_a_zone_that_is_drawn_and_applied_makes_an_event_appear(browser, coming_and_going):
    whole = [(0.01, 0.05), (0.99, 0.05), (0.99, 0.99), (0.01, 0.99), (0.01, 0.05)]
    with previewing(control=True, events=EVENTS, camera=coming_and_going) as served:
        page = show(browser, served.url)
        assert page.run("document.querySelectorAll('#events li').length") == 0
        draw(page, "zone", whole)
        page.run("document.querySelector('#apply').click()")
        page.wait("document.querySelector('#said').textContent.includes('zone')")

        text = page.wait("document.querySelector('#events li')?.textContent")
        assert re.search(r"\w+ #\d+ (entered|left) zone-1", text)
        # What holds now is shown as it was drawn, with what is in it.
        assert page.run("document.querySelector('#apply').disabled")
        page.wait("/zone-1 · \\w+/.test(document.querySelector('#overlay text').textContent)")
        assert [zone.name for zone in served.parts.config.zones] == ["zone-1"]
        assert page.faults == []

        # What the service has is changed like what was drawn just now, whenever it was shown.
        shown = page.run("document.querySelector('#board').textContent")
        page.wait(f"document.querySelector('#board').textContent !== {json.dumps(shown)}")
        rename(page, "door")
        assert page.run(TOML).startswith('[[zone]]\nname = "door"')
        # Somebody else changes the zones meanwhile: theirs are not lost unseen.
        parts = served.parts
        parts.behave(parts.config.replace(zones=(parts.config.zones[0].replace(name="theirs"),)))
        page.run("document.querySelector('#apply').click()")
        page.wait("document.querySelector('#said').textContent.startsWith('others hold by now')")
        page.run("document.querySelector('#revert').click()")
        page.wait(f"{TOML}.includes('theirs')")
        page.run("document.querySelector('#shapes button').click()")
        assert page.run(TOML) == "# nothing is drawn yet"


def test_of_several_cameras_each_is_shown_and_a_zone_is_of_one(browser):
    cameras = [{"name": name, "source": "demo:", "rate_hz": 10} for name in ("front", "back")]
    with previewing(camera=cameras) as served:
        page = show(browser, f"{served.url}?camera=back")
        assert page.run("document.querySelector('#camera').value") == "back"
        draw(page, "line", [(0.1, 0.2), (0.9, 0.3)])
        assert page.run(TOML).endswith('camera = "back"\n')
        draw(page, "zone", CORNERS[:2])
        served.parts.cameras.pause(["front"], on=True)
        choose(page, "front")
        # Nothing of the other one is left to draw on, nor a zone that was begun there.
        assert not page.run("document.querySelector('#picture').hasAttribute('src')")
        page.wait("document.title.endsWith(': front')")
        page.wait("document.querySelector('#health').textContent === 'paused'")
        page.wait("document.querySelectorAll('#overlay .shape').length === 0")
        # Who waits for a camera that gives nothing gets the next one at once.
        choose(page, "back")
        page.wait("document.querySelector('#picture').naturalWidth")
        assert page.faults == []


def test_on_a_phone_corners_are_large_enough_for_a_finger_and_names_stay_in_the_picture(page):
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=380,
        height=800,
        deviceScaleFactor=2,
        mobile=True,
    )
    try:
        draw(page, "zone", [(0.9, 0.01), (0.98, 0.5), (0.7, 0.5), (0.9, 0.01)])
        inside = """(() => {
            const picture = document.querySelector('#overlay').getBoundingClientRect();
            return [...document.querySelectorAll('#overlay text')].map((each) => {
                const {left, right, top} = each.getBoundingClientRect();
                return left >= picture.left && right <= picture.right && top >= picture.top;
            });
        })()"""
        assert page.run(inside) == [True]
        wide = "document.querySelector('#overlay .grip').getBoundingClientRect().width"
        assert page.run(wide) >= 16
        assert page.run("document.documentElement.scrollWidth") <= 380
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def test_a_hidden_page_asks_for_nothing(page, served):
    (view,) = served.preview.views.values()
    try:
        page.run(HIDE % "true")
        assert eventually(lambda: is_still(view), timeout_s=60)
    finally:
        page.run(HIDE % "false")
    drawn = view.encoded
    assert eventually(lambda: view.encoded > drawn + 2, timeout_s=60)


def is_still(view):
    """Whether ten frames pass and no picture is drawn."""
    frames, drawn = view.frames, view.encoded
    eventually(lambda: view.frames > frames + 10)
    return view.encoded == drawn
