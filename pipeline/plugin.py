"""The three things one can add (sources, stages, sinks) and how they are found by name.

A plug-in is a class registered as an entry point; its name there is its name in the configuration:

    [project.entry-points."sightline.stages"]
    blur = "my_package.blur:BlurStage"

Each has a pydantic model of its options, from which the configuration is checked before anything runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from pipeline.condition import Progress
from pipeline.errors import FrameLost, FramesLost
from pipeline.event import Event
from pipeline.frame import Frame, Gap
from pipeline.kinds import NO_EVENTS as NO_EVENTS
from pipeline.kinds import Emitter
from pipeline.options import Options as Options
from pipeline.packet import Tap
from pipeline.privacy.options import Privacy, PrivacyOptions
from pipeline.secret import SecretUrl
from pipeline.shared import Shared
from pipeline.sink_context import SinkContext as SinkContext
from pipeline.sink_context import Tell as Tell

Kind = Literal["source", "stage", "sink"]
Input = Literal["events", "frames", "packets"]
"""What a sink may take."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What is known of a stream once its source is open.

    Attributes:
        stream: name of the stream.
        url: where it comes from, fit to be shown (no credentials).
        run: id of the run, see `Frame.run`.
        width: of the upright picture, px.
        height: of the upright picture, px.
        live: True when pictures come at their own pace, whatever we do; a recording on a server is not live.
        codec: short name ("h264"), "" when not encoded.
        container: format of the file or transport ("mov,mp4"), "" when there is none.
        pixel_format: FFmpeg's name ("yuv420p"), "" when unknown.
        rate_hz: declared pictures per second, None when unknown; never used to compute time.
        duration_s: declared length, None when unknown or endless.
        frames: declared number of pictures, None when unknown.
        rotation_deg: clockwise turn that was applied to make the picture upright.
        has_audio: True when there is a sound track (ignored).
    """

    stream: str
    url: str
    run: str
    width: int
    height: int
    live: bool = False
    codec: str = ""
    container: str = ""
    pixel_format: str = ""
    rate_hz: float | None = None
    duration_s: float | None = None
    frames: int | None = None
    rotation_deg: int = 0
    has_audio: bool = False


class Source(Emitter, ABC):
    """Where pictures come from. Used by one thread, except `close`, which any thread may call.

    An instance is one connection: it ends or fails once, and its keeper makes a new one where `live` says so
    (see `pipeline.keeper`). It never waits for ever: what it calls has time-outs of its own, so that a
    keeper which has given it up knows that it will be gone.

    Attributes:
        live: class attribute, True for what can come back after it ended: cameras, and everything on a
            network. Whether the pictures set their own pace says `StreamInfo.live` (a recording on a server
            does not).
        patient: class attribute, True for what has pictures when it has them, such as a folder that grows:
            it is never given up for its silence.
        copies: class attribute, True for what can lay down the packets that it decodes (see `tap`).
        address: the URL or path in full; `reveal()` it only to open it.
        url: the same, fit to be shown.
        options: instance of `Options`.
        stream: name of the stream.
        progress: a live source sets `connected` once the peer has answered, and `trouble` while it has
            reason to believe that no picture will come.
        tap: set before `open` where somebody may want the packets; a source that `copies` tells it the format
            once it is known and lays down each packet of the video track in the order of reading, before
            its picture is handed on, and sets `Frame.ticks`. None: nobody does.
    """

    Options: ClassVar[type[Options]] = Options
    live: ClassVar[bool] = False
    patient: ClassVar[bool] = False
    copies: ClassVar[bool] = False

    def __init__(self, url: SecretUrl | str, options: Any, stream: str) -> None:
        self.address = url if isinstance(url, SecretUrl) else SecretUrl(url)
        self.url = str(self.address)
        self.options = options
        self.stream = stream
        self.progress = Progress()
        self.tap: Tap | None = None

    @abstractmethod
    def open(self) -> StreamInfo:
        """Open the source up to its first picture's format.

        Raises:
            SourceError: what is wrong with which file, and what to do; with the `Reason`, if it is live.
        """

    @abstractmethod
    def read(self) -> Iterator[Frame | Gap]:
        """Yield frames in order of media time, and a `Gap` wherever media is missing (also at the end).

        Media time begins anew, about 0, with each instance; the engine lays the runs of a live stream one
        after the other. A live source that returns was closed by its peer.

        Raises:
            SourceError: if nothing more can be read although more should be there.
        """

    def close(self) -> None:
        """Free everything; safe in every state and more than once. Makes `open` and `read` end soon.

        Returns at once, also while another thread is inside them.
        """


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage may know of its surroundings.

    Attributes:
        stream: name of the stream it serves.
        config_hash: hash of that stream's effective stage settings, for `Producer`.
        shared: what the stages of one run have in common; a stage that is made alone has its own.
        folder: where the run's results go (the configuration's `out`); it need not exist yet. None when
            nothing is to be written: a stage that is made alone writes no files.
        privacy: what must not be seen in pictures that it keeps, where its own options say nothing of it.
    """

    stream: str
    config_hash: str = ""
    shared: Shared = field(default_factory=Shared, compare=False, repr=False)
    folder: Path | None = None
    privacy: PrivacyOptions | None = None


