"""A detection network of torchvision: built by its name, filled from a file, run on pictures of any size."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError, ModelError
from pipeline.picture import Picture
from stages.detect.outlines import outline_of
from stages.detect.torch_run import first_line, refused_name

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ObjectArray = npt.NDArray[np.object_]

# torchvision runs its first published ResNet-50 weights with an eps of 0 (pytorch/vision, pull 2933).
_WITHOUT_EPS = frozenset(
    {
        "fasterrcnn_resnet50_fpn",
        "maskrcnn_resnet50_fpn",
        "keypointrcnn_resnet50_fpn",
        "retinanet_resnet50_fpn",
    }
)
_WITHOUT_COUNT = "num_batches_tracked"
_MASK_LEVEL = 0.5


class Found(NamedTuple):
    """What the network found in one picture, coordinates in px of the picture.

    Attributes:
        xyxy: (N, 4) float32.
        score: (N,) float32.
        number: (N,) int64, class number; 0 is the background and does not occur.
        keypoints: (N, K, 3) float32, or None.
        outline: (N,) object, polygons (P, 2) float32, or None.
    """

    xyxy: F32Array
    score: F32Array
    number: I64Array
    keypoints: F32Array | None
    outline: ObjectArray | None


class Weights:
    """A network with its weights on a device; several threads may use it at once, each by its own `Network`.

    Args:
        name: as in `torchvision.models` ("ssdlite320_mobilenet_v3_large").
        path: of the weights: a state dict, alone or under "model" or "state_dict".
        sha: start of the file's SHA-256.
        classes: how many there are, the background included.
        device: `torch.device`.
        channels_last: True to keep a pixel's channels side by side.
        compiled: True to compile the backbone.

    Raises:
        ModelError: if the file holds no weights, or those of another network.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        sha: str,
        *,
        classes: int,
        device: Any,
        channels_last: bool,
        compiled: bool,
    ) -> None:
        import torch

        self.name, self.device = name, device
        self.model: Any = _filled(name, path, sha, classes).to(device).eval()
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        if compiled:
            self.model.backbone = torch.compile(self.model.backbone)

    def close(self) -> None:
        """Free the memory once nobody holds the network any more."""
        self.model = None


