"""The stage `opencv-dnn`: Darknet's YOLO and Caffe's SSD, for models that exist in these formats only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.errors import FrameLost, ModelError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, StageContext
from stages.detect.base import Detector
from stages.detect.boxes import AGNOSTIC_NMS, suppress
from stages.detect.classes import VOC_NAMES, read_names, wanted
from stages.detect.coco import COCO_NAMES
from stages.detect.models.resolve import resolve
from stages.detect.opencv_dnn import caffe, darknet
from stages.detect.runtime.guard import Guard
from stages.detect.runtime.shared import BAD_OUTPUT
from stages.detect.spend.options import DetectorOptions

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]
Decode = Callable[[list[F32Array], int, int, float], tuple[F32Array, F32Array, I64Array]]

_FORMATS = {".weights": (".cfg",), ".caffemodel": (".prototxt", ".pbtxt", ".txt")}
_BACKENDS = {"cuda": "DNN_BACKEND_CUDA", "opencl": "DNN_BACKEND_OPENCV", "cpu": "DNN_BACKEND_OPENCV"}


class OpencvDnnOptions(DetectorOptions):
    """Options of the stage `opencv-dnn`."""

    model: str = Field(
        min_length=1, description="Path or https URL of Darknet's .weights, or of Caffe's .caffemodel."
    )
    config: str = Field(
        min_length=1, description="Path or https URL of the .cfg or .prototxt that belongs to the model."
    )
    classes: tuple[str, ...] | Path | None = Field(
        None,
        description="Names of the model's classes in their order, or a file with one per line; default: "
        "COCO's for 80 classes, PASCAL VOC's for 20.",
    )
    labels: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only these classes of the model, e.g. [car, truck]; default all."
    )
    confidence: float = Field(0.25, gt=0, le=1, description="Smallest score of a detection.")
    nms_iou: float = Field(
        0.45, gt=0, le=1, description="Boxes that overlap a better one by more (IoU) are dropped."
    )
    agnostic_nms: bool = Field(True, description=AGNOSTIC_NMS)
    image_size: tuple[int, int] | None = Field(
        None, description="Width and height of the input in px; default: as the config says."
    )
    mean: tuple[float, float, float] | None = Field(
        None,
        description="What is subtracted from blue, green and red (0..255); default: 0 for Darknet, "
        "[104, 117, 123] for Caffe. MobileNet-SSD: [127.5, 127.5, 127.5].",
    )
    scale: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Factor after that; default: 1/255 for Darknet, 1 for Caffe. MobileNet-SSD: 0.007843.",
    )
    rgb: bool | None = Field(
        None, description="Red comes first in the input; default: true for Darknet, false for Caffe."
    )
    device: Literal["cpu", "cuda", "opencl"] = Field(
        "cpu", description="cuda needs an OpenCV built with CUDA, which the one of PyPI is not."
    )
    timeout_s: float = Field(
        30.0, ge=1, le=3600, description="A call that takes longer is given up, and its picture lost, s."
    )


class _Files(NamedTuple):
    """The two files of a network."""

    model: Path
    config: Path


class _Network(NamedTuple):
    """A loaded network and what its input and output mean."""

    net: Any
    outputs: tuple[str, ...]
    width: int
    height: int
    classes: int
    mean: tuple[float, float, float]
    scale: float
    rgb: bool
    decode: Decode


class OpencvDnnDetector(Detector):
    """Runs YOLOv2, v3 or v4 of Darknet or an SSD of Caffe with OpenCV; the picture is stretched to the input.

    Raises:
        ModelError: if model or config is missing, damaged or of another network, the names do not fit the
            number of classes, or OpenCV cannot use the device.
        ConfigError: if a label is not one of the names.
    """

    Options: ClassVar[type[Options]] = OpencvDnnOptions
    emits = NO_EVENTS

    def __init__(self, options: OpencvDnnOptions, context: StageContext) -> None:
        super().__init__(options, context)
        _check_formats(options.model, options.config)
        weights = resolve(options.model)
        self.model_hash = weights.hash
        self._files = _Files(weights.path, _config(options.config))
        files = self._files
        self._guard = Guard(weights.path.name, options.timeout_s, lambda: _open(options, files))
        self._names = np.array(_names(options.classes, self._guard.net.classes, files))
        self._wanted = wanted(options.labels, self._names.tolist())
        self._warm_up()

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Run the network on each picture by itself: on a CPU a batch gains nothing."""
        return [self._detect(picture) for picture in pictures]

    def close(self) -> None:
        """Free the network."""
        self._guard.net = self._guard.net._replace(net=None)

    def _detect(self, picture: Picture) -> Detections:
        network = self._guard.net
        bgr = picture.fit(network.width, network.height)
        outputs = self._guard.call(lambda net: _run(net, bgr))
        if not all(np.isfinite(output).all() for output in outputs):
            raise FrameLost(BAD_OUTPUT, f"'{self.options.model}' gave what is no finite number")
        xyxy, score, number = network.decode(outputs, picture.width, picture.height, self.options.confidence)
        chosen = self._wanted[number]
        edges = np.array([picture.width, picture.height] * 2, np.float32)
        xyxy, score, number = np.clip(xyxy[chosen], 0, edges), score[chosen], number[chosen]
        group = np.zeros_like(number) if self.options.agnostic_nms else number
        kept = suppress(xyxy, score, group, self.options.nms_iou)
        return Detections(xyxy[kept], np.clip(score[kept], 0, 1), self._names[number[kept]])

    def _warm_up(self) -> None:
        """Run the network once: OpenCV finds layers without weights only now."""
        network = self._guard.net
        grey = np.full((network.height, network.width, 3), 128, np.uint8)
        try:
            outputs = _quietly(lambda: _run(network, grey))
        except cv2.error as error:
            raise _refused(self._files, error) from error
        if not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(
                f"the weights '{self._files.model}' give numbers that are not finite; they are damaged, or "
                f"of another network than '{self._files.config.name}'"
            )