class Stage(Emitter):
    """One step on a frame's way. One instance serves one stream and runs in that stream's compute thread.

    A stage fills in the frame's fields and leaves the picture alone. It implements `process`, or, when it
    gains from several pictures at once, sets `batch` and implements `process_batch`.

    Attributes:
        needs: fields of the frame that a stage before it must have filled in.
        gives: fields of the frame that it fills in.
        batch: most frames it takes at once.
    """

    Options: ClassVar[type[Options]] = Options
    needs: ClassVar[frozenset[str]] = frozenset()
    gives: ClassVar[frozenset[str]] = frozenset()
    batch: int = 1

    def __init__(self, options: Any, context: StageContext) -> None:
        self.options = options
        self.context = context

    @classmethod
    def known_labels(cls, options: Any) -> frozenset[str] | None:  # noqa: ARG003
        """Return the classes that its detections may have, None where only running it can tell."""
        return None

    @classmethod
    def asked_labels(cls, options: Any) -> Mapping[tuple[str, ...], frozenset[str]]:  # noqa: ARG003
        """Return the classes that its options ask for, by the path of the option that does."""
        return {}

    def open(self, info: StreamInfo) -> None:
        """Prepare for pictures of this size; called before the first frame, and again when the size changes.

        Raises:
            ConfigError: if the options do not fit the stream (a line outside the picture).
        """

    def process(self, frame: Frame) -> None:
        """Handle one frame.

        Raises:
            FrameLost: if this frame is lost and the stream goes on.
        """
        raise NotImplementedError(f"{type(self).__name__} implements neither process nor process_batch")

    def process_batch(self, frames: Sequence[Frame]) -> None:
        """Handle up to `batch` frames, oldest first.

        Raises:
            FrameLost: if all of them are lost.
            FramesLost: if some are lost, and the others are done.
        """
        losses = {}
        for place, frame in enumerate(frames):
            try:
                self.process(frame)
            except FrameLost as lost:
                losses[place] = lost
        if losses:
            raise FramesLost(losses)

    def statistics(self) -> Mapping[str, Any]:
        """Return what it did so far, as plain JSON values for the run's report; called from any thread."""
        return {}

    def finish(self) -> Sequence[Event]:
        """Return what becomes certain only because the stream has ended, or goes on in another size."""
        return ()

    def close(self) -> None:
        """Free everything; safe in every state and more than once."""


class SinkOptions(Options):
    """Base of every sink's options.

    Attributes:
        streams: names of the streams whose results it takes; None for all.
        privacy: what is hidden in the pictures that it gets; None: as the configuration's `privacy` says,
            False: nothing.
    """

    streams: tuple[str, ...] | None = Field(default=None, min_length=1)
    privacy: Privacy | None = None

    def serve(self, stream: str) -> bool:
        """Whether results of this stream are taken."""
        return self.streams is None or stream in self.streams

    def named_streams(self) -> Mapping[str, Collection[str]]:
        """Return the streams that options name, by option; the check knows which there are."""
        return {"streams": self.streams or ()}


