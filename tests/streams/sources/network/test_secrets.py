"""Nothing that sightline writes or says holds a password: log, report, events, errors, options."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.command import Sightline, as_from_a_terminal
from tests.servers.footprint import until
from tests.servers.http import HttpServer, status
from tests.servers.rtsp import RtspServer, pattern
from tests.streams.sources.network.playing import play, source_of

USER, PASSWORD, WRONG, TOKEN = "annlee77", "hunter22/@:", "swordfish4", "tok3nvalue"
SECRETS = (USER, "hunter22", WRONG, TOKEN)


def assert_silent(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


def test_a_whole_run_with_all_it_leaves_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with RtspServer({"/cam": pattern(key_every=5)}, user=USER, password=PASSWORD) as camera:
        config = tmp_path / "cameras.yaml"
        config.write_text(
            f"""
streams:
  right: {{source: {{url: "{camera.url("/cam")}", username: {USER}, password: "{PASSWORD}"}}}}
  coded: {{source: "{camera.url("/cam", f"{USER}:hunter22%2F%40%3A")}"}}
  wrong: {{source: "{camera.url("/cam", f"{USER}:{WRONG}")}?token={TOKEN}"}}
  nosuch: {{source: {{url: "{camera.url("/nosuch")}", username: {USER}, password: "{PASSWORD}"}}}}
stages: [motion]
sinks: [events]
""",
            encoding="utf-8",
        )
        log = tmp_path / "log.txt"
        with log.open("wb") as file:
            main = "from pipeline.cli.entry import main; main()"
            command = [sys.executable, "-c", main, "--debug", "run", str(config), "--out", str(out)]
            pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
            run = subprocess.Popen(command, **pipes, preexec_fn=as_from_a_terminal)
            try:
                events = out / "events.jsonl"
                until(
                    lambda: events.is_file() and "401" in events.read_text() and run.poll() is None,
                    60,
                    lambda: log.read_text(errors="replace"),
                )
                time.sleep(0.5)
                run.send_signal(signal.SIGINT)
                run.wait(60)
            finally:
                run.kill()
                run.wait(10)
    written = [path for path in out.rglob("*") if path.is_file()]
    assert any(path.name == "report.json" for path in written)
    for path in [*written, log]:
        assert_silent(path.read_text(encoding="utf-8", errors="replace"))
    assert "rtsp://" in log.read_text(errors="replace")


def test_probe(sightline: Sightline) -> None:
    with RtspServer({"/cam": pattern(key_every=5)}, user=USER, password=PASSWORD) as camera:
        for login in (f"{USER}:hunter22%2F%40%3A", f"{USER}:{WRONG}"):
            said = sightline("probe", camera.url("/cam", login) + f"?token={TOKEN}")
            assert_silent(said.out + said.err)
            assert "rtsp://***@" in said.out + said.err


def test_ffmpeg_says_nothing_by_itself(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with HttpServer({"/x": status(401)}) as server, caplog.at_level(logging.DEBUG):
        with pytest.raises(Exception, match="401") as caught:
            play(f"{server.url('/x', f'{USER}:{WRONG}')}?sig={TOKEN}")
        assert_silent(repr(caught.value) + repr(caught.value.__cause__))
        assert caught.value.__cause__ is None
    said = capfd.readouterr()
    assert said.err == ""
    assert_silent(said.out + caplog.text)


def test_a_source_does_not_show_them() -> None:
    source = source_of(
        f"rtsp://{USER}:{WRONG}@127.0.0.1/1", username=USER, password=PASSWORD, headers={"A": TOKEN}
    )
    assert_silent(f"{source!r} {source.url} {source.address!r} {source.options!r} {source.options}")
