"""The disk below the recordings: what it is, what room it has, and what its errors mean."""

from __future__ import annotations

import errno
import os
from enum import StrEnum
from pathlib import Path

import av

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
}


class Trouble(StrEnum):
    """Why nothing is recorded."""

    FULL = "disk full"
    READ_ONLY = "read-only"
    GONE = "unplugged"
    """The file or its folder is no longer there."""
    SLOW = "slow disk"
    BEHIND = "recorder too slow"
    """Packets were lost although the disk was quick: the box has no time for the recorder."""
    INDEX = "index"
    """Recordings are written, but their index is not: retention may not know them."""
    BROKEN = "disk error"
    FAILED = "failed"
    """Anything else; the detail says what."""


_TROUBLES = {
    errno.ENOSPC: Trouble.FULL,
    errno.EDQUOT: Trouble.FULL,
    errno.EFBIG: Trouble.FULL,
    errno.EROFS: Trouble.READ_ONLY,
    errno.EACCES: Trouble.READ_ONLY,
    errno.EPERM: Trouble.READ_ONLY,
    errno.ENOENT: Trouble.GONE,
    errno.ENOTDIR: Trouble.GONE,
    errno.ENODEV: Trouble.GONE,
    errno.ENXIO: Trouble.GONE,
    errno.ESTALE: Trouble.GONE,
    errno.ENOTCONN: Trouble.GONE,
}
_ADVICE = {
    Trouble.FULL: "free space there, or lower `keep_gb`",
    Trouble.READ_ONLY: "make it writable for this user",
    Trouble.GONE: "plug it in, mount it, or make the folder again",
    Trouble.SLOW: "use a faster disk, fewer streams or a larger `sync_s`",
    Trouble.BEHIND: "give the box less to do",
    Trouble.INDEX: "see that the index file can be written",
    Trouble.BROKEN: "look at the disk",
    Trouble.FAILED: "see the log",
}


def trouble_of(error: OSError | av.FFmpegError) -> Trouble:
    """Return what an error of a file means; one that is FFmpeg's own is not the disk's fault."""
    is_of_system = error.errno in errno.errorcode
    return _TROUBLES.get(error.errno or 0, Trouble.BROKEN if is_of_system else Trouble.FAILED)


def advice_for(trouble: Trouble) -> str:
    """Return what a person can do about it."""
    return _ADVICE[trouble]


def free_bytes(folder: Path) -> int:
    """Return how many bytes more a user may write there. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the name of the network file system that a path lies on, None for a local or unknown one.

    Args:
        path: need not exist.
        mounts: in the form of /proc/self/mountinfo (proc(5)).
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = Path(os.path.realpath(path))
    best: tuple[int, str] = (-1, "")
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(_unescaped(fields.split(" ")[4]))
        if place.is_relative_to(point) and len(point.parts) >= best[0]:  # a later one lies above
            best = len(point.parts), rest.split(" ")[0]
    return best[1] if best[1] in _NETWORK else None


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
