"""Which track of a stream is read, and how FFmpeg is set for it."""

from __future__ import annotations

from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from pipeline.condition import Reason
from pipeline.errors import SourceError

PLAYLISTS = ("hls", "dash")
"""FFmpeg's names of the containers whose media comes in pieces."""
TIMELESS = ("mpjpeg", "mjpeg", "h264", "hevc", "m4v", "image2pipe", "jpeg_pipe")
"""Containers without time stamps: FFmpeg counts their pictures and divides by a rate that it made up."""

# MPEG-2's decoder would hand out B pictures in the order of coding.
_LOW_DELAY = ("h264", "hevc")
_LARGEST_HEIGHT = 1080


def video_track(name: str, container: InputContainer) -> VideoStream:
    """Return the track to be read: of several the largest up to 1080 lines, else the smallest.

    Raises:
        SourceError: if there is no video, or none that FFmpeg can decode.
    """
    if container.format.name == "tty":
        raise SourceError(f"{name}: is a text, not a video; check the URL", Reason.NOT_MEDIA)
    videos = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not videos:
        kinds = {"cover picture" if track.type == "video" else track.type for track in container.streams}
        only = ", ".join(sorted(kinds)) or "nothing"
        raise SourceError(f"{name}: has no video track (only {only}); is it the right URL?", Reason.NO_VIDEO)
    # PyAV leaves out the decoder's context where FFmpeg has no decoder, which its stubs do not say.
    known = [track for track in videos if track.codec_context is not None]
    if not known:
        raise SourceError(
            f"{name}: FFmpeg has no decoder for its video codec; set the camera to H.264",
            Reason.UNKNOWN_CODEC,
        )
    fitting = [track for track in known if track.height <= _LARGEST_HEIGHT]
    if fitting:
        return max(fitting, key=lambda track: track.height)
    return min(known, key=lambda track: track.height)


def has_an_end(container: InputContainer, scheme: str) -> bool:
    """Tell a recording from a live stream: by HTTP, a finished playlist, or a file with a size or a length.

    Everything else sets its own pace, also where it announces a length, as recorders do over RTSP.
    """
    if scheme not in ("http", "https") or container.format.name == "mpjpeg":
        return False
    return bool(container.duration) or (container.format.name not in PLAYLISTS and container.size > 0)


def prepare(name: str, container: InputContainer, chosen: VideoStream, *, is_recording: bool) -> None:
    """Set FFmpeg for one track: one thread, damage told, other tracks left out where they are of no use.

    The other variants of a playlist are not even fetched then.

    Raises:
        SourceError: if it is a recording without times.
    """
    for track in container.streams:
        # The length of some recordings is that of the longest track.
        if track is not chosen and (track.type == "video" or not is_recording):
            track.discard = Discard.all
    context = chosen.codec_context
    if is_recording and container.format.name in TIMELESS and container.format.name != "jpeg_pipe":
        raise SourceError(
            f"{name}: a bare {context.name} stream holds no times; put it into a container with its true "
            "rate",
            Reason.REJECTED,
        )
    context.thread_type = "NONE"
    # Damage is to be told, not left out in silence; JPEG's decoder says nothing of it by default.
    context.flags |= Flags.output_corrupt
    if context.name in _LOW_DELAY and not is_recording:
        context.flags |= Flags.low_delay
    if context.name == "mjpeg":
        context.options = {"err_detect": "explode"}
