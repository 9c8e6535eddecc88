"""Cascades of boosted Haar or LBP features: faces, eyes, people, number plates, or the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.errors import ModelError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, StageContext
from stages.detect.base import Detector
from stages.detect.boxes import suppress
from stages.detect.spend.options import DetectorOptions
from stages.detect.weights import weights_hash

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]

# Of OpenCV's four cascades of frontal faces, `alt2` found most with fewest mistakes on our footage.
CASCADES = {
    "face": ("haarcascade_frontalface_alt2.xml", "face"),
    "profile": ("haarcascade_profileface.xml", "face"),
    "eye": ("haarcascade_eye.xml", "eye"),
    "eye_with_glasses": ("haarcascade_eye_tree_eyeglasses.xml", "eye"),
    "smile": ("haarcascade_smile.xml", "smile"),
    "full_body": ("haarcascade_fullbody.xml", "person"),
    "upper_body": ("haarcascade_upperbody.xml", "person"),
    "lower_body": ("haarcascade_lowerbody.xml", "person"),
    "plate": ("haarcascade_russian_plate_number.xml", "plate"),
    "cat_face": ("haarcascade_frontalcatface.xml", "cat"),
}
"""Name in the configuration: the file that comes with OpenCV, and the label of what it finds."""


_WIDEST = 8  # widths in heights: a strip of one line is not to become a picture of millions of pixels


class HaarOptions(DetectorOptions):
    """Options of the stage `haar`."""

    cascades: tuple[str, ...] = Field(
        ("face",),
        min_length=1,
        max_length=16,
        description=f"What to find: {', '.join(CASCADES)}, or paths of your own .xml cascades.",
    )
    height: int = Field(
        360, ge=64, le=2160, description="Height in px that the picture is scaled to before the search."
    )
    smallest: float = Field(
        0.07, gt=0, le=1, description="Smallest height of an object, as a share of the picture's height."
    )
    largest: float = Field(1.0, gt=0, le=1, description="Largest height of an object, likewise.")
    scale: float = Field(1.1, gt=1.01, le=2, description="Ratio between the sizes that are searched.")
    neighbours: int = Field(
        3, ge=1, le=100, description="So many windows must agree on an object; more finds fewer and surer."
    )
    nms_iou: float = Field(
        0.4, gt=0, le=1, description="Boxes of one label that overlap a better one by more (IoU) are dropped."
    )
    label: str | None = Field(
        None,
        min_length=1,
        description="Label of all detections; default: what the cascade finds, for own files their name.",
    )


class _Cascade(NamedTuple):
    classifier: Any
    label: str


class HaarDetector(Detector):
    """Searches the luma with OpenCV's cascades (Viola, Jones 2001; Lienhart, Maydt 2002); wants no network.

    The score is n / (n + `neighbours`) when n windows agree on an object: 0.5 for the least sure.

    Raises:
        ModelError: if a cascade's file is missing, or is no cascade that this OpenCV reads.
    """

    Options: ClassVar[type[Options]] = HaarOptions
    emits = NO_EVENTS

    def __init__(self, options: HaarOptions, context: StageContext) -> None:
        super().__init__(options, context)
        files = [_file_of(name) for name in options.cascades]
        hashes = [weights_hash(path) for path, _ in files]
        self.model_hash = (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
        )
        self._cascades = [_Cascade(_classifier(path), options.label or label) for path, label in files]

    @classmethod
    def known_labels(cls, options: HaarOptions) -> frozenset[str]:
        """Return what the cascades find: their own labels, or the one that the options give to all."""
        own = (CASCADES[name][1] if name in CASCADES else Path(name).stem for name in options.cascades)
        return frozenset(own if options.label is None else {options.label})

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Search each picture by itself."""
        return [self._detect(picture) for picture in pictures]

    def _detect(self, picture: Picture) -> Detections:
        luma = _scaled(picture.luma(), self.options.height)
        boxes, counts, labels = [], [], []
        for classifier, label in self._cascades:
            found, agreeing = self._search(classifier, luma)
            boxes.append(found)
            counts.append(agreeing)
            labels += [label] * len(found)
        xyxy, count = np.concatenate(boxes), np.concatenate(counts)
        score = (count / (count + self.options.neighbours)).astype(np.float32)
        names = np.array(labels, dtype=np.str_)
        _, group = np.unique(names, return_inverse=True)
        kept = suppress(xyxy, score, group.astype(np.int64), self.options.nms_iou)
        unscale = np.array([picture.width / luma.shape[1], picture.height / luma.shape[0]] * 2, np.float32)
        return Detections(xyxy[kept] * unscale, score[kept], names[kept])

    def _search(self, classifier: Any, luma: U8Array) -> tuple[F32Array, F32Array]:
        """Return boxes (N, 4) xyxy px of `luma`, and how many windows agreed on each, (N,)."""
        wide, high = classifier.getOriginalWindowSize()
        low, top = (share * len(luma) for share in (self.options.smallest, self.options.largest))
        found, agreeing = classifier.detectMultiScale2(
            luma,
            scaleFactor=self.options.scale,
            minNeighbors=self.options.neighbours,
            minSize=(round(low * wide / high), round(low)),
            maxSize=(round(top * wide / high), round(top)),
        )
        tlwh = np.asarray(found, np.float32).reshape(-1, 4)
        xyxy = np.concatenate([tlwh[:, :2], tlwh[:, :2] + tlwh[:, 2:]], axis=1)
        return xyxy, np.ravel(agreeing).astype(np.float32)


def _scaled(luma: U8Array, height: int) -> U8Array:
    """Return a picture of this height, or of less where it would be very wide."""
    scale = min(height / luma.shape[0], _WIDEST * height / luma.shape[1])
    size = max(round(luma.shape[1] * scale), 1), max(round(luma.shape[0] * scale), 1)
    if size == luma.shape[::-1]:
        return np.ascontiguousarray(luma)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(luma, size, interpolation=how), dtype=np.uint8)


def _file_of(name: str) -> tuple[Path, str]:
    """Return the path and the label of a cascade."""
    if name in CASCADES:
        file, label = CASCADES[name]
        return Path(cv2.__file__).parent / "data" / file, label
    path = Path(name).expanduser()
    if path.suffix.lower() != ".xml":
        raise ModelError(f"cascades: '{name}' is neither an .xml file nor one of {', '.join(CASCADES)}")
    return path, path.stem


def _classifier(path: Path) -> Any:
    classifier = cv2.CascadeClassifier()
    try:
        loaded = classifier.load(str(path))
    except (cv2.error, SystemError) as error:  # what OpenCV raises depends on where its parser stops
        raise ModelError(_no_cascade(path)) from error
    if not loaded or classifier.empty():
        raise ModelError(_no_cascade(path))
    return classifier


def _no_cascade(path: Path) -> str:
    return (
        f"'{path}' is no cascade that OpenCV reads; set 'cascades' to the .xml that opencv_traincascade wrote"
    )
