"""From what a configuration calls a model to a checked file on this box."""

from __future__ import annotations

import hashlib
import logging
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import ModelError
from pipeline.secret import SecretUrl
from stages.detect.models.cache import locked, unwritable
from stages.detect.models.catalogue import known, similar
from stages.detect.models.download import Limits, download, require_safe
from stages.detect.models.kinds import check_weights
from stages.detect.models.licence import UNKNOWN, licence_within, notice
from stages.detect.models.progress import Progress, shown
from stages.detect.models.store import Store, sha256_of

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HASH_DIGITS = 16
_LOST_SLASH = re.compile(r"^(https?:)/(?=[^/])")
"""What `Path` makes of a URL."""
_NO_PATH = {"", ".", ".."}


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that is here, whole, and no pickle that runs code.

    Attributes:
        path: the file.
        sha256: its digest, hexadecimal.
        licence: SPDX identifier, or what the file says of itself; "unknown" where nobody says.
        source: the URL it came from, fit to be shown, or "local file".
        beside: digest of the file with the numbers, where they lie beside it (OpenVINO's .bin, ONNX's
            external data); "" where all is in one file.
    """

    path: Path
    sha256: str
    licence: str
    source: str
    beside: str = ""

    @property
    def hash(self) -> str:
        """Return 16 digits that stand for the content, as results and events carry them (`Frame.model_hash`).

        Those that the SHA-256 begins with, unless the numbers lie in another file: then of both digests.
        """
        both = hashlib.sha256(f"{self.sha256}{self.beside}".encode()).hexdigest()
        return (both if self.beside else self.sha256)[:_HASH_DIGITS]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be fetched.

    Attributes:
        name: of the file.
        url: where it is.
        sha256: first digits of its digest or all of them, "" when not known.
        licence: SPDX identifier or "unknown".
        place: where it belongs.
    """

    name: str
    url: SecretUrl
    sha256: str
    licence: str
    place: Path


def resolve(
    model: str | Path,
    progress: Progress | None = None,
    *,
    sha256: str = "",
    limits: Limits | None = None,
    store: Store | None = None,
) -> ModelFile:
    """Return the file of a model, after fetching it when it is not here.

    Downloads go into the cache once for the box; what is there needs no network.
    The digest is compared with the known one, else with that of the first download.

    Args:
        model: a path; the name of a known model (`sightline models list`), which a file of that name in the
            current folder comes before; or an https URL, perhaps with `#sha256=DIGEST`.
        progress: told what is fetched and how far it is; by default a bar or lines on stderr.
        sha256: the digest that it must have, hexadecimal.
        limits: of downloads.
        store: where downloads go; the cache by default.

    Raises:
        ModelError: if it is nowhere, cannot be fetched, is no whole weights file, or not the expected one.
    """
    text = _LOST_SLASH.sub(r"\1//", str(model))
    asked = _digest(sha256, text)
    if "://" in text:
        return _fetched(
            _of_url(text, asked, store or Store()), progress, limits or Limits(), store or Store()
        )
    path = Path(text).expanduser()
    if not path.exists() and path.name == text and text not in _NO_PATH:
        shelf = store or Store()
        place = shelf.place(text)
        found = known(text)
        if found is not None:
            wanted = _Wanted(text, SecretUrl(found.url), asked or found.sha256, found.licence, place)
            return _fetched(wanted, progress, limits or Limits(), shelf)
        if place.is_file():
            path = place
    return _local(path, text, asked, store)


def place_of(model: str, store: Store) -> Path:
    """Return where a known model or the file of a URL lies once it is fetched, and may be put by hand.

    Raises:
        ModelError: if the URL cannot be one of a model.
    """
    return _of_url(model, "", store).place if "://" in model else store.place(Path(model).name)


def _local(path: Path, text: str, asked: str, store: Store | None) -> ModelFile:
    if not path.exists():
        near = similar(path.name)
        hint = (
            f"did you mean {near[0]}?"
            if near and near[0] != path.name
            else "set 'model' to the path of an existing file, the name of a known model "
            "(`sightline models list`) or an https URL"
        )
        raise ModelError(f"no weights at '{text}'; {hint}")
    check_weights(path)
    digest = sha256_of(path)
    if asked and digest != asked:
        raise ModelError(f"'{path}' has the SHA-256 {digest} and not {asked}: it is another file")
    named = known(path.name)
    licence = named.licence if named else licence_within(path)
    _tell_licence(path.name, licence, digest, store)
    return ModelFile(path, digest, licence, "local file", _beside(path))


def _of_url(text: str, asked: str, store: Store) -> _Wanted:
    address, _, fragment = text.partition("#")
    if fragment:
        given = _digest(fragment.removeprefix("sha256="), SecretUrl(text)) if "sha256=" in fragment else ""
        if not given:
            raise ModelError(f"{SecretUrl(address)}: '#{fragment}' is no '#sha256=DIGEST'")
        if asked and asked != given:
            raise ModelError(f"{SecretUrl(address)}: two digests are given, and they differ")
        asked = given
    url = SecretUrl(address)
    require_safe(url, asked)
    name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name
    if name in _NO_PATH or "\0" in name:
        raise ModelError(f"{url}: names no file; give the URL of a weights file")
    found = known(name)
    is_known = found is not None and found.url == address
    place = store.place(name) if is_known else store.place(name, str(url))
    digest = asked or (found.sha256 if found is not None and is_known else "")
    return _Wanted(name, url, digest, found.licence if found and is_known else UNKNOWN, place)


