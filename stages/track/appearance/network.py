"""The appearance network of DeepSORT: what it is made of, in torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.track.appearance.patches import Scaling, U8Array
from stages.track.gallery import F32Array

WIDTH, HEIGHT = 64, 128
LENGTH = 128
PARAMETERS = 2_800_864
"""What the paper counts, and what `parameter_count` finds."""

_CHANNELS = 32
_BLOCKS = ((32, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128))
"""Channels in and out of the residual blocks; where they grow the picture is halved."""

_SHRINKS = 8
"""How many times smaller the last block's output is than the input."""

_AT_ONCE = 64


def make_network(seed: int = 0, *, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """Return an untrained network, a `torch.nn.Module` from (N, 3, H, W) float32 to (N, 128) unit rows.

    Wojke, Bewley and Paulus, "Simple online and realtime tracking with a deep association metric" (2017),
    table 1. As in their count of parameters, batch norm shifts but does not scale, the first convolution of a
    block and the projections have no bias, and the first block is not preceded by a normalisation. Dropout
    before the dense layer is from the sequel ("Deep cosine metric learning", 2018).

    Args:
        seed: of the weights; torch's own generator is left as it was.
        width: of the input, px; a multiple of 8. Other sizes than the paper's are for experiments.
        height: likewise.

    Raises:
        ValueError: if a side is no multiple of 8.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    if min(width, height) < _SHRINKS or width % _SHRINKS or height % _SHRINKS:
        raise ValueError(f"width and height must be multiples of {_SHRINKS}, got {width} x {height}")

    def normalise(kind: Any, channels: int) -> Any:
        norm = kind(channels)
        norm.weight.requires_grad_(False)
        return norm

    def convolve(inputs: int, outputs: int, *, stride: int = 1, bias: bool = False) -> Any:
        conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if bias:
            nn.init.zeros_(conv.bias)
        return conv

    class Residual(nn.Module):  # type: ignore[misc]
        """Pre-activated residual block (He et al. 2016) with ELU."""

        def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
            super().__init__()
            stride = 1 if inputs == outputs else 2
            self.before = None if first else normalise(nn.BatchNorm2d, inputs)
            self.one = convolve(inputs, outputs, stride=stride)
            self.between = normalise(nn.BatchNorm2d, outputs)
            self.two = convolve(outputs, outputs, bias=True)
            self.project = None if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

        def forward(self, x: Any) -> Any:
            inner = x if self.before is None else functional.elu(self.before(x))
            inner = self.two(functional.elu(self.between(self.one(inner))))
            return inner + (x if self.project is None else self.project(x))

    class Network(nn.Module):  # type: ignore[misc]
        """Two convolutions, max pooling, six residual blocks, dense, batch norm, l2 norm."""

        def __init__(self) -> None:
            super().__init__()
            self.width, self.height = width, height
            self.conv1, self.norm1 = convolve(3, _CHANNELS), normalise(nn.BatchNorm2d, _CHANNELS)
            self.conv2, self.norm2 = convolve(_CHANNELS, _CHANNELS), normalise(nn.BatchNorm2d, _CHANNELS)
            self.blocks = nn.ModuleList(
                Residual(inputs, outputs, first=index == 0) for index, (inputs, outputs) in enumerate(_BLOCKS)
            )
            cells = (width // _SHRINKS) * (height // _SHRINKS)
            self.dropout = nn.Dropout(0.4)
            self.dense = nn.Linear(_BLOCKS[-1][1] * cells, LENGTH, bias=False)
            self.norm3 = normalise(nn.BatchNorm1d, LENGTH)

        def forward(self, x: Any) -> Any:
            x = functional.elu(self.norm1(self.conv1(x)))
            x = functional.elu(self.norm2(self.conv2(x)))
            x = functional.max_pool2d(x, 3, 2, padding=1)
            for block in self.blocks:
                x = block(x)
            x = self.norm3(self.dense(self.dropout(x.flatten(1))))
            return functional.normalize(x)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network()


def parameter_count(network: Any) -> int:
    """Return how many numbers training can change."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def as_input(patches: U8Array, device: Any) -> Any:
    """Return (N, H, W, 3) uint8 BGR patches as the network's input, a (N, 3, H, W) tensor on the device."""
    import torch

    n, height, width, _ = patches.shape
    planes: F32Array = np.empty((n, 3, height, width), np.float32)
    Scaling().planes(patches, planes)
    return torch.from_numpy(planes).to(device)


def embed_patches(network: Any, patches: U8Array, device: Any = "cpu") -> F32Array:
    """Return the (N, 128) float32 unit embeddings of (N, H, W, 3) uint8 BGR patches of the network's size."""
    import torch

    embedding = np.zeros((len(patches), LENGTH), np.float32)
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for begin in range(0, len(patches), _AT_ONCE):
            part = patches[begin : begin + _AT_ONCE]
            embedding[begin : begin + len(part)] = network(as_input(part, device)).cpu().numpy()
    network.train(was_training)
    return embedding


def save_weights(network: Any, path: Any) -> None:
    """Write the weights so that `load_weights` reads them without running code from the file."""
    import torch

    torch.save(network.state_dict(), path)


def load_weights(network: Any, path: Any) -> None:
    """Read weights written by `save_weights`; refuses anything but tensors."""
    import torch

    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
