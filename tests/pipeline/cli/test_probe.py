"""`sightline probe` asks for as long as a keeper would, and says what stood in the way."""

from __future__ import annotations

import threading

import pytest
import typer

from pipeline.backoff import KeeperOptions
from pipeline.cli.probe import opened
from pipeline.condition import Reason
from pipeline.errors import SourceError
from tests.pipeline.cameras import PATIENCE_S, Camera

NO_ANSWER = KeeperOptions(connect_s=0.1, picture_s=PATIENCE_S)
NO_PICTURE = KeeperOptions(connect_s=PATIENCE_S, picture_s=0.1)


def test_what_opens_is_described_and_closed() -> None:
    camera = Camera(["connect", "open"])
    assert opened(camera).width == 8
    assert camera.closed.is_set()


def test_what_the_source_says_is_passed_on() -> None:
    with pytest.raises(SourceError, match="the password is wrong"):
        opened(Camera([SourceError("the password is wrong", Reason.UNAUTHORIZED)]))


@pytest.mark.parametrize(
    ("script", "options", "words"),
    [
        (["deaf"], NO_ANSWER, "camera://gate: no answer within 0.1 s"),
        (["connect", "deaf"], NO_PICTURE, "no picture came within 0.1 s"),
    ],
)
def test_a_camera_that_says_nothing_is_not_waited_for_for_ever(
    script: list[str], options: KeeperOptions, words: str
) -> None:
    camera = Camera(script)
    with pytest.raises(SourceError, match=words):
        opened(camera, options)
    assert camera.closed.is_set()
    camera.released.set()


def test_what_a_camera_knows_of_its_trouble_is_the_answer() -> None:
    camera = Camera(["connect", "deaf"])
    camera.progress.trouble = (Reason.NO_KEY_FRAME, "no key frame came, only pictures built on one")
    with pytest.raises(SourceError, match="no key frame came") as caught:
        opened(camera, NO_PICTURE)
    assert caught.value.reason is Reason.NO_KEY_FRAME
    camera.released.set()


def test_waiting_is_said(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cli.probe._SILENT_S", 0.0)
    echo, said = typer.echo, threading.Event()

    def saying(text: str, *, err: bool) -> None:
        echo(text, err=err)
        said.set()

    monkeypatch.setattr("pipeline.cli.probe.typer.echo", saying)
    opened(Camera(["connect", lambda: said.wait(PATIENCE_S), "open"]))
    assert "waiting for its first picture from camera://gate ..." in capfd.readouterr().err