def _fetched(wanted: _Wanted, progress: Progress | None, limits: Limits, store: Store) -> ModelFile:
    if not wanted.place.is_file():
        _fetch(wanted, progress, limits, store)
    check_weights(wanted.place)
    digest = sha256_of(wanted.place)
    record = store.record(wanted.place)
    if not digest.startswith(wanted.sha256):
        raise ModelError(
            f"'{wanted.place}' has the SHA-256 {digest} and not {wanted.sha256}: another file, or damaged; "
            f"remove it (`sightline models remove {wanted.name}`), then it is fetched again"
        )
    if record is not None and record.sha256 != digest:
        raise ModelError(
            f"'{wanted.place}' is no longer what was first used on {record.since[:10]} (SHA-256 {digest}, "
            f"was {record.sha256}); if that is meant: `sightline models remove --forget {wanted.name}`"
        )
    source = str(wanted.url)
    if record is None:
        record = store.remember(
            wanted.place, f"{source} (put there by hand)", digest, _licence(wanted, wanted.place)
        )
    _tell_licence(wanted.name, record.licence, digest, store)
    return ModelFile(wanted.place, digest, record.licence, record.source, _beside(wanted.place))


def _fetch(wanted: _Wanted, progress: Progress | None, limits: Limits, store: Store) -> None:
    place = wanted.place
    part = place.with_name(place.name + ".part")

    def waiting() -> None:
        _log().warning(f"{wanted.name}: another process is fetching it; waiting for that")

    with locked(place.with_name(place.name + ".lock"), waiting):
        if place.is_file():
            return
        with _telling(progress) as tell:
            try:
                download(
                    wanted.url,
                    part,
                    limits,
                    lambda done, total: tell(wanted.name, done, total),
                    digest_known=bool(wanted.sha256),
                )
            except ModelError as error:
                raise type(error)(
                    f"cannot download '{wanted.name}': {error}, or copy the file to '{place}' and start again"
                ) from error
        _accept(wanted, part, store)


def _accept(wanted: _Wanted, part: Path, store: Store) -> None:
    """Give the download its name, if it is what was to be fetched."""
    named = part.with_name(f".{part.stem}")  # the suffix says what it should be
    try:
        part.with_name(part.name + ".json").unlink(missing_ok=True)
        part.replace(named)
    except OSError as error:
        raise unwritable(part, error) from error
    try:
        check_weights(named)
        digest = sha256_of(named)
        record = store.record(wanted.place)
        if not digest.startswith(wanted.sha256):
            raise ModelError(
                f"{wanted.url}: what was downloaded has the SHA-256 {digest} and not {wanted.sha256}; "
                f"it is another file, or was changed on its way, and was thrown away"
            )
        if record is not None and record.sha256 != digest:
            raise ModelError(
                f"{wanted.url}: what was downloaded is not what was there on {record.since[:10]} "
                f"(SHA-256 {digest}, was {record.sha256}), and was thrown away; if the change is meant: "
                f"`sightline models remove --forget {wanted.name}`"
            )
    except ModelError as error:
        named.unlink(missing_ok=True)
        raise ModelError(str(error).replace(str(named), str(wanted.url))) from error
    try:
        named.replace(wanted.place)
    except OSError as error:
        raise unwritable(wanted.place, error) from error
    if record is None:
        store.remember(wanted.place, str(wanted.url), digest, _licence(wanted, wanted.place))


def _licence(wanted: _Wanted, path: Path) -> str:
    return licence_within(path) if wanted.licence == UNKNOWN else wanted.licence


def _beside(path: Path) -> str:
    """Return the digest of what holds the numbers of a network whose file has only its structure."""
    names = {
        ".xml": [path.with_suffix(".bin").name],
        ".onnx": [f"{path.name}.data", f"{path.name}_data"],
    }
    found = [path.with_name(name) for name in names.get(path.suffix.lower(), [])]
    return next((sha256_of(file) for file in found if file.is_file()), "")


def _tell_licence(name: str, licence: str, digest: str, store: Store | None) -> None:
    """Say what is unusual about a licence, when a model is used on this box for the first time."""
    text = notice(name, licence)
    if text and (store or Store()).is_first_time(digest):
        _log().warning(text)


def _digest(text: str, of: object) -> str:
    lower = text.strip().lower()
    if lower and not _DIGEST.fullmatch(lower):
        raise ModelError(f"{of}: '{text}' is no SHA-256; it has 64 hexadecimal digits")
    return lower


@contextmanager
def _telling(progress: Progress | None) -> Iterator[Progress]:
    if progress is not None:
        yield progress
        return
    with shown() as tell:
        yield tell


def _log() -> logging.Logger:
    return logging.getLogger(__name__)
