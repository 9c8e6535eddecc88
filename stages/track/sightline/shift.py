"""A camera that shakes moves all objects at once: that common shift, from the boxes alone.

For recordings without pictures, or where optical flow sees nothing. Every pair of a track and a detection
near it is a vote for the offset between them; wrong pairs scatter, right ones agree.
"""

from __future__ import annotations

import numpy as np

from stages.track.boxes import FloatArray, IntArray

# As shares of a height: offsets so far apart agree; a smaller shift is not worth correcting.
_AGREE, _LEAST = 0.12, 0.02
# At least so many tracks vote, and at least this share of them agrees, so many times as many as see no shift;
# it is so many standard errors from none. When this share sees no shift, there is none.
_LEAST_VOTERS, _MAJORITY, _BETTER, _SURE, _STILL = 5, 0.6, 1.5, 3.0, 0.7
# Votes that are compared with each other.
_MOST_VOTES = 400


def common_shift(track: IntArray, offset: FloatArray, height: FloatArray) -> FloatArray | None:
    """Return the (2,) px that most tracks are off by, or None when they are not off together.

    Args:
        track: (P,) rows of steady tracks, ascending.
        offset: (2, P) from where each is expected to a detection near it, px.
        height: (P,) of the track, px.
    """
    if len(track) < _LEAST_VOTERS:
        return None
    is_first = np.concatenate([[True], track[1:] != track[:-1]])
    step = -(-len(track) // _MOST_VOTES)
    if step > 1:
        some = np.flatnonzero((is_first.cumsum() - 1) % step == 0)
        is_first, offset, height = is_first[some], offset[:, some], height[some]
    starts = np.flatnonzero(is_first)
    voters = len(starts)
    if voters < _LEAST_VOTERS:
        return None
    still = np.count_nonzero(np.logical_or.reduceat(np.abs(offset).max(axis=0) <= _AGREE * height, starts))
    if still >= _STILL * voters:
        return None
    apart = np.abs(offset[:, :, None] - offset[:, None, :]).max(axis=0)
    agree = apart <= _AGREE * height
    support = np.logical_or.reduceat(agree, starts, axis=1).sum(axis=1)
    best = int(support.argmax())
    if support[best] < max(_MAJORITY * voters, _LEAST_VOTERS, _BETTER * still):
        return None
    votes = offset[:, agree[best]]
    middle = np.median(votes, axis=1)
    error = 1.48 * np.median(np.abs(votes - middle[:, None]), axis=1) / np.sqrt(votes.shape[1])
    is_sure = (np.abs(middle) > _SURE * error).any()
    is_large = np.abs(middle).max() > _LEAST * np.median(height)
    return np.asarray(middle, np.float64) if is_sure and is_large else None