class Network:
    """A network ready to run, on one thread at a time.

    Args:
        weights: what it shares with others.
        image_size: longer side of the input in px; None for the network's own.
        confidence: smallest score.
        nms_iou: boxes of one class that overlap a better one by more are dropped.
        max_detections: at most so many per picture.
        half: True for 16 bit arithmetic.

    Raises:
        ConfigError: if the network's input has a fixed size and another is asked for.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        image_size: int | None,
        confidence: float,
        nms_iou: float,
        max_detections: int,
        half: bool,
    ) -> None:
        self._device, self._half = weights.device, half
        self._model = _copied(weights.model)
        self._model.transform = _copied(self._model.transform)
        self._model.backbone = _watched(self._model.backbone)
        head = self._model
        if hasattr(head, "roi_heads"):
            head.roi_heads = head = _copied(head.roi_heads)
        head.score_thresh, head.nms_thresh, head.detections_per_img = confidence, nms_iou, max_detections
        transform = self._model.transform
        self._fixed: tuple[int, int] | None = transform.fixed_size
        self._shorter, self._longer = transform.min_size[-1], transform.max_size
        if image_size is not None:
            if self._fixed is not None:
                raise ConfigError(
                    f"image_size: '{weights.name}' has the fixed input {self._fixed}; leave it out"
                )
            self._shorter = self._longer = image_size

    def run(self, pictures: Sequence[Picture], wanted: BoolArray) -> list[Found | None]:
        """Find the wanted classes in each picture.

        Args:
            pictures: of one size.
            wanted: (classes,) bool, by class number.

        Returns:
            What is in each; None where the network's numbers are not finite.
        """
        import torch

        first = pictures[0]
        width, height = self._input_size(first.width, first.height)
        transform = self._model.transform
        # The pictures come in the size of the input: the network's own scaling has nothing left to do.
        transform.min_size, transform.max_size = (min(width, height),), max(width, height)
        images = [self._tensor(picture.fit(width, height)) for picture in pictures]
        arithmetic = (
            torch.autocast(
                self._device.type, dtype=torch.float16 if self._device.type != "cpu" else torch.bfloat16
            )
            if self._half
            else contextlib.nullcontext()
        )
        with torch.inference_mode(), arithmetic:
            outputs = self._model(images)
        scale = np.array([first.width / width, first.height / height], np.float32)
        sound = self._model.backbone.sound()
        return [
            _found(output, wanted, scale) if good else None
            for output, good in zip(outputs, sound, strict=True)
        ]

    def _input_size(self, width: int, height: int) -> tuple[int, int]:
        if self._fixed is not None:
            return self._fixed
        scale = min(self._shorter / min(width, height), self._longer / max(width, height))
        return max(round(width * scale), 1), max(round(height * scale), 1)

    def _tensor(self, bgr: npt.NDArray[np.uint8]) -> Any:
        """Return (3, H, W) float RGB in 0..1; the bytes are uploaded and converted on the device."""
        import torch

        # A copy, as torch takes neither negative strides nor, without a warning, what is read-only.
        rgb = torch.from_numpy(bgr[..., ::-1].copy()).to(self._device, non_blocking=True)
        return rgb.permute(2, 0, 1).float().div_(255)


def _copied(module: Any) -> Any:
    """Return the module again, with attributes and children that can be set; parameters stay the same."""
    copied = copy.copy(module)
    copied.__dict__ = dict(module.__dict__)
    copied.__dict__["_modules"] = dict(module.__dict__["_modules"])
    return copied


def _watched(backbone: Any) -> Any:
    """Return the backbone as a module that notes which pictures of the latest batch gave finite features.

    Behind it thresholds drop what is not a number without a word.
    """
    import torch

    class Watched(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = backbone
            self.latest: Any = None

        def forward(self, images: Any) -> Any:
            features = self.inner(images)
            maps = features.values() if isinstance(features, dict) else [features]
            # A sum is not finite if any of its terms is not.
            self.latest = torch.stack([one.float().sum(dim=(1, 2, 3)) for one in maps]).sum(dim=0)
            return features

        def sound(self) -> list[bool]:
            finite: list[bool] = torch.isfinite(self.latest).tolist()
            return finite

    return Watched()


def published_classes(name: str) -> list[str]:
    """Return the classes of the weights that torchvision publishes for a network, the background first.

    Raises:
        ConfigError: if torchvision has no detection network of this name.
    """
    from torchvision.models import detection, get_model_weights, list_models

    known = sorted(list_models(module=detection))
    if name not in known:
        raise ConfigError(f"network: torchvision has no '{name}'; it has: {', '.join(known)}")

    return list(next(iter(get_model_weights(name))).meta["categories"])


def _filled(name: str, path: Path, sha: str, classes: int) -> Any:
    from torchvision.models import get_model, get_model_weights

    state = _state(path)
    model = get_model(name, weights=None, weights_backbone=None, num_classes=classes)
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        raise _other_network(name, path, classes, str(error).strip().splitlines()[-1].strip()) from error
    # Weights that were trained with frozen batch norms do not count batches.
    missing = [key for key in missing if not key.endswith(_WITHOUT_COUNT)]
    if missing or unexpected:
        detail = f"lacks {missing[0]}" if missing else f"has {unexpected[0]}"
        raise _other_network(name, path, classes, detail)
    published = [weights.url for weights in get_model_weights(name)]
    if name in _WITHOUT_EPS and any(sha.startswith(_digest(url)) for url in published):
        _without_eps(model)
    return model


def _digest(url: str) -> str:
    """Return the start of the SHA-256 that the name of a published file ends with."""
    return url.rpartition("-")[2].partition(".")[0]


def _without_eps(model: Any) -> None:
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0


def _state(path: Path) -> Mapping[str, Any]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each raise their own
        # Not in torch's words, which begin with how to switch its safeguard off.
        name = refused_name(error)
        what = f"it has {name} in it, and only tensors are read" if name else first_line(error)
        raise ModelError(
            f"'{path}' holds no weights that torch reads safely ({what}); use a file that was saved by "
            f"torch.save(model.state_dict(), path), or download it again"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(map(torch.is_tensor, content.values())):
        raise ModelError(f"'{path}' holds no state dict; save it by torch.save(model.state_dict(), path)")
    damaged = [key for key, values in content.items() if not torch.isfinite(values).all()]
    if damaged:
        raise ModelError(
            f"the weights '{path}' are not finite ({damaged[0]}); use a file that is not damaged"
        )
    return content


def _other_network(name: str, path: Path, classes: int, detail: str) -> ModelError:
    return ModelError(
        f"the weights '{path}' are not those of '{name}' with {classes - 1} classes ({detail}); set "
        f"'network' and 'classes' to what was trained"
    )


def _found(output: Mapping[str, Any], wanted: BoolArray, scale: F32Array) -> Found:
    number = output["labels"].cpu().numpy()
    rows = np.flatnonzero(wanted[number])
    kept = {name: values[rows].float().cpu().numpy() for name, values in output.items() if name != "labels"}
    keypoints = outline = None
    if "keypoints" in kept:
        # The scores are heights of the heat map, not probabilities; 0 is where the network is in doubt.
        score = 1 / (1 + np.exp(-np.clip(kept["keypoints_scores"], -30, 30)))
        keypoints = np.concatenate([kept["keypoints"][..., :2] * scale, score[..., None]], axis=-1)
    if "masks" in kept:
        outline = np.empty(len(rows), dtype=np.object_)
        for row, mask in enumerate(kept["masks"][:, 0] >= _MASK_LEVEL):
            # Points are centres of pixels, so that half a pixel is kept out of the scaling.
            outline[row] = (outline_of(mask.astype(np.uint8)) + 0.5) * scale - 0.5
    return Found(kept["boxes"] * np.tile(scale, 2), kept["scores"], number[rows], keypoints, outline)
