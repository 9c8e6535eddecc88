"""The page in a real browser, served and as a plain file."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.count.audit.accuracy import judge
from stages.count.audit.marks import Marks, MarksFile
from stages.count.audit.page import Scope, hour_name, make_page
from stages.count.audit.read import read_run
from stages.count.audit.server import AuditServer
from stages.count.audit.windows import Window, windows_of
from tests.stages.count.audit.runs import write_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
UTC = Scope("x", 1, 4).zone


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    with api.sync_playwright() as play:
        made = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, seconds=20)
    return tmp_path


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1200, "height": 800})
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield made
    made.close()
    assert [one for one in problems if "409 (Conflict)" not in one] == []


def windows_in(run: Path) -> list[Window]:
    kept = read_run(run)
    return windows_of(kept.strips, kept.counts.values())


def html(run: Path) -> str:
    windows = windows_in(run)
    return make_page(windows, Marks(), Scope("street", len(windows), 4), lambda _: None)


@pytest.fixture
def served(run: Path) -> Iterator[AuditServer]:
    with AuditServer(html(run), MarksFile(run / "audit" / "marks.json")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def until(page: Any, server: AuditServer, holds: Callable[[Marks], bool]) -> Marks:
    """Wait until the page has saved what it shows."""
    for _ in range(1000):
        if holds(server.file.marks):
            return server.file.marks
        page.wait_for_timeout(20)
    raise AssertionError(server.file.marks)


def shown(page: Any, url: str | None = None) -> None:
    """Load a page, or the same again, and wait until it shows the counts: it asks for the marks first."""
    if url is None:
        page.reload()
    else:
        page.goto(url)
    page.locator("svg .count").first.wait_for()


@pytest.mark.slow
def test_counts_are_judged_and_missed_ones_clicked_onto_the_strip(
    page: Any, run: Path, served: AuditServer
) -> None:
    shown(page, served.url)
    ids = page.eval_on_selector_all("svg .count", "all => all.map(one => one.dataset.id)")
    assert ids == [count.id for count in windows_in(run)[0].counts]
    # Where the circles are: at the crossing's time and its place on the line.
    strip = page.locator(".strip").bounding_box()
    at = page.locator(f'svg .count[data-id="{ids[1]}"] circle').bounding_box()
    assert (at["x"] + at["width"] / 2 - strip["x"]) / strip["width"] == pytest.approx(7.5 / 20, abs=0.01)
    assert (at["y"] + at["height"] / 2 - strip["y"]) / strip["height"] == pytest.approx(60 / 160, abs=0.01)

    page.locator(f"#card-{ids[0]} .is-wrong").click()
    page.locator(f"#card-{ids[0]} select").select_option("double")
    page.locator(f"#card-{ids[1]} .is-right").click()
    page.locator(".bar select").first.select_option("up")
    page.locator(".bar select").nth(1).select_option("car")
    page.locator(".strip").click(position={"x": strip["width"] * 0.25, "y": strip["height"] * 0.5})
    page.locator("button.reviewed").click()
    marks = until(page, served, lambda marks: bool(marks.reviewed))
    assert {one: (mark.verdict, mark.why) for one, mark in marks.counts.items()} == {
        ids[0]: ("wrong", "double"),
        **dict.fromkeys(ids[1:], ("right", None)),
    }
    (missed,) = marks.missed
    (window,) = windows_in(run)
    assert missed.time_ms - window.begin_ns / 1e6 == pytest.approx(5000, abs=120)
    assert (missed.along, missed.direction, missed.label) == (pytest.approx(0.5, abs=0.01), "up", "car")

    judged = page.evaluate("judge(data.windows, marks, data.several)")
    wanted = judge(windows_in(run), marks, lambda time_ns: hour_name(time_ns, UTC)).to_dict()
    assert flat(judged) == pytest.approx(flat(wanted), abs=1e-5)
    assert "4 of 4 counts marked" in page.locator("#progress").inner_text()

    shown(page)
    page.locator(f"#card-{ids[0]}.wrong").wait_for()
    page.locator("svg .missed").click()
    until(page, served, lambda marks: not marks.missed)


@pytest.mark.slow
def test_keys(page: Any, served: AuditServer) -> None:
    shown(page, served.url)
    page.bring_to_front()
    for key in ("ArrowRight", "r", "ArrowRight", "w", "ArrowRight", "r", "u", "l"):
        page.keyboard.press(key)
    marks = until(page, served, lambda marks: len(marks.counts) == 4 and bool(marks.reviewed))
    assert [mark.verdict for mark in marks.counts.values()].count("wrong") == 1


@pytest.mark.slow
def test_a_second_page_learns_that_the_marks_have_changed(
    browser: Any, page: Any, served: AuditServer
) -> None:
    shown(page, served.url)
    other = browser.new_page()
    shown(other, served.url)
    other.locator(".is-right").first.click()
    until(other, served, lambda marks: len(marks.counts) == 1)
    page.evaluate("mark(data.windows[0].counts[1].id, 'wrong')")
    page.locator("#saved", has_text="load this page again").wait_for()  # the page's CSP forbids polling code
    assert len(served.file.marks.counts) == 1
    other.close()


@pytest.mark.slow
def test_as_a_plain_file_marks_are_downloaded_and_loaded(page: Any, run: Path) -> None:
    path = run / "page.html"
    path.write_text(html(run), encoding="utf-8")
    shown(page, path.as_uri())
    page.locator("button.reviewed").click()
    assert "plain file" in page.locator("#saved").inner_text()
    with page.expect_download() as download:
        page.locator("#download").click()
    target = run / "audit" / "marks.json"
    download.value.save_as(target)
    assert len(MarksFile(target).marks.counts) == 4
    page.evaluate("localStorage.clear()")
    shown(page)
    assert page.locator(".card.right").count() == 0
    page.locator("#load").set_input_files(target)
    page.locator(".card.right").first.wait_for()
    assert page.locator(".card.right").count() == 4
    page.locator("#load").set_input_files(run / "events.jsonl")
    page.locator("#saved", has_text="holds no marks").wait_for()


@pytest.mark.slow
def test_the_page_s_intervals_are_python_s(page: Any, run: Path) -> None:
    from stages.count.audit.accuracy import difference, wilson

    path = run / "page.html"
    path.write_text(html(run), encoding="utf-8")
    shown(page, path.as_uri())
    for one, other in ((0, 0), (1, 0), (3, 7), (40, 12), (700, 650)):
        assert page.evaluate(f"difference({one}, {other})") == pytest.approx(difference(one, other), rel=1e-6)
        assert page.evaluate(f"wilson({one}, {one + other + 1})") == pytest.approx(
            wilson(one, one + other + 1)
        )


def flat(values: Any, path: str = "") -> dict[str, float]:
    """Return all numbers by their path; None is -9."""
    if isinstance(values, dict):
        items = list(values.items())
    elif isinstance(values, list):
        items = list(enumerate(values))
    else:
        return {path: -9 if values is None else float(values)}
    return {key: number for name, one in items for key, number in flat(one, f"{path}/{name}").items()}


def test_the_page_holds_what_it_shows(run: Path) -> None:
    text = html(run)
    found = text[text.index('id="data">') + 10 :]
    data = json.loads(found[: found.index("</script>")])
    assert [len(window["counts"]) for window in data["windows"]] == [4]
