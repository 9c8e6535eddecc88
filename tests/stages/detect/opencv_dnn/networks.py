"""Small real networks in Darknet's and Caffe's formats, and what they compute, in numpy.

Each is one convolution over patches of 32 x 32 px, so that a matrix product is the whole forward pass.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATCH = 32
WIDTH, HEIGHT = 128, 96
ANCHORS = ((10, 13), (16, 30), (33, 23))
CLASSES = 3


@dataclass(frozen=True)
class Files:
    """A network on disk and its parameters: `weight` (K, 3, 32, 32), `bias` (K,)."""

    config: Path
    model: Path
    weight: np.ndarray
    bias: np.ndarray


def patches(image: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (H / 32, W / 32, 3 * 32 * 32)."""
    channels, height, width = image.shape
    grid = image.reshape(channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return grid.transpose(1, 3, 0, 2, 4).reshape(height // PATCH, width // PATCH, -1)


def convolved(files: Files, image: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (H / 32, W / 32, K)."""
    return patches(image) @ files.weight.reshape(len(files.weight), -1).T + files.bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def darknet(folder: Path, *, classes: int = CLASSES, normalised: bool = False, v4: bool = False) -> Files:
    """Write a YOLOv3 (or v4, whose boxes reach over the cell's edge) with one head."""
    rng = np.random.default_rng(3)
    outputs = len(ANCHORS) * (5 + classes)
    weight = (rng.normal(0, 0.05, (outputs, 3, PATCH, PATCH))).astype(np.float32)
    bias = rng.normal(0, 1, outputs).astype(np.float32)
    anchors = ", ".join(f"{w},{h}" for w, h in ANCHORS)
    config = folder / "tiny.cfg"
    config.write_text(
        f"[net]\nbatch=1\nwidth={WIDTH}\nheight={HEIGHT}\nchannels=3\n\n"
        f"[convolutional]\n{'batch_normalize=1' if normalised else ''}\nfilters={outputs}\nsize={PATCH}\n"
        f"stride={PATCH}\npad=0\nactivation=linear\n\n"
        f"[yolo] # the head\nmask = 0,1,2\nanchors = {anchors}\nclasses={classes}\nnum=3\nthresh = .9\n"
        + ("scale_x_y = 1.2\n" if v4 else "")
    )
    statistics = b""
    if normalised:  # scale 1, mean 0, variance 1: the same numbers
        statistics = (
            np.concatenate([np.ones(outputs), np.zeros(outputs), np.ones(outputs)]).astype("<f4").tobytes()
        )
    model = folder / "tiny.weights"
    model.write_bytes(struct.pack("<3iQ", 0, 2, 0, 0) + bias.tobytes() + statistics + weight.tobytes())
    return Files(config, model, weight, bias)


def darknet_boxes(files: Files, image: np.ndarray, *, v4: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return xyxy relative to the picture (N, 4) and scores (N, classes) by the YOLOv3 paper, section 2.1."""
    raw = convolved(files, image)
    rows, columns, _ = raw.shape
    raw = raw.reshape(rows, columns, len(ANCHORS), -1)
    cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None]
    reach = 1.2 if v4 else 1.0
    centre = (sigmoid(raw[..., :2]) * reach - (reach - 1) / 2 + cell) / [columns, rows]
    size = np.exp(raw[..., 2:4]) * np.array(ANCHORS) / [image.shape[2], image.shape[1]]
    score = sigmoid(raw[..., 4:5]) * sigmoid(raw[..., 5:])
    xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
    return xyxy.reshape(-1, 4), score.reshape(-1, score.shape[-1])


SSD_CLASSES = 4  # with the background
SMALL, LARGE = 30, 60
VARIANCE = (0.1, 0.1, 0.2, 0.2)


def caffe(folder: Path) -> tuple[Files, Files]:
    """Write an SSD with one feature map and two priors per cell; return it as (boxes, classes)."""
    rng = np.random.default_rng(4)
    loc_weight = rng.normal(0, 2e-4, (8, 3, PATCH, PATCH)).astype(np.float32)
    loc_bias = rng.normal(0, 0.2, 8).astype(np.float32)
    conf_weight = rng.normal(0, 5e-4, (2 * SSD_CLASSES, 3, PATCH, PATCH)).astype(np.float32)
    conf_bias = rng.normal(0, 0.5, 2 * SSD_CLASSES).astype(np.float32)
    config, model = folder / "tiny.prototxt", folder / "tiny.caffemodel"
    config.write_text(_PROTOTXT)
    model.write_bytes(
        _field(1, b"tiny") + _layer(b"loc", loc_weight, loc_bias) + _layer(b"conf", conf_weight, conf_bias)
    )
    return Files(config, model, loc_weight, loc_bias), Files(config, model, conf_weight, conf_bias)


def caffe_boxes(loc: Files, conf: Files, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return xyxy relative to the picture (N, 4) and scores (N, classes) by the SSD paper, section 2.2."""
    raw = convolved(loc, image)
    rows, columns, _ = raw.shape
    raw = raw.reshape(rows, columns, 2, 4)
    cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None]
    prior_centre = (cell + 0.5) / [columns, rows]
    side = np.array([SMALL, np.sqrt(SMALL * LARGE)])[:, None] / [image.shape[2], image.shape[1]]
    centre = prior_centre + raw[..., :2] * VARIANCE[:2] * side
    size = side * np.exp(raw[..., 2:] * VARIANCE[2:])
    xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
    logits = convolved(conf, image).reshape(-1, SSD_CLASSES)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return xyxy.reshape(-1, 4), (odds / odds.sum(axis=1, keepdims=True))[:, 1:]


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _layer(name: bytes, *blobs: np.ndarray) -> bytes:
    """A Caffe LayerParameter (field 100 of NetParameter) with its BlobProtos: shape 7, packed data 5."""
    fields = _field(1, name) + _field(2, b"Convolution")
    for blob in blobs:
        shape = b"".join(_varint(1 << 3) + _varint(side) for side in blob.shape)
        fields += _field(7, _field(7, shape) + _field(5, blob.astype("<f4").tobytes()))
    return _field(100, fields)


_PROTOTXT = f"""name: "tiny" # dim: 7 dim: 7
input: "data"
input_shape {{ dim: 1 dim: 3 dim: {HEIGHT} dim: {WIDTH} }}
layer {{ name: "loc" type: "Convolution" bottom: "data" top: "loc"
  convolution_param {{ num_output: 8 kernel_size: {PATCH} stride: {PATCH} }} }}
layer {{ name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" flatten_param {{ axis: 1 }} }}
layer {{ name: "conf" type: "Convolution" bottom: "data" top: "conf"
  convolution_param {{ num_output: {2 * SSD_CLASSES} kernel_size: {PATCH} stride: {PATCH} }} }}
layer {{ name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "conf_flat" type: "Flatten" bottom: "conf_perm" top: "conf_flat" flatten_param {{ axis: 1 }} }}
layer {{ name: "prior" type: "PriorBox" bottom: "loc" bottom: "data" top: "prior"
  prior_box_param {{ min_size: {SMALL} max_size: {LARGE} clip: false variance: {VARIANCE[0]}
  variance: {VARIANCE[1]} variance: {VARIANCE[2]} variance: {VARIANCE[3]} offset: 0.5 }} }}
layer {{ name: "conf_rows" type: "Reshape" bottom: "conf_flat" top: "conf_rows"
  reshape_param {{ shape {{ dim: 0 dim: -1 dim: {SSD_CLASSES} }} }} }}
layer {{ name: "conf_soft" type: "Softmax" bottom: "conf_rows" top: "conf_soft" softmax_param {{ axis: 2 }} }}
layer {{ name: "conf_out" type: "Flatten" bottom: "conf_soft" top: "conf_out" flatten_param {{ axis: 1 }} }}
layer {{ name: "detection_out" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_out" bottom: "prior"
  top: "detection_out" include {{ phase: TEST }}
  detection_output_param {{ num_classes: {SSD_CLASSES} share_location: true background_label_id: 0
  nms_param {{ nms_threshold: 0.99 top_k: 400 }} code_type: CENTER_SIZE keep_top_k: 200
  confidence_threshold: 0.01 }} }}
"""
