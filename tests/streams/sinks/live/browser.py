"""Chromium on the page of live pictures, and what its pictures say of their own age."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.servers.barcode import read_barcode

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
_BLOCK_PX = 8
_COLUMNS, _ROWS = 32, 3
# The middle of each block of the barcode in what is shown now, 0..255, and when that was looked at.
_LOOK = """(screen) => {
  const shown = document.querySelector(`${screen} video, ${screen} img`);
  const wide = shown?.videoWidth || shown?.naturalWidth || 0;
  if (!wide) return null;
  const side = wide / 32;
  const canvas = window.looking ??= new OffscreenCanvas(wide, 3 * side);
  const paper = window.paper ??= canvas.getContext("2d", { willReadFrequently: true });
  paper.drawImage(shown, 0, 0);
  const time = performance.timeOrigin + performance.now();
  const data = paper.getImageData(0, 0, wide, Math.round(3 * side)).data;
  const levels = [];
  for (let row = 0; row < 3; row++) for (let column = 0; column < 32; column++) {
    const x = Math.round((column + 0.5) * side), y = Math.round((row + 0.5) * side);
    const at = 4 * (y * wide + x);
    levels.push((data[at] + data[at + 1] + data[at + 2]) / 3);
  }
  return { time, levels };
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser; skip the test, or in CI fail it, where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        reason = "needs Chromium (Debian: apt install chromium)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


class Watcher:
    """The page of a sink `live`, with one stream that is chosen and looked at.

    Args:
        browser: of `chromium`.
        url: of the page.
        stream: its name.
    """

    def __init__(self, browser: Any, url: str, stream: str = "gate") -> None:
        self.problems: list[str] = []
        self.page = browser.new_page(viewport={"width": 1000, "height": 800})
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(url)
        self._card = f"#stream-{stream}"
        self.page.locator(self._card).wait_for()

    def choose(self, player: str) -> None:
        """Press the button of a player ("original-hls"); pressed again it stops."""
        self.page.locator(f"{self._card} button.{player}").click()

    @property
    def state(self) -> str:
        """What the card says."""
        return str(self.page.locator(f"{self._card} .state").inner_text())

    def until_state(self, begins: str, seconds: float = 30.0) -> None:
        """Wait until the card says this."""
        end_s = time.monotonic() + seconds
        while not self.state.startswith(begins):
            assert time.monotonic() < end_s, (self.state, self.problems)
            self.page.wait_for_timeout(50)

    def age_ms(self) -> float | None:
        """Return how old the shown picture is, by its barcode; None if it has none (that can be read)."""
        looked = self.page.evaluate(_LOOK, f"{self._card} .screen")
        if looked is None:
            return None
        levels = np.asarray(looked["levels"]).reshape(_ROWS, _COLUMNS)
        stamp = read_barcode(np.kron(levels, np.ones((_BLOCK_PX, _BLOCK_PX))).astype(np.uint8))
        if stamp is None or not stamp.time_ns:  # black passes for a barcode of zeros
            return None
        return float(looked["time"] - stamp.time_ns / 1e6)

    def ages_ms(self, looks: int, settle_s: float = 0.0) -> list[float]:
        """Return the ages of what is shown at so many moments, once it plays, and has played for a while."""
        end_s = time.monotonic() + 30
        while self.age_ms() is None:
            assert time.monotonic() < end_s, (self.state, self.problems)
            self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(1000 * settle_s)
        ages = []
        for _ in range(looks):
            age = self.age_ms()
            ages += [] if age is None else [age]
            self.page.wait_for_timeout(30)
        assert ages, (self.state, self.problems)
        return ages

    def age_of(self, looks: int, settle_s: float = 0.0) -> float:
        """Return the median of them."""
        return statistics.median(self.ages_ms(looks, settle_s))

    def close(self) -> None:
        """Leave the page; nothing must have gone wrong on it."""
        self.page.close()
        assert self.problems == []
