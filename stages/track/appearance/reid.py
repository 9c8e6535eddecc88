"""Any re-identification network in the ONNX format as an embedding, run by ONNX Runtime on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from stages.track.appearance.patches import Scaling, Triple, U8Array, corners_within, cut
from stages.track.gallery import F32Array, unit_rows

METADATA_KEY = "sightline.embedding"
"""Under this key our own files say, as JSON, what they want and give."""

_USUAL_SIZE = (128, 256)
"""Width and height that re-identification networks are trained with, where the file leaves them open."""

_LARGEST_SIDE = 1024


class ReidModel:
    """Embeds the boxes of a picture with a network of input (N, 3, H, W) and output (N, D).

    Files written by `sightline train-embedding` say themselves what they want. Of others the size is read
    from the input, and pixels are scaled as for ImageNet, red first, unless told otherwise. A file with a
    fixed batch is run as often as needed, its last batch filled up with nothing.

    Not for several threads at once: the buffers of a batch are used again.

    Args:
        path: the .onnx file.
        size: (width, height) in px for files that leave them open; (128, 256) when left out.
        mean: see `Scaling`.
        std: see `Scaling`.
        rgb: see `Scaling`.
        max_batch: most boxes that are looked at in one run of the network; bounds the memory.
        threads: CPU threads of the network. More than one suffers badly on a busy machine.

    Attributes:
        length: numbers in an embedding.
        size: (width, height) of what the network looks at, px.
        limit: the cosine distance up to which two looks are taken for one object, as the file recommends;
            None when it does not say.

    Raises:
        ModelError: if the file is missing, no ONNX file, or no such network.
        ValueError: if an option makes no sense.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size: tuple[int, int] | None = None,
        mean: Triple | None = None,
        std: Triple | None = None,
        rgb: bool | None = None,
        max_batch: int = 16,
        threads: int = 1,
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {max_batch}")
        self._path = Path(path)
        self._session = _session(self._path, threads)
        self._input, fixed, own_size = _input_of(self._session, self._path)
        self.size = _chosen_size(self._path, own_size, size)
        facts = _facts(self._session, self._path)
        default = _scaling(facts, self._path)
        self._scaling = Scaling(mean or default.mean, std or default.std, default.rgb if rgb is None else rgb)
        self.limit: float | None = facts.get("limit")
        self._fixed = fixed
        self._batch = fixed or max_batch
        width, height = self.size
        self._patches: U8Array = np.zeros((self._batch, height, width, 3), np.uint8)
        self._planes: F32Array = np.zeros((self._batch, 3, height, width), np.float32)
        # Running it is the only sure way to learn what comes out; it also has the memory allocated.
        self.length = self._run(1).shape[1]

    def embed(self, bgr: U8Array, xyxy: F32Array) -> F32Array:
        """Describe the boxes of a picture.

        Args:
            bgr: (H, W, 3) uint8 picture.
            xyxy: (N, 4) boxes in its pixels; what lies outside the picture is left out.

        Returns:
            (N, D) float32 rows of length 1; 0 for boxes without a pixel in the picture.

        Raises:
            ModelError: if the network gives something that is not finite.
        """
        inside, corners = corners_within(bgr.shape[1], bgr.shape[0], xyxy)
        embedding = np.zeros((len(xyxy), self.length), np.float32)
        for begin in range(0, len(inside), self._batch):
            part = slice(begin, begin + self._batch)
            count = len(inside[part])
            patches = self._patches[:count]
            cut(bgr, corners[part], patches)
            self._scaling.planes(patches, self._planes)
            embedding[inside[part]] = self._unit(count)
        return embedding

    def embed_patches(self, bgr: U8Array) -> F32Array:
        """Describe N whole pictures of the network's own size, (N, H, W, 3) uint8 BGR; as `embed` does."""
        embedding = np.zeros((len(bgr), self.length), np.float32)
        for begin in range(0, len(bgr), self._batch):
            patches = bgr[begin : begin + self._batch]
            self._scaling.planes(patches, self._planes)
            embedding[begin : begin + len(patches)] = self._unit(len(patches))
        return embedding

    def _unit(self, count: int) -> F32Array:
        try:
            return unit_rows(self._run(count))
        except ValueError as error:
            raise ModelError(
                f"'{self._path}' gives numbers that are not finite; check mean and std"
            ) from error

    def _run(self, count: int) -> F32Array:
        """Run the network on the first `count` patches of the batch; (count, D)."""
        planes = self._planes if self._fixed else self._planes[:count]
        try:
            output = np.asarray(self._session.run(None, {self._input: planes})[0])
        except Exception as error:  # ONNX Runtime's own exceptions have no common public base
            width, height = self.size
            raise ModelError(
                f"'{self._path}' cannot be run on {len(planes)} patches of {width} x {height} px: "
                f"{_first_line(error)}; give it another size or export it again"
            ) from error
        shape = output.shape
        flat = len(shape) >= 2 and shape[0] == len(planes) and shape[1] > 1 and set(shape[2:]) <= {1}
        if not flat or output.dtype.kind != "f":
            raise ModelError(
                f"'{self._path}' is no re-identification network: its output is {output.dtype} "
                f"{list(shape)}, wanted floats [{len(planes)}, length]; use another file"
            )
        return output.reshape(shape[0], shape[1])[:count].astype(np.float32, copy=False)


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"no model at '{path}'; give the path of an existing .onnx file")
    if path.stat().st_size == 0:
        raise ModelError(f"'{path}' is an empty file; export or download it again")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    # Idle threads that spin starve the decoder: 5 to 100 times slower on a busy two-core box.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common public base
        raise ModelError(
            f"'{path}' is no usable ONNX file ({_first_line(error)}); export or download it again"
        ) from error


def _input_of(session: Any, path: Path) -> tuple[str, int | None, tuple[int | None, int | None]]:
    """Return the input's name, its batch where that is fixed, and its width and height where they are."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)" or shape[1] != 3:
        raise ModelError(
            f"'{path}' is no re-identification network: its {len(inputs)} input(s) begin with "
            f"{inputs[0].type} {shape}, wanted one tensor(float) [N, 3, height, width]; use another file"
        )
    batch, _, height, width = (side if isinstance(side, int) and side > 0 else None for side in shape)
    return inputs[0].name, batch, (width, height)


def _chosen_size(
    path: Path, own: tuple[int | None, int | None], wanted: tuple[int, int] | None
) -> tuple[int, int]:
    usual = wanted or _USUAL_SIZE
    width, height = own[0] or usual[0], own[1] or usual[1]
    if wanted is not None and wanted != (width, height):
        raise ModelError(f"'{path}' looks at {width} x {height} px and not at {wanted[0]} x {wanted[1]}")
    if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
        raise ModelError(f"'{path}': a size of {width} x {height} px is not within 1..{_LARGEST_SIDE}")
    return width, height


def _facts(session: Any, path: Path) -> dict[str, Any]:
    """Return what one of our own files says of itself; nothing for others."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        return {}
    try:
        facts = json.loads(text)
        limit = facts.get("limit")
        if limit is not None and not 0 < limit < 2:
            raise ValueError(f"a limit of {limit}")
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    return dict(facts)


def _scaling(facts: dict[str, Any], path: Path) -> Scaling:
    if not facts:
        return Scaling()
    try:
        return Scaling(tuple(facts["mean"]), tuple(facts["std"]), facts["channels"] == "rgb")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"'{path}': its metadata '{METADATA_KEY}' are damaged ({error}); train it again")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