class Sink(Emitter):
    """Where results go. One instance serves all streams, or those that its option `streams` names.

    `open_stream`, `on_event`, `on_frame` and `close_stream` of one stream come from that stream's output
    thread, those of different streams at the same time: state is kept per stream, or guarded by a lock.

    In a process of its own (`sightline sink`) each of its `inputs` comes from the box by an address of its
    own: these methods are called one at a time, but an event may come before `open_stream`, before or after
    its frame, and, after a crash, again. What `on_event` raises means there: later, it is called again.

    Attributes:
        inside_only: why it can do its work only inside a run; "" for one that may have a process of its own.
    """

    Options: ClassVar[type[Options]] = SinkOptions
    inside_only: ClassVar[str] = ""

    def __init__(self, options: Any, context: SinkContext) -> None:
        self.options = options
        self.context = context

    @classmethod
    def inputs(cls, options: Any) -> frozenset[Input]:  # noqa: ARG003
        """Return what it takes, as configured: a process of its own is connected to each."""
        found: set[Input] = set()
        if cls.on_event is not Sink.on_event:
            found.add("events")
        if cls.on_frame is not Sink.on_frame:
            found.add("frames")
        return frozenset(found)

    def held(self) -> Collection[UUID]:
        """Return the ids of events that `on_event` took and that it is not done with; from any thread.

        If a process of its own is killed meanwhile, the next one hands it these again.
        """
        return ()

    @classmethod
    def files(cls, options: Any, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the files it will write for these streams, relative to the output folder.

        The engine refuses a run in which two parts want one file, or a file is also a source.
        """
        return ()

    @classmethod
    def takes_pictures(cls) -> bool:
        """Whether it looks at the pictures of frames; if so, what it must not see is hidden first."""
        return cls.on_frame is not Sink.on_frame

    def wants_pictures(self, stream: str) -> bool:  # noqa: ARG002
        """Whether it will look at the picture of the next frame; asked where something must be hidden in it.

        Otherwise that work is spared, and the frame comes with a black picture. Called from the stream's
        output thread right before `on_frame`.
        """
        return True

    def open_stream(self, info: StreamInfo) -> None:
        """Prepare for a stream. Raises SinkError when it cannot be served.

        Called again, after `close_stream`, when a camera comes back with pictures of another size.
        """

    def on_event(self, event: Event) -> None:
        """Take an event; it comes before the frame at which it became known.

        Events of a live stream's source may come before `open_stream`: that a camera cannot be had is news.
        """

    def on_frame(self, frame: Frame) -> None:
        """Take a finished frame. `frame.drawn()` costs something: call it only if it is used.

        Where something is to be hidden, it is, and with `ahead_s` the frame is one of some time ago.
        """

    def close_stream(self, stream: str) -> None:
        """Finish what belongs to one stream; called once for each `open_stream`, also after a failure."""

    def close(self) -> None:
        """Finish everything; safe in every state and more than once."""


class EventSinkOptions(SinkOptions):
    """Base of the options of sinks that have the journal behind them.

    Attributes:
        kinds: which events it takes, e.g. `line.crossing`, `zone.*`; None for all.
        consumer: its name in the journal, by which it goes on after a restart; the sink's own when None.
            Two sinks of one kind need different ones.
        from_start: a consumer that the journal does not know yet gets all that it still has.
    """

    kinds: tuple[str, ...] | None = Field(default=None, min_length=1)
    consumer: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    from_start: bool = False

    def takes(self, event: Event) -> bool:
        """Whether it takes this event."""
        named = self.kinds is None or any(fnmatchcase(event.kind, kind) for kind in self.kinds)
        return named and self.serve(event.stream)


class EventSink(Sink):
    """A sink whose events come out of the journal, so that none is lost while its other end is away.

    Events are in the journal before `deliver` gets them, and stay there until it has returned, over restarts
    of either side too. `on_event` and `on_frame` are not called.

    Attributes:
        batch: most events at once.
    """

    Options: ClassVar[type[Options]] = EventSinkOptions
    batch: ClassVar[int] = 500

    @classmethod
    def inputs(cls, options: Any) -> frozenset[Input]:  # noqa: ARG003
        """Return that it takes events."""
        return frozenset({"events"})

    @classmethod
    def asked_kinds(cls, options: Any) -> Mapping[tuple[str, ...], Sequence[str]]:
        """Return the patterns of its option `kinds`."""
        return {("kinds",): options.kinds or ()}

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand events over, oldest first, and return when the other end has them for certain.

        Called from one thread. After a failure it is called with the same events again, some of which the
        other end may have: `Event.id` tells doubles.

        Raises:
            EventsRefused: if some will never be taken; the others are tried again without them.
            Exception: anything else means: not now. It is tried again after a pause, for ever.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement deliver")
