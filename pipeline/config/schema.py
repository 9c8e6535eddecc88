"""A checked configuration: everything in it exists, fits together and has its defaults filled in."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import to_jsonable_python

from pipeline.address import check_address, split_host_port
from pipeline.backoff import KeeperOptions
from pipeline.channel import Policy
from pipeline.config.problems import Problem, shown
from pipeline.curve import CurveOptions
from pipeline.errors import ConfigError
from pipeline.outbox import JournalOptions
from pipeline.place import Place, connectable
from pipeline.plugin import Kind, Options, SinkOptions
from pipeline.privacy.options import Privacy, PrivacyOptions
from pipeline.raw import RawOptions
from pipeline.secret import SecretUrl

STREAM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _endpoint(text: str) -> str:
    try:
        return check_address(text)
    except ConfigError as error:  # pydantic adds where it was written to a ValueError only
        raise ValueError(str(error)) from None


def _host_port(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        try:
            host, port = split_host_port(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return value


def _stream_name(text: str) -> str:
    if not STREAM_NAME.fullmatch(text):
        raise ValueError(f"a stream's name is 1 to 64 letters, digits, '_' or '-', not {shown(text)}")
    return text


def _path_text(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("must not be empty, nor hold a NUL character")
    return text


HostPort = Annotated[str, BeforeValidator(_host_port)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
PathText = Annotated[str, AfterValidator(_path_text)]
StreamName = Annotated[str, AfterValidator(_stream_name)]


class Connection(Options):
    """The place of a hub (`sightline hub`), which publishes for several boxes.

    Attributes:
        connect: endpoint where it takes from boxes.
    """

    connect: Endpoint

    @field_validator("connect")
    @classmethod
    def _named(cls, endpoint: str) -> str:
        try:
            return connectable(endpoint)
        except ConfigError as error:
            raise ValueError(str(error)) from None


class BusConfig(Options):
    """Where events, frames and packets are published (ZeroMQ).

    Attributes:
        events: endpoint to bind for events and states, or the hub that publishes them; None for not at all.
        frames: likewise for annotated frames.
        packets: likewise for packets as the source delivered them.
        reliable: endpoint of the events for programs that must miss none, out of the journal; None for not
            at all.
        raw: where raw pictures are announced to programs on this box, and what they are; None for not at all.
        curve: encrypt all of it, and let only known programs connect; None for neither.
        name: of the box, told in its states; the host's name when None.
        privacy: what is hidden in the pictures; None: as the configuration's `privacy` says, False: nothing.
    """

    events: Endpoint | Connection | None = None
    frames: Endpoint | Connection | None = None
    packets: Endpoint | Connection | None = None
    reliable: Endpoint | None = None
    raw: RawOptions | None = None
    curve: CurveOptions | None = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    privacy: Privacy | None = None

    @model_validator(mode="after")
    def _differ(self) -> BusConfig:
        places = {
            "events": self.events,
            "frames": self.frames,
            "packets": self.packets,
            "reliable": self.reliable,
            "raw": self.raw.address if self.raw else None,
        }
        hubs = [name for name, place in places.items() if isinstance(place, Connection)]
        if hubs and self.curve is not None and self.curve.hub is None:
            raise ValueError(f"{hubs[0]} goes to a hub, whose public key is missing: curve: {{hub: hub.key}}")
        named = [
            (name, place.connect if isinstance(place, Connection) else place)
            for name, place in places.items()
            if place is not None
        ]
        for number, (name, place) in enumerate(named):
            for other, same in named[:number]:
                if place == same:
                    raise ValueError(f"{other} and {name} both go to {place}; each needs its own endpoint")
        return self

    @property
    def shows_pictures(self) -> bool:
        """Whether there are sockets on which pictures are published, drawn or raw."""
        return self.frames is not None or self.raw is not None

    def place(self, name: Literal["events", "frames", "packets"]) -> Place | None:
        """Return where a socket binds or connects, None where it is not wanted."""
        told: str | Connection | None = getattr(self, name)
        if told is None:
            return None
        return Place(told.connect, connects=True) if isinstance(told, Connection) else Place(told)


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """One source, stage or sink and its checked options.

    Attributes:
        kind: what it is.
        name: its registered name.
        plugin: its class.
        options: instance of `plugin.Options`.
    """

    kind: Kind
    name: str
    plugin: type[Any]
    options: Options

    def serves(self, stream: str) -> bool:
        """Whether a sink takes the results of this stream."""
        return not isinstance(self.options, SinkOptions) or self.options.serve(stream)


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One stream.

    Attributes:
        name: letters, digits, "_" and "-".
        url: URL or path, "~" expanded.
        source: what reads it, and its options.
        keeper: how patient the engine is with a live source.
        policy: what happens to frames that come too fast; None: as the source is, live or not.
        stages: in the order of processing.
        config_hash: of `stages` with all defaults filled in, and of nothing else: streams that are
            processed alike have the same.
    """

    name: str
    url: SecretUrl
    source: PluginConfig
    policy: Policy | None
    stages: tuple[PluginConfig, ...]
    config_hash: str
    keeper: KeeperOptions = field(default_factory=KeeperOptions)


@dataclass(frozen=True, slots=True)
class Config:
    """What a run needs to know.

    Attributes:
        streams: in the order of the file.
        sinks: where results go.
        bus: endpoints, None for no bus.
        out: folder of the results.
        hash: of everything effective; comments and the order of keys do not matter.
        path: the file it was read from.
        metrics: "host:port" at which Prometheus may ask, None for not at all.
        journal: how much is kept of the events; there is one when this is set, or a sink needs it.
        privacy: what is hidden in pictures, wherever nothing else is said.
        doubts: what is probably not meant, but may be; to be told.
    """

    streams: tuple[StreamConfig, ...]
    sinks: tuple[PluginConfig, ...]
    bus: BusConfig | None
    out: Path
    hash: str
    path: Path
    metrics: str | None = None
    journal: JournalOptions | None = None
    privacy: PrivacyOptions | None = None
    doubts: tuple[Problem, ...] = ()


def hash_of(settings: object) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of settings as canonical JSON.

    Args:
        settings: anything of dicts, lists, scalars, `PluginConfig` and pydantic models.
    """
    canonical = json.dumps(settings, default=_plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    match value:
        case PluginConfig():
            return [value.name, value.options]
        case Options():
            return value.model_dump()
        case set() | frozenset():  # their order changes from process to process
            return sorted((to_jsonable_python(item) for item in value), key=repr)
        case _:
            return to_jsonable_python(value)
