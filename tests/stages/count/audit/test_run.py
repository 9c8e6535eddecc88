"""A run of the whole pipeline leaves what an audit needs, and a second run leaves the same."""

import base64
import io
import json
import re
from pathlib import Path

import av
import pytest

from tests.command import Sightline
from tests.media import write_crossing_video


@pytest.mark.slow
def test_from_a_recording_to_the_page(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4")
    folders = [tmp_path / "a", tmp_path / "b"]
    for out in folders:
        assert sightline("run", "traffic", "--source", f"road={clip}", "--out", out, "--quiet").code == 0
    (line,) = (folders[0] / "events.jsonl").read_text().splitlines()
    assert (folders[1] / "events.jsonl").read_text() == f"{line}\n"
    evidence = json.loads(line)["evidence"]
    assert set(evidence) >= {"trail", "snapshot", "clip"}
    files = [
        {path.relative_to(out): path.read_bytes() for path in out.glob("evidence/**/*.*")} for out in folders
    ]
    assert files[0] == files[1]
    assert Path(evidence["snapshot"]) in files[0]
    assert len(files[0]) == 3
    report = json.loads((folders[0] / "report.json").read_text())
    assert report["streams"]["road"]["stages"]["count"]["evidence"]["snapshots"] == 1

    told = sightline("audit", folders[0], "--no-serve")
    assert "1 of 1 counts in 1 of 1 windows" in told.out
    assert "no clip" not in told.err
    page = (folders[0] / "audit" / "index.html").read_text()
    found = re.search(r"data:video/mp4;base64,([^\"]+)", page)
    assert found
    with av.open(io.BytesIO(base64.b64decode(found[1]))) as container:
        assert len(list(container.decode(video=0))) > 20