def _run(network: _Network, bgr: npt.NDArray[np.uint8]) -> list[F32Array]:
    # OpenCV takes the mean in the order of the input's channels, after they are swapped.
    mean = network.mean[::-1] if network.rgb else network.mean
    network.net.setInput(cv2.dnn.blobFromImage(bgr, network.scale, (0, 0), mean, network.rgb))
    return [np.asarray(output, np.float32) for output in network.net.forward(network.outputs)]


def _config(text: str) -> Path:
    try:
        return resolve(text).path
    except ModelError as error:
        said = str(error).replace("'model'", "'config'")
        raise type(error)(f"config: {said}") from error


def _check_formats(model: str, config: str) -> None:
    fitting = _FORMATS.get(PurePath(model).suffix.lower(), ())
    if PurePath(config).suffix.lower() not in fitting:
        raise ModelError(
            f"model '{model}' with config '{config}': wanted .weights with .cfg (Darknet) or .caffemodel "
            f"with .prototxt (Caffe); .onnx files belong to the stage 'onnx'"
        )


def _open(options: OpencvDnnOptions, files: _Files) -> _Network:
    read = _darknet if files.model.suffix.lower() == ".weights" else _caffe
    network = read(options, files)
    _choose_device(network.net, options.device)
    return network


def _darknet(options: OpencvDnnOptions, files: _Files) -> _Network:
    description = darknet.read_cfg(files.config)
    cfg = darknet.with_threshold(files.config, options.confidence)
    weights = files.model.read_bytes()
    net = _loaded(partial(cv2.dnn.readNetFromDarknet, _bytes(cfg), _bytes(weights)), files)
    darknet.check_weights(net, description, weights, files.model)
    width, height = options.image_size or (description.width, description.height)
    return _Network(
        net=net,
        outputs=tuple(net.getUnconnectedOutLayersNames()),
        width=width,
        height=height,
        classes=description.classes,
        mean=options.mean or (0.0, 0.0, 0.0),
        scale=options.scale or 1 / 255,
        rgb=True if options.rgb is None else options.rgb,
        decode=darknet.decode,
    )


def _caffe(options: OpencvDnnOptions, files: _Files) -> _Network:
    description = caffe.read_prototxt(files.config)
    net = _loaded(partial(cv2.dnn.readNetFromCaffe, str(files.config), str(files.model)), files)
    width, height = options.image_size or (description.width, description.height)
    if width is None or height is None:
        raise ModelError(f"config: '{files.config}' does not tell the input's size; set 'image_size'")
    return _Network(
        net=net,
        outputs=tuple(net.getUnconnectedOutLayersNames()),
        width=width,
        height=height,
        classes=description.classes,
        mean=options.mean or (104.0, 117.0, 123.0),
        scale=options.scale or 1.0,
        rgb=bool(options.rgb),
        decode=lambda outputs, w, h, confidence: caffe.decode(outputs[0], w, h, confidence),
    )


def _names(classes: tuple[str, ...] | Path | None, count: int, files: _Files) -> Sequence[str]:
    if classes is None:
        known = {len(COCO_NAMES): COCO_NAMES, len(VOC_NAMES): VOC_NAMES}
        if count not in known:
            raise ModelError(f"'{files.config.name}' has {count} classes without names; set 'classes'")
        return known[count]
    names = read_names(classes) if isinstance(classes, Path) else classes
    if len(names) != count:
        raise ModelError(f"classes: {len(names)} names, but '{files.config.name}' has {count} classes")
    return names


def _choose_device(net: Any, device: str) -> None:
    backend = getattr(cv2.dnn, _BACKENDS[device])
    target = {
        "cpu": cv2.dnn.DNN_TARGET_CPU,
        "cuda": cv2.dnn.DNN_TARGET_CUDA,
        "opencl": cv2.dnn.DNN_TARGET_OPENCL,
    }[device]
    if target not in cv2.dnn.getAvailableTargets(backend):
        raise ModelError(
            f"device '{device}': this OpenCV ({cv2.__version__}) cannot use it; set 'device: cpu', or "
            f"install an OpenCV that was built with it"
        )
    net.setPreferableBackend(backend)
    net.setPreferableTarget(target)


def _loaded(read: Callable[[], Any], files: _Files) -> Any:
    try:
        net = _quietly(read)
    except cv2.error as error:
        raise _refused(files, error) from error
    if net.empty():
        raise _refused(files, None)
    return net


def _refused(files: _Files, error: cv2.error | None) -> ModelError:
    reason = "it holds no layers" if error is None else str(error.err).strip().splitlines()[0]
    return ModelError(
        f"OpenCV cannot run '{files.model}' with '{files.config}' ({reason}); use the two files of one "
        f"model, and download them again if they are"
    )


def _quietly(call: Callable[[], Any]) -> Any:
    """Call without OpenCV's own lines about the error that is going to be raised."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return call()
    finally:
        cv2.utils.logging.setLogLevel(level)


def _bytes(content: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)
