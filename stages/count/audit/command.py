"""`sightline audit`: a person judges counts, and learns how right they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stages.count.audit.marks import MarksFile
    from stages.count.audit.windows import Window

_UNREADABLE_TOLD = 3


def audit(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder that `sightline run --out` wrote to.")
    ],
    line: Annotated[
        list[str] | None, typer.Option("--line", metavar="NAME", help="Only this line; may be repeated.")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", metavar="NAME", help="Only this stream; may be repeated.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Not before: 2026-03-01T08:00, in --time-zone."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time.")] = None,
    counts: Annotated[
        int, typer.Option(min=1, metavar="N", help="About so many counts, in windows drawn at random.")
    ] = 300,
    windows: Annotated[int, typer.Option(min=1, metavar="N", help="Most windows on the page.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Another one draws other windows.")] = 0,
    clips: Annotated[bool, typer.Option(help="Cut a clip for each count.")] = True,
    time_zone: Annotated[
        str, typer.Option(metavar="NAME", help="Of the times shown, e.g. Europe/Berlin.")
    ] = "UTC",
    events: Annotated[str, typer.Option(metavar="NAME", help="The file of events in RUN.")] = "events.jsonl",
    serve: Annotated[
        bool, typer.Option(help="Serve the page to this machine until Ctrl-C, and keep the marks.")
    ] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the server; 0 for a free one.")] = 0,
    report: Annotated[
        bool, typer.Option("--report", help="Make no page; print the accuracy of what is marked so far.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Write what was judged, for `sightline evaluate counts`."),
    ] = None,
) -> None:
    """Judge a run's counts on a page, and learn their accuracy with its confidence interval.

    The page shows each line over time (a slit-scan strip) with its counts, a crop and a clip of each. Mark
    counts as right or wrong, click onto the strip where one was missed. Marks are kept in
    RUN/audit/marks.json, the page in RUN/audit/index.html; as a plain file it works too, and has its marks
    downloaded.

    Large runs: windows are drawn at random, so that the figures hold for all of the run.

    Example: sightline audit results, then: sightline audit results --report
    """
    from stages.count.audit.accuracy import judge
    from stages.count.audit.marks import MarksFile
    from stages.count.audit.page import hour_name
    from stages.count.audit.text import accuracy_text

    zone = _zone(time_zone)
    span = (_time_ns(since, "--from", zone), _time_ns(until, "--to", zone))
    every, kept = _windows(run, events, line, stream, span)
    file = MarksFile(run / "audit" / "marks.json")

    def tell() -> None:
        made = judge(every, file.marks, lambda time_ns: hour_name(time_ns, zone))
        if as_json:
            import json

            typer.echo(json.dumps(made.to_dict(), indent=2, ensure_ascii=False))
        else:
            typer.echo(accuracy_text(made))

    if truth is not None:
        from stages.count.audit.truth import truth_lines

        _write_truth(truth, truth_lines(every, file.marks), run)
    if report or as_json or truth is not None:
        tell()
        return
    from stages.count.audit.page import Scope, make_page
    from stages.count.audit.windows import sample

    marked = _marked(every, file)
    chosen = sample(every, marked, most_counts=counts, most_windows=windows, seed=seed)
    scope = Scope(
        run.resolve().name,
        len(every),
        sum(len(one.counts) for one in every),
        len({one.stream for one in every}) > 1,
        zone,
        time_zone,
    )
    with _clips(run, kept, chosen, wanted=clips) as clip_of:
        page = make_page(chosen, file.marks, scope, clip_of)
    path = run / "audit" / "index.html"
    _write(path, page)
    shown = sum(len(one.counts) for one in chosen)
    typer.echo(f"{path}: {shown} of {scope.all_counts} counts in {len(chosen)} of {len(every)} windows")
    if serve:
        _serve(page, file, port)
    tell()


def _windows(
    run: Path,
    events: str,
    lines: list[str] | None,
    streams: list[str] | None,
    span: tuple[int | None, int | None],
) -> tuple[list[Window], dict[str, str]]:
    """Return the windows asked for, and what the streams read."""
    from pipeline.errors import ConfigError
    from stages.count.audit.read import read_run
    from stages.count.audit.windows import windows_of

    kept = read_run(run, events)
    for text in kept.unreadable[:_UNREADABLE_TOLD]:
        typer.echo(f"warning: {text}; it is left out", err=True)
    if len(kept.unreadable) > _UNREADABLE_TOLD:
        typer.echo(f"warning: and {len(kept.unreadable) - _UNREADABLE_TOLD} more", err=True)
    every = windows_of(kept.strips, kept.counts.values())
    _known("--line", lines, {window.line for window in every}, run)
    _known("--stream", streams, {window.stream for window in every}, run)
    begin_ns, end_ns = span
    chosen = [
        window
        for window in every
        if (not lines or window.line in lines)
        and (not streams or window.stream in streams)
        and (begin_ns is None or window.begin_ns >= begin_ns)
        and (end_ns is None or window.begin_ns < end_ns)
    ]
    if not chosen:
        raise ConfigError(f"{run}: nothing was kept of that time; leave out --from and --to to see all")
    return chosen, kept.sources


def _known(option: str, names: list[str] | None, known: set[str], run: Path) -> None:
    from difflib import get_close_matches

    from pipeline.errors import ConfigError

    for name in names or ():
        if name not in known:
            close = get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(known))}"
            raise ConfigError(f"{option} '{name}': {run} has none of that name; {hint}")


def _zone(name: str) -> tzinfo:
    from difflib import get_close_matches
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    from pipeline.errors import ConfigError

    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        close = get_close_matches(name, available_timezones(), 1, 0.4)
        hint = f"did you mean '{close[0]}'?" if close else "such as Europe/Berlin"
        raise ConfigError(f"--time-zone '{name}' is no time zone; {hint}") from error


def _time_ns(text: str | None, option: str, zone: tzinfo) -> int | None:
    from pipeline.errors import ConfigError

    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option} '{text}' is no time; write it as 2026-03-01T08:00") from error
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone)
    return round(when.timestamp() * 1e9)


def _marked(every: list[Window], file: MarksFile) -> set[str]:
    """Return the windows in which something is marked already: the page shows all that was done."""
    marks = file.marks
    return {
        *marks.reviewed,
        *(missed.window for missed in marks.missed),
        *(window.id for window in every if any(count.id in marks.counts for count in window.counts)),
    }


@contextmanager
def _clips(
    run: Path, sources: dict[str, str], chosen: list[Window], *, wanted: bool
) -> Iterator[Callable[..., bytes | None]]:
    """Yield what cuts the clip of a count, with progress on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    from stages.count.audit.clips import ClipCutter
    from stages.count.audit.windows import Count

    if not wanted:
        yield lambda _: None
        return
    cutter = ClipCutter(run, sources)
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("cutting clips", total=sum(len(window.counts) for window in chosen))

            def clip_of(count: Count) -> bytes | None:
                bar.advance(task)
                return None if count.clip_s is None else cutter.cut(count.stream, *count.clip_s)

            yield clip_of
    finally:
        cutter.close()
    if cutter.failed:
        typer.echo(
            f"{cutter.failed} counts have no clip: neither the run's video nor its source shows that time",
            err=True,
        )


def _write_truth(path: Path, text: str, run: Path) -> None:
    from pipeline.errors import ConfigError

    if path.suffix != ".jsonl":
        raise ConfigError(f"--truth {path} must end in .jsonl")
    if path.resolve().is_relative_to((run / "evidence").resolve()) or path.name == "events.jsonl":
        raise ConfigError(f"--truth {path} would lie among the run's own results; choose another name")
    _write(path, text)


def _write(path: Path, text: str) -> None:
    from pipeline.errors import SinkError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error


def _serve(page: str, file: MarksFile, port: int) -> None:
    from stages.count.audit.server import AuditServer

    with AuditServer(page, file, port) as server:
        typer.echo(f"open {server.url}; marks go to {file.path}; Ctrl-C ends")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            typer.echo("")
