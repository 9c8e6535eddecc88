"""The downloaded models of this box, and the digest that each had at its first download."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import ModelError
from stages.detect.models.cache import cache_folder, made, unwritable

_CHUNK = 1 << 20
_RECORD = ".json"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a model since it was here for the first time.

    Attributes:
        name: of the file.
        source: the URL it came from, without credentials, or how it came here.
        sha256: hexadecimal.
        size: bytes.
        licence: SPDX identifier, "unknown" when it is.
        since: when it was recorded, ISO 8601, UTC.
    """

    name: str
    source: str
    sha256: str
    size: int
    licence: str
    since: str


class Store:
    """The folder `models` of the cache.

    Args:
        folder: another one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_folder() / "models" if folder is None else folder

    def place(self, name: str, url: str | None = None) -> Path:
        """Return where a model lies, or is to be put by hand.

        Args:
            name: of the file.
            url: where it comes from; None for a known model, which has its name for itself.
        """
        if url is None:
            return self.folder / name
        digest = hashlib.sha256(url.encode()).hexdigest()
        return self.folder / digest[:12] / name

    def record(self, place: Path) -> Record | None:
        """Return what is remembered of the model at `place`, also when the file has been removed.

        Raises:
            ModelError: if the record is damaged.
        """
        path = _record_of(place)
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path}: the record of a model is damaged; remove it and try again") from error

    def remember(self, place: Path, source: str, sha256: str, licence: str) -> Record:
        """Write down what is known of the model at `place`.

        Raises:
            ModelError: if that cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(place.name, source, sha256, place.stat().st_size, licence, now)
        path = _record_of(place)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise unwritable(path, error) from error
        return record

    def forget(self, place: Path) -> None:
        """Remove the record, so that another content may come under the same name."""
        _record_of(place).unlink(missing_ok=True)

    def models(self) -> Iterator[tuple[Path, Record | None]]:
        """Yield every model that is here, with its record, by name.

        Files that were put there by hand have none until they are used.
        """
        found = [path for pattern in ("*", "*/*") for path in self.folder.glob(pattern) if _is_model(path)]
        for path in sorted(found, key=lambda path: (path.name, path)):
            record = None
            with suppress(ModelError):
                record = self.record(path)
            yield path, record

    def is_first_time(self, sha256: str) -> bool:
        """Whether this is the first time that it is asked for this content on this box; then it is noted."""
        try:
            (made(self.folder.parent / "told") / sha256).touch(exist_ok=False)
        except FileExistsError:
            return False
        except (ModelError, OSError):  # nothing can be noted: better told twice than never
            return True
        return True


def describe() -> str:
    """Return where downloaded models lie and how many there are, for `sightline doctor`."""
    store = Store()
    sizes = [path.stat().st_size for path, _ in store.models()]
    return f"{store.folder}: {len(sizes)} models, {sum(sizes) / 1e6:.1f} MB"


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file.

    Raises:
        ModelError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"cannot read the weights '{path}': {error.strerror}; check its permissions"
        ) from error


def _record_of(place: Path) -> Path:
    return place.with_name(place.name + _RECORD)


def _is_model(path: Path) -> bool:
    is_own = path.suffix in {_RECORD, ".lock", ".part"} or ".json." in path.name or path.name[0] == "."
    return path.is_file() and not is_own
