import json
import re
from pathlib import Path

import pytest

from stages.count.audit.marks import Marks, MarksFile, Verdict
from tests.command import Sightline
from tests.stages.count.audit.runs import write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def data_of(run: Path) -> dict:
    page = (run / "audit" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_has_everything_in_it(run: Path, sightline: Sightline) -> None:
    told = sightline("audit", run, "--no-serve", "--time-zone", "Europe/Berlin")
    assert told.code == 0, told.err
    assert "4 of 4 counts in 1 of 1 windows" in told.out
    assert "4 counts have no clip" in told.err
    page = (run / "audit" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"?(https?:)?//", page)
    (window,) = data_of(run)["windows"]
    assert (window["time"], window["hour"]) == ("2023-11-14 23:13:20", "2023-11-14 23:00+01:00")
    assert window["strip"]["src"].startswith("data:image/jpeg;base64,")
    assert [count["time"] for count in window["counts"]][:2] == ["23:13:21.200", "23:13:23.800"]
    assert all(count["crop"].startswith("data:image/jpeg;base64,") for count in window["counts"])


def test_a_line_s_name_cannot_become_code(tmp_path: Path, sightline: Sightline) -> None:
    write_run(tmp_path, line="</script><script>alert(1)")
    assert sightline("audit", tmp_path, "--no-serve", "--no-clips").code == 0
    assert "<script>alert" not in (tmp_path / "audit" / "index.html").read_text()
    assert data_of(tmp_path)["windows"][0]["line"] == "</script><script>alert(1)"


def test_what_was_marked_is_reported(run: Path, sightline: Sightline) -> None:
    ids = [json.loads(line)["id"] for line in (run / "events.jsonl").read_text().splitlines()]
    verdicts = {one: Verdict(verdict="right") for one in ids[:3]} | {ids[3]: Verdict(verdict="wrong")}
    file = MarksFile(run / "audit" / "marks.json")
    file.replace(Marks(counts=verdicts).model_dump_json().encode())
    told = sightline("audit", run, "--report")
    assert re.search(r"all +4 +3 +1 +0 +75\.0% \(30\.1% to 95\.4%\) +- +-\n", told.out)
    assert not (run / "audit" / "index.html").exists()
    figures = json.loads(sightline("audit", run, "--json").out)
    assert figures["total"]["precision"] == 0.75
    assert set(figures["by"]["class"]) == {"bus", "car"}
    sightline("audit", run, "--no-serve", "--no-clips")
    assert set(data_of(run)["marks"]["counts"]) == set(ids)


def test_a_large_run_is_sampled(tmp_path: Path, sightline: Sightline) -> None:
    write_run(tmp_path, seconds=300, crossings=60)
    told = sightline("audit", tmp_path, "--no-serve", "--no-clips", "--counts", "15")
    assert "windows" in told.out
    data = data_of(tmp_path)
    assert (data["all_windows"], data["all_counts"]) == (8, 60)
    assert 15 <= sum(len(window["counts"]) for window in data["windows"]) < 30


def test_one_line_one_stream_and_some_time(run: Path, sightline: Sightline) -> None:
    write_run(run, stream="yard", line="exit")
    shown = sightline("audit", run, "--report", "--line", "exit", "--stream", "yard")
    assert shown.code == 0
    assert "gate" not in shown.out
    span = ("--from", "2023-11-14T22:13", "--to", "2023-11-14T22:14+00:00")
    assert json.loads(sightline("audit", run, "--json", *span).out)["windows"] == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--line", "gat"), "--line 'gat': .* did you mean 'gate'?"),
        (("--stream", "zzz"), "--stream 'zzz': .* there are: cam"),
        (("--time-zone", "Europe/Berln"), "'Europe/Berln' is no time zone; did you mean 'Europe/Berlin'"),
        (("--from", "yesterday"), "--from 'yesterday' is no time; write it as"),
        (("--from", "2030-01-01"), "nothing was kept of that time"),
    ],
)
def test_wrong_words(words: tuple[str, ...], error: str, run: Path, sightline: Sightline) -> None:
    told = sightline("audit", run, "--report", *words)
    assert told.code == 2
    (line,) = told.errors
    assert re.search(error, line)


def test_a_folder_that_is_no_run(tmp_path: Path, sightline: Sightline) -> None:
    told = sightline("audit", tmp_path / "nosuch")
    assert told.code == 2
    assert "is not there; name the folder that `sightline run --out` wrote to" in told.errors[0]


def test_marks_that_are_none(run: Path, sightline: Sightline) -> None:
    (run / "audit").mkdir()
    (run / "audit" / "marks.json").write_text("[]")
    told = sightline("audit", run, "--report")
    assert told.code == 1
    assert "holds no marks" in told.errors[0]
