"""`sightline cut`: the command."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.errors import SourceError
    from streams.sinks.cut.cutter import Cut
    from streams.sinks.record.segment import Segment

_LONG_BYTES = 200_000_000
"""Copying so much takes about two seconds."""


def cut(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FOLDER",
            help="The output folder of a run, or the folder of its recordings.",
            show_default=False,
        ),
    ],
    stream: Annotated[
        str, typer.Option("--stream", "-s", metavar="NAME", help="Of this stream.", show_default=False)
    ],
    begin: Annotated[
        str,
        typer.Option(
            "--from", metavar="TIME", help="2026-03-01T08:00:30, with Z or +01:00.", show_default=False
        ),
    ],
    end: Annotated[
        str,
        typer.Option(
            "--to", metavar="TIME", help="Likewise; +90 is seconds after --from.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="*.mp4 or *.mkv.", show_default=False)
    ],
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="NAME", help="Whose clock, e.g. Europe/Berlin.")
    ] = "UTC",
    close_gaps: Annotated[
        bool,
        typer.Option(
            "--close-gaps", help="Leave out what was not recorded, instead of showing the last picture."
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option("--key", "-k", metavar="FILE", help="The secret key, for sealed recordings."),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option("--index", metavar="FILE", help="The index, where the sink's option `index` names one."),
    ] = None,
) -> None:
    """Cut a range of time out of recordings, as one file, without encoding: what the camera sent.

    It plays from the first picture at or after --from; the key frame before is in the file, too, and players
    that know no edit lists show it. What was not recorded is told. Works while it is recorded.

    Example: sightline cut out -s gate --from 2026-03-01T08:00 --to +90 --time-zone Europe/Berlin -o theft.mp4
    """
    from pipeline.errors import SourceError
    from streams.sinks.cut.cutter import Cutter
    from streams.sinks.record.reading import open_recordings
    from streams.sinks.record.when import zone_of
    from streams.sinks.sealed.keys import read_secret

    _check_run(run)
    _check_output(output)
    zone = zone_of(time_zone)
    from_ns, to_ns = _range(begin, end, zone)
    secret_keys = () if key is None else read_secret(key)
    recordings = open_recordings(run, index)
    try:
        segments = recordings.of(stream, from_ns, to_ns)
        if not segments:
            raise _nothing(recordings.of(stream), stream, from_ns, to_ns, zone)
        files = [(recordings.path_of(segment), segment) for segment in segments]
        cutter = Cutter(output, from_ns, to_ns, secret_keys, close_gaps=close_gaps)
        with (
            _interruptible() as look,
            _shown(sum(segment.size for segment in segments), from_ns, to_ns) as show,
        ):

            def tell(time_ns: int) -> None:
                look()
                show(time_ns)

            made = cutter.run(files, tell)
        if not made.files and made.unreadable:
            raise SourceError(made.unreadable[0])
        if not made.files:
            raise _nothing(recordings.of(stream), stream, from_ns, to_ns, zone)
    finally:
        recordings.close()
    _report(made, zone)


def _check_run(run: Path) -> None:
    import difflib

    from pipeline.errors import SourceError

    if run.exists():
        return
    beside = run.absolute().parent
    folders = [path.name for path in beside.iterdir() if path.is_dir()] if beside.is_dir() else []
    near = difflib.get_close_matches(run.name, folders, n=1)
    hint = f"did you mean {run.parent / near[0]}?" if near else "give the output folder of a run"
    raise SourceError(f"{run}: no such folder; {hint}")


def _check_output(output: Path) -> None:
    from pipeline.errors import ConfigError
    from streams.sinks.cut.cutter import SUFFIXES

    if output.suffix not in SUFFIXES:
        raise ConfigError(f"{output}: cut into a file whose name ends in {' or '.join(SUFFIXES)}")
    if output.exists():
        raise ConfigError(f"{output} is there already; name another file with -o, or delete it first")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"{output.parent}: no such folder; make it, or name another file with -o")


def _range(begin: str, end: str, zone: tzinfo) -> tuple[int, int]:
    from pipeline.errors import ConfigError
    from streams.sinks.record.when import local, moment_ns

    from_ns = moment_ns(begin, zone)
    if end.startswith("+"):
        try:
            to_ns = from_ns + round(float(end) * 1e9)
        except (ValueError, OverflowError):
            raise ConfigError(f"--to '{end}': after the + come seconds, such as +90") from None
    else:
        to_ns = moment_ns(end, zone, end=True)
    if to_ns <= from_ns:
        raise ConfigError(f"--to {local(to_ns, zone)} is not after --from {local(from_ns, zone)}")
    return from_ns, to_ns


def _nothing(segments: list[Segment], stream: str, from_ns: int, to_ns: int, zone: tzinfo) -> SourceError:
    """Return the error that says what there is instead."""
    from pipeline.errors import SourceError
    from streams.sinks.record.when import local

    before = max((segment.end_ns for segment in segments if segment.end_ns <= from_ns), default=None)
    after = min((segment.start_ns for segment in segments if segment.start_ns >= to_ns), default=None)
    near = [
        f"the last before ends {local(before, zone)}" if before is not None else "",
        f"the next begins {local(after, zone)}" if after is not None else "",
    ]
    hint = ", ".join(word for word in near if word) or "its recordings have no picture there"
    return SourceError(
        f"nothing of '{stream}' was recorded from {local(from_ns, zone)} to {local(to_ns, zone)}; {hint}"
    )


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Give what raises after Ctrl-C: while FFmpeg writes that would be lost, and part of the file with it."""
    before = signal.getsignal(signal.SIGINT)
    interrupted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        interrupted.append(number)

    def look() -> None:
        if interrupted:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _shown(size: int, from_ns: int, to_ns: int) -> Iterator[Callable[[int], None]]:
    """Give what shows the progress, on a terminal, where it takes a while."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal or size < _LONG_BYTES:
        yield _tell_nobody
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("cutting", total=to_ns - from_ns)
        yield lambda time_ns: progress.update(task, completed=time_ns - from_ns)


def _tell_nobody(time_ns: int) -> None:
    """Show nothing."""


def _report(made: Cut, zone: tzinfo) -> None:
    from streams.sinks.record.when import local

    for file in made.files:
        lead = f", begins {file.lead_s:.1f} s earlier in players without edit lists" if file.lead_s else ""
        typer.echo(
            f"{file.path}: {local(file.from_ns, zone)} to {local(file.to_ns, zone)}, {file.seconds:.1f} s, "
            f"{file.packets} pictures, {file.size / 1e6:.1f} MB{lead}"
        )
    if len(made.files) > 1:
        typer.echo("the camera's format changed, and a file has only one: see both in turn")
    for gap in made.missing:
        is_within = any(file.from_ns < gap.from_ns and gap.to_ns < file.to_ns for file in made.files)
        how = ("left out" if made.closed else "the picture stands still") if is_within else "in no file"
        typer.echo(
            f"not recorded: {local(gap.from_ns, zone)} to {local(gap.to_ns, zone)}, "
            f"{gap.seconds:.1f} s; {how}"
        )
    for line in made.unreadable:
        typer.echo(line)
    if made.lost:
        typer.echo(f"the recordings lack {made.lost} pictures within")
