"""The playlist of a window of segments, RFC 8216bis (draft-pantos-hls-rfc8216bis). Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streams.sinks.live.hls.window import Segment, Window

_PARTS_FOR_TARGETS = 3
"""Parts of segments that are further than so many target durations from the end are not listed (4.4.4.9)."""
_HOLD_BACK_PARTS, _HOLD_BACK_TARGETS = 3.0, 3


def playlist_of(window: Window, suffix: str = "") -> str:
    """Return the media playlist.

    Args:
        window: started, with at least one part or segment.
        suffix: appended to each address in it, e.g. "?token=...".
    """
    lengths = window.lengths
    segments = list(window.segments)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        f"#EXT-X-TARGETDURATION:{lengths.target_s}",
        f"#EXT-X-PART-INF:PART-TARGET={lengths.part_s:.3f}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={_HOLD_BACK_PARTS * lengths.part_s:.3f},"
        f"HOLD-BACK={_HOLD_BACK_TARGETS * lengths.target_s:.1f}",
        f"#EXT-X-MEDIA-SEQUENCE:{segments[0].number if segments else window.next_part()[0]}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{window.broken}",
    ]
    behind_s = sum(segment.duration_s for segment in segments)
    head = None
    for segment in segments:
        if not segment.parts:
            continue  # it has begun, but nothing of it can be had
        if segment.breaks:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.head != head:
            head = segment.head
            lines.append(f'#EXT-X-MAP:URI="head-{head}.mp4{suffix}"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(segment.time_ns)}")
        if behind_s <= _PARTS_FOR_TARGETS * lengths.target_s or not segment.is_complete:
            lines += _parts(segment, suffix)
        behind_s -= segment.duration_s
        if segment.is_complete:
            lines += [f"#EXTINF:{segment.duration_s:.5f},", f"segment-{segment.number}.m4s{suffix}"]
    if window.has_ended:
        lines.append("#EXT-X-ENDLIST")
    else:
        number, index = window.next_part()
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-{number}-{index}.m4s{suffix}"')
    return "\n".join([*lines, ""])


def _parts(segment: Segment, suffix: str) -> list[str]:
    return [
        f'#EXT-X-PART:DURATION={part.duration_s:.5f},URI="part-{segment.number}-{index}.m4s{suffix}"'
        + (",INDEPENDENT=YES" if part.is_independent else "")
        for index, part in enumerate(segment.parts)
    ]


def _date(time_ns: int) -> str:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
