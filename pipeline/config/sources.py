"""`--source [NAME=]URL`: what is read, said on the command line.

A configuration of one stream is a template: the sources given become the streams, each a copy of it; it
stays only if it is named. Without a NAME one source keeps the template's name, several are called after
their files. With several streams (or none) in the configuration, NAME=URL replaces that stream's source, or
adds a stream with the common stages. Options written with a source stay as long as its scheme does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.config.problems import (
    KeyPath,
    Origin,
    Problem,
    listed,
    shown,
    suggestion,
)
from pipeline.config.schema import STREAM_NAME
from pipeline.config.tree import Tree
from pipeline.registry import scheme_of
from pipeline.secret import without_credentials


def apply_sources(tree: Tree, sources: Sequence[str]) -> list[Problem]:
    """Lay the sources of the command line over the streams.

    Returns:
        What could not be applied.
    """
    if not sources:
        return []
    if tree.get(("streams",)) is None:
        tree.put(("streams",), {}, Origin("--source"))
    streams = tree.get(("streams",))
    if not isinstance(streams, dict):
        return []
    template = next(iter(streams)) if len(streams) == 1 else None
    problems: list[Problem] = []
    urls: dict[str, tuple[str, Origin]] = {}
    for text in sources:
        name, url = split_source(text)
        origin = Origin(f"--source {without_credentials(text)}")
        if name is None and len(streams) > 1:
            message = f"say whose source it is: NAME=URL; streams: {listed(streams)}"
            problems.append(Problem(origin, "", message))
            continue
        name = name or (template if len(sources) == 1 else None) or name_of(url)
        if name in urls:
            message = f"a second source for the stream {shown(name)}; give each its own name: NAME=URL"
            problems.append(Problem(origin, "", message))
        elif name not in streams and len(streams) > 1 and not tree.get(("stages",)):
            near = suggestion(name, list(streams)) or ";"
            message = f"no stream {shown(name)}, and no common stages for a new one{near} streams: "
            problems.append(Problem(origin, "", message + listed(streams)))
        urls[name] = (url, origin)
    if problems:
        return problems
    for name in sorted(urls, key=lambda name: name in streams):  # copies are made before the template changes
        _put(tree, name, *urls[name], template)
    if template is not None and template not in urls:
        tree.drop(("streams", template))
    return []


def split_source(text: str) -> tuple[str | None, str]:
    """Return NAME and URL of "[NAME=]URL"; what cannot be a stream's name is part of the URL."""
    name, separator, url = text.partition("=")
    return (name, url) if separator and url and STREAM_NAME.fullmatch(name) else (None, text)


def name_of(url: str) -> str:
    """Return a stream's name made of a URL's last part: "clips/car detection.mp4" gives "car-detection"."""
    _, separator, address = url.partition("://")
    if separator:
        host, _, path = re.split(r"[?#]", address)[0].rpartition("@")[2].partition("/")
        last = PurePosixPath(path).stem or host.partition(":")[0]
    else:
        last = PurePosixPath(url).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-")[:64] or "stream"


def _put(tree: Tree, name: str, url: str, origin: Origin, template: str | None) -> None:
    stream: KeyPath = ("streams", name)
    if tree.get(stream) is None:
        if template is None:
            tree.put(stream, {}, origin)
        else:
            tree.copy(("streams", template), stream)
    if not isinstance(tree.get(stream), dict):
        return
    before = tree.get((*stream, "source"))
    if isinstance(before, dict) and _scheme(before.get("url")) == _scheme(url):
        tree.put((*stream, "source", "url"), url, origin)
    else:
        tree.put((*stream, "source"), url, origin)


def _scheme(url: object) -> str | None:
    try:
        return scheme_of(url) if isinstance(url, str) else None
    except OSError:
        return None
