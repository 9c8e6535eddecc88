"""Who writes which file, checked before anything is opened: no result overwrites an input or another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.schema import Config, StreamConfig
from pipeline.errors import ConfigError, SinkError
from pipeline.lock import try_lock


def refuse_overwriting(config: Config, report: Path | None = None) -> None:
    """Refuse a run that would write over a source, its own configuration, or one result over another.

    Paths are compared as files, so links and other spellings of the same place are seen through.

    Args:
        config: a checked configuration.
        report: where the report will be written, if anywhere.

    Raises:
        ConfigError: one line for each file in question, with who wants it and what to do.
    """
    inputs = [(Path(config.path), "the configuration")]
    inputs += [
        (path, f"the source of stream '{stream.name}'") for stream in config.streams for path in _read(stream)
    ]
    problems: list[str] = []
    writers: list[tuple[Path, str]] = []
    for path, writer in _written(config, report):
        for other, what in inputs:
            if _same(path, other):
                problems.append(f"{writer} would overwrite {other}, {what}; choose another --out or name")
        for other, first in writers:
            if _same(path, other):
                problems.append(
                    f"{first} and {writer} would both write {path}; give one another name "
                    "(options such as `path`, `folder` or `consumer`)"
                )
        writers.append((path, writer))
    if problems:
        raise ConfigError("\n".join(problems))


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder for results and keep other runs out of it for the length of the `with` block.

    The lock is the kernel's, on the folder itself: it leaves no file behind and ends with the process,
    however that ends. Where folders cannot be locked (some network shares, other systems) there is none.

    Raises:
        SinkError: if the folder cannot be made, or another run is writing there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SinkError(
            f"{folder}: cannot make the output folder: {error.strerror}; choose another by --out"
        ) from error
    try:
        if not try_lock(handle):
            raise SinkError(f"{folder}: another run is writing there; wait for it or choose another --out")
        yield
    finally:
        os.close(handle)


def _written(config: Config, report: Path | None) -> Iterator[tuple[Path, str]]:
    for sink in config.sinks:
        names = [stream.name for stream in config.streams if sink.serves(stream.name)]
        for file in sink.plugin.files(sink.options, names):
            yield config.out / file, f"sink '{sink.name}'"
    if report is not None:
        yield report, "the report"


def _read(stream: StreamConfig) -> list[Path]:
    path = stream.url.reveal().removeprefix("file://")
    return [] if "://" in path else [Path(path)]


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet: only the same place can become the same file
        return os.path.realpath(one) == os.path.realpath(other)
