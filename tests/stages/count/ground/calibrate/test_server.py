"""The page over HTTP, and in a real browser."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.errors import SinkError
from stages.count.ground.calibrate.draft import Draft
from stages.count.ground.calibrate.server import CalibrationServer
from tests.stages.count.ground.scenes import HEIGHT, LANE, WIDTH, TrueCamera

CAMERA = TrueCamera()
FIRST = {"units": "px", "fit": "least_squares", "error_px": 2.0, "error_m": 0.05}
PLACES = (CAMERA.pixels(LANE) / (WIDTH, HEIGHT)).tolist()
POINTS = [{"at": at, "metres": metres} for at, metres in zip(PLACES, LANE.tolist(), strict=True)]


@pytest.fixture
def saved() -> list[Draft]:
    return []


@pytest.fixture
def page(saved: list[Draft]) -> Iterator[CalibrationServer]:
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)

    def save(made: Draft) -> str:
        saved.append(made)
        return "saved to ground.yaml"

    server = CalibrationServer(picture, "a </script> source", FIRST, save)
    yield server
    server.close()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def post(url: str, body: bytes | dict[str, Any]) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_it_serves_one_self_contained_page_and_the_picture(page: CalibrationServer) -> None:
    status, html = get(page.url)
    assert status == 200
    text = html.decode()
    assert "__FACTS__" not in text
    assert "a \\u003c/script> source" in text
    assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("//  ", "").split("<script>")[0]
    status, jpeg = get(page.url + "picture.jpg")
    assert (status, jpeg[:2]) == (200, b"\xff\xd8")


def test_it_judges_points_with_the_code_of_a_run(page: CalibrationServer) -> None:
    status, fit = post(page.url + "fit", {"points": POINTS})
    assert status == 200
    assert [round(row["px"], 3) for row in fit["points"]] == [0, 0, 0, 0]
    assert fit["above"].startswith("data:image/jpeg;base64,")
    assert fit["grid"]
    assert "metres: [-3, 10]" in fit["yaml"]
    assert page.latest is not None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "give either points"),
        ({"points": POINTS[:3]}, "4 are needed, got 3"),
        ({"points": [*POINTS[:3], POINTS[2]]}, "points 3 and 4 are 0 px apart"),
        ({"points": POINTS, "lens": {"focus": 1}}, "unknown, did you mean"),
        ({"points": [{"at": [0.1, 0.1], "metres": [None, 1]}] * 4}, "valid number"),
    ],
)
def test_it_says_what_is_wrong(page: CalibrationServer, settings: dict[str, Any], problem: str) -> None:
    status, answer = post(page.url + "fit", settings)
    assert status == 200
    assert problem in answer["problem"]
    assert "\n" not in answer["problem"]


def test_it_saves_and_ends_only_with_what_is_right(page: CalibrationServer, saved: list[Draft]) -> None:
    assert "problem" in post(page.url + "save", {"points": POINTS[:2]})[1]
    assert not saved
    assert post(page.url + "save", {"points": POINTS})[1] == {"told": "saved to ground.yaml"}
    assert len(saved) == 1
    assert "problem" in post(page.url + "done", {})[1]
    assert not page.done.is_set()
    post(page.url + "done", {"points": POINTS})
    assert page.done.is_set()


def test_nobody_without_the_address_gets_anything(page: CalibrationServer) -> None:
    root = page.url.rsplit("/", 2)[0]
    assert root.startswith("http://127.0.0.1:")
    for path in ("/", "/fit", "/picture.jpg", "/guess/", "/../etc/passwd"):
        assert get(root + path)[0] == 404
    assert post(root + "/guess/fit", {"points": POINTS})[0] == 404


def test_what_is_no_request_of_the_page_is_refused(page: CalibrationServer) -> None:
    assert post(page.url + "fit", b"{")[0] == 400
    assert post(page.url + "fit", b"[1]")[0] == 400
    assert post(page.url + "fit", b" " * 200_000)[0] == 413


def test_a_port_that_is_taken_is_one_line(page: CalibrationServer) -> None:
    port = int(page.url.split(":")[2].split("/")[0])
    with pytest.raises(SinkError, match=f"127.0.0.1:{port}: .*give another --port"):
        CalibrationServer(np.zeros((4, 4, 3), np.uint8), "x", FIRST, None, port)


@pytest.mark.slow
def test_a_person_marks_the_ground_in_a_browser(page: CalibrationServer, saved: list[Draft]) -> None:
    """Clicks, types, moves by keys, sees an error, changes to a rectangle, saves and is done."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        failures: list[str] = []
        tab.on("pageerror", lambda error: failures.append(str(error)))
        tab.on("console", lambda line: failures.append(line.text) if line.type == "error" else None)
        tab.goto(page.url)
        box = tab.locator("#marks").bounding_box()
        scale = box["width"] / WIDTH
        for x, y in CAMERA.pixels(LANE).tolist():
            tab.mouse.click(box["x"] + x * scale, box["y"] + y * scale)
        assert tab.locator("#done").is_disabled()
        for number, metres in enumerate(LANE.tolist(), 1):
            for axis, value in zip("xy", metres, strict=True):
                tab.get_by_label(f"{axis} of place {number}, m").fill(f"{value:g}")
        tab.locator("#done:not([disabled])").wait_for()
        assert "metres: [3, 30]" in tab.locator("#yaml").input_value()
        assert tab.locator("#above").get_attribute("src").startswith("data:image/jpeg")
        assert tab.locator(".grid polyline").count() > 4

        tab.get_by_label("x of place 2, m").fill("-3")
        tab.locator("#problem", has_text="points 1 and 2 are 0 m apart").wait_for()
        assert tab.locator("#done").is_disabled()

        tab.get_by_label("a rectangle").check()
        tab.locator("#side0").fill("6")
        tab.locator("#side1").fill("20")
        tab.locator("#done:not([disabled])").wait_for()
        before = tab.locator("#yaml").input_value()
        assert "sides_m: [6, 20]" in before
        tab.mouse.click(
            box["x"] + 5 + CAMERA.pixels(LANE)[0, 0] * scale, box["y"] + CAMERA.pixels(LANE)[0, 1] * scale
        )
        tab.keyboard.press("ArrowLeft")
        sync_api.expect(tab.locator("#yaml")).not_to_have_value(before)
        tab.locator("#done:not([disabled])").wait_for()
        tab.click("#save")
        tab.locator("#told", has_text="saved to ground.yaml").wait_for()
        tab.click("#done")
        tab.locator("#told", has_text="done").wait_for()
        browser.close()
    assert failures == []
    assert page.done.is_set()
    (made,) = saved
    assert made.options.rectangle is not None
    assert made.options.rectangle.sides_m == (6.0, 20.0)
    middle, _ = made.plane.to_metres(CAMERA.pixels(np.array([[0.0, 20.0]])))
    np.testing.assert_allclose(middle, [[3.0, 10.0]], atol=0.4)
