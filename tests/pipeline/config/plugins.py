"""Small plug-ins with every kind of option, so that the tests of the configuration need no other room."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from pipeline.config.catalogue import Catalogue
from pipeline.config.load import load_config
from pipeline.config.schema import Config
from pipeline.errors import ConfigError, ModelError
from pipeline.packet_sink import PacketSink
from pipeline.plugin import Kind, Options, Sink, SinkOptions, Source, Stage


class Shade(StrEnum):
    DARK = "dark"
    LIGHT = "light"


class Line(Options):
    points: tuple[float, float, float, float]
    anchor: Literal["center", "bottom_center"] = "bottom_center"
    band: float = Field(0.02, ge=0, lt=1)
    labels: frozenset[str] = frozenset({"car", "bus"})


class Motion(Options):
    width: int = Field(320, ge=16, le=4096)
    shadows: bool = True
    shade: Shade = Shade.DARK
    sigma: float = Field(1.0, gt=0)
    size: str | list[int] = "small"
    name: str = Field("motion", min_length=2, max_length=10)

    @field_validator("width")
    @classmethod
    def _even(cls, width: int) -> int:
        if width % 2:
            raise ValueError(f"an odd width of {width} cannot be halved")
        return width


class Track(Options):
    confirm: int = Field(3, multiple_of=1)
    weights: Path | None = None
    ages: list[float] = Field(default=[1.0], min_length=1, max_length=3)

    @model_validator(mode="after")
    def _known(self) -> "Track":
        if self.weights == Path("broken"):
            raise ModelError("broken: these are no weights; download them again")
        if self.confirm > 50:
            raise ValueError("confirm is longer than any visit")
        return self


class Count(Options):
    lines: dict[str, Line] = Field(default={})
    every: int | Literal["frame"] = "frame"


class Video(Options):
    rate_hz: float | None = None


class Live(Options):
    timeout_s: float = 5.0
    start_time: AwareDatetime | None = None


def _plugin(options: type[Options], base: type[Any] = Source) -> type[Any]:
    return type(f"{options.__name__}Plugin", (base,), {"Options": options})


PLUGINS: dict[Kind, dict[str, type[Any]]] = {
    "stage": {
        name.lower(): _plugin(options, Stage)
        for name, options in (("motion", Motion), ("track", Track), ("count", Count))
    },
    "sink": {
        "events": _plugin(SinkOptions, Sink),
        "video": _plugin(Video, Sink),
        "copy": _plugin(SinkOptions, PacketSink),
    },
    "source": {
        "file": _plugin(Options),
        "images": _plugin(Options),
        "rtsp": _plugin(Live),
        "synthetic": _plugin(Options),
    },
}


def _load(kind: Kind, name: str) -> type[Any]:
    if name == "broken":
        raise ConfigError("stage 'broken' (its.module:Class) cannot be imported: No module named 'its'")
    return PLUGINS[kind][name]


CATALOGUE = Catalogue(
    names=lambda kind: sorted([*PLUGINS[kind], "broken"] if kind == "stage" else PLUGINS[kind]), load=_load
)

GOOD = """\
out: results
streams:
  gate:
    source: video.mp4
  yard:
    source: {url: rtsp://user:secret@camera/1, timeout_s: 2}
    policy: latest
    stages: [motion]
stages:
  - motion: {width: 320}
  - track
  - count:
      lines:
        door: {points: [0, 0.5, 1, 0.5]}
sinks:
  - events
  - video: {rate_hz: 25}
bus:
  events: tcp://127.0.0.1:5577
  frames: ipc:///tmp/frames
"""


def load(folder: Path, text: str, **arguments: Any) -> Config:
    """Write `text` to a file and load it, with these plug-ins and (unless given) an empty environment."""
    path = folder / "x.yaml"
    path.write_bytes(text.encode())
    return load_config(path, catalogue=CATALOGUE, **({"env": {}} | arguments))
