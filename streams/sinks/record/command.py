"""`sightline recordings`: what was recorded, whether it is whole, and what must stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.sinks.record.reading import Recordings
    from streams.sinks.record.segment import Segment

app = typer.Typer(help="Recordings: list, check, protect and unprotect them.", no_args_is_help=True)

_LONG = 50
"""From so many files on, looking into each is shown as a bar."""

Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|FOLDER",
        help="The output folder of a run, or the folder of its recordings.",
        show_default=False,
    ),
]
Names = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE...]", help="These; or say --stream, --from, --to.", show_default=False),
]
Stream = Annotated[
    str | None, typer.Option("--stream", "-s", metavar="NAME", help="Only this one.", show_default=False)
]
Begin = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="From then on, e.g. 2026-03-01 or 2026-03-01T08:00:30Z."),
]
End = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to then; a date means all of it.")]
Zone = Annotated[str, typer.Option("--time-zone", metavar="NAME", help="Whose clock, e.g. Europe/Berlin.")]
IndexFile = Annotated[
    Path | None,
    typer.Option("--index", metavar="FILE", help="The index, where the sink's option `index` names one."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]


@app.callback()
def recordings() -> None:
    """Recordings: list, check, protect and unprotect them."""


@app.command("list")
def list_recordings(
    run: Run,
    stream: Stream = None,
    begin: Begin = None,
    end: End = None,
    files: Annotated[bool, typer.Option("--files", help="Show each file.")] = False,
    time_zone: Zone = "UTC",
    index: IndexFile = None,
    as_json: Json = False,
) -> None:
    """List what was recorded: for each stream from when to when, how much, and where something is missing.

    Works while it is recorded, and without the index.

    Example: sightline recordings list out --stream gate --from 2026-03-01T08:00 --time-zone Europe/Berlin
    """
    from streams.sinks.record import show
    from streams.sinks.record.when import zone_of

    zone = zone_of(time_zone)
    with _opened(run, index) as found:
        segments = _asked(found, stream, begin, end, time_zone)
        if as_json:
            typer.echo(show.document(found.root, segments))
        elif files:
            typer.echo(show.files(segments, zone))
        else:
            typer.echo(show.streams(found.root, segments, zone))


@app.command()
def check(
    run: Run,
    stream: Stream = None,
    begin: Begin = None,
    end: End = None,
    time_zone: Zone = "UTC",
    index: IndexFile = None,
    as_json: Json = False,
) -> None:
    """Look into each file: whether it is there, has what the index says, and can be played to its end.

    Changes nothing; a run sets its index right by itself. Exit code 1 if something is not as it should be.

    Example: sightline recordings check out
    """
    import json

    from streams.sinks.record.verify import complaint_about
    from streams.sinks.sealed.files import SUFFIX

    with _opened(run, index) as found:
        segments = _asked(found, stream, begin, end, time_zone)
        wrong = {}
        for segment in _shown(segments, "checking"):
            complaint = complaint_about(found.path_of(segment), segment)
            if complaint and found.is_still_so(segment):
                wrong[segment.path] = complaint
        missing = sum(segment.lost for segment in segments)
    if as_json:
        typer.echo(json.dumps({"files": len(segments), "lost_packets": missing, "wrong": wrong}, indent=2))
    else:
        for path, complaint in wrong.items():
            typer.echo(f"{path}: {complaint}")
        lost = f"; {missing} packets were lost while they were recorded" if missing else ""
        sealed = sum(segment.path.endswith(SUFFIX) for segment in segments)
        unseen = f"; of {sealed}, which are sealed, only the size was looked at" if sealed else ""
        whole = len(segments) - len(wrong)
        typer.echo(f"{len(segments)} files, {whole} of them as they should be{unseen}{lost}")
    if wrong:
        raise typer.Exit(1)


@app.command()
def protect(
    run: Run,
    names: Names = None,
    stream: Stream = None,
    begin: Begin = None,
    end: End = None,
    time_zone: Zone = "UTC",
    index: IndexFile = None,
) -> None:
    """Keep recordings whatever their age and the bounds are, until they are unprotected.

    Each gets an empty file of its name and `.keep` beside it. Also while a run records there.

    Example: sightline recordings protect out --stream gate --from 2026-03-01T08:00 --to 2026-03-01T08:10
    """
    with _opened(run, index) as found:
        chosen = _chosen(found, names, stream, begin, end, time_zone)
        _mark(found, chosen, protected=True)


@app.command()
def unprotect(
    run: Run,
    names: Names = None,
    stream: Stream = None,
    begin: Begin = None,
    end: End = None,
    time_zone: Zone = "UTC",
    index: IndexFile = None,
) -> None:
    """Let recordings go like all others when they are old or room is needed.

    Example: sightline recordings unprotect out gate_20260301T080000.040Z.mp4
    """
    with _opened(run, index) as found:
        chosen = _chosen(found, names, stream, begin, end, time_zone)
        _mark(found, chosen, protected=False)


@contextmanager
def _opened(run: Path, index: Path | None) -> Iterator[Recordings]:
    from streams.sinks.record.reading import open_recordings

    found = open_recordings(run, index, lambda paths: _shown(paths, "no index; looking into the files"))
    try:
        yield found
    finally:
        found.close()


def _asked(
    found: Recordings, stream: str | None, begin: str | None, end: str | None, time_zone: str
) -> list[Segment]:
    from pipeline.errors import ConfigError, SourceError
    from streams.sinks.record.when import moment_ns, zone_of

    zone = zone_of(time_zone)
    from_ns = None if begin is None else moment_ns(begin, zone)
    to_ns = None if end is None else moment_ns(end, zone, end=True)
    if from_ns is not None and to_ns is not None and from_ns >= to_ns:
        raise ConfigError(f"--from {begin} must be before --to {end}")
    segments = found.of(stream, from_ns, to_ns)
    if not segments:
        every = found.of(stream)
        if not every:
            raise SourceError(f"{found.root}: nothing is recorded there yet")
        from streams.sinks.record.show import span

        raise SourceError(f"{found.root}: nothing was recorded then; there is {span(every, zone)}")
    return segments


def _chosen(
    found: Recordings,
    names: Sequence[Path] | None,
    stream: str | None,
    begin: str | None,
    end: str | None,
    time_zone: str,
) -> list[Segment]:
    from pipeline.errors import ConfigError

    if names:
        if stream or begin or end:
            raise ConfigError("name files, or say --stream, --from and --to; not both")
        return found.named(names)
    if not (stream or begin or end):
        raise ConfigError("nothing is chosen; name files, or say --stream, --from or --to")
    return _asked(found, stream, begin, end, time_zone)


def _mark(found: Recordings, segments: Sequence[Segment], *, protected: bool) -> None:
    from pipeline.errors import SinkError

    changed = 0
    for segment in segments:
        mark = found.mark_of(segment)
        if mark.exists() == protected:
            continue
        try:
            if protected:
                mark.touch()
            else:
                mark.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"{mark}: {error.strerror}; who records there may do it") from error
        changed += 1
    word = "protected" if protected else "not protected any more"
    others = "; the others were so already" if changed < len(segments) else ""
    typer.echo(f"{changed} of {len(segments)} files are now {word}{others}")


def _shown(things: Sequence[Any], what: str) -> Iterable[Any]:
    """Go through things, on a terminal with a bar."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    is_worth_it = console.is_terminal and len(things) > _LONG
    return track(things, what, console=console, transient=True) if is_worth_it else things
