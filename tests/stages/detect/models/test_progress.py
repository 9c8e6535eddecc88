from __future__ import annotations

from io import StringIO

from rich.console import Console

from stages.detect.models.progress import shown


def test_without_a_terminal_a_line_now_and_then() -> None:
    now_s = [0.0]
    out = StringIO()
    with shown(Console(file=out, width=80), clock=lambda: now_s[0]) as tell:
        for second in range(25):
            now_s[0] = float(second)
            tell("net[1].onnx", second * 1_000_000, 30_000_000)
        tell("net[1].onnx", 30_000_000, 30_000_000)
        tell("other.pt", 5, None)
    assert out.getvalue().splitlines() == [
        "net[1].onnx: 0.0 MB of 30.0 MB",
        "net[1].onnx: 10.0 MB of 30.0 MB",
        "net[1].onnx: 20.0 MB of 30.0 MB",
        "net[1].onnx: 30.0 MB of 30.0 MB",
        "other.pt: 0.0 MB",
    ]


def test_on_a_terminal_a_bar_that_goes_away() -> None:
    out = StringIO()
    with shown(Console(file=out, width=80, force_terminal=True)) as tell:
        tell("net.onnx", 1_000_000, 2_000_000)
        tell("net.onnx", 2_000_000, 2_000_000)
    assert "net.onnx" in out.getvalue()
    assert "2.0/2.0 MB" in out.getvalue()


def test_nothing_is_written_before_there_is_news() -> None:
    out = StringIO()
    with shown(Console(file=out, width=80)):
        pass
    assert out.getvalue() == ""
