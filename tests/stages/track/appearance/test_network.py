"""The network of the paper, and the ONNX file made of it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs the extra "train"')
pytest.importorskip("onnx", reason='needs the extra "train"')

from stages.track.appearance.export import export_onnx, onnx_bytes  # noqa: E402
from stages.track.appearance.network import (  # noqa: E402
    LENGTH,
    PARAMETERS,
    as_input,
    embed_patches,
    load_weights,
    make_network,
    parameter_count,
    save_weights,
)
from stages.track.appearance.reid import METADATA_KEY, ReidModel  # noqa: E402


def used(seed: int = 0, **size: int) -> Any:
    """A network whose norms are not those of an untrained one."""
    network = make_network(seed, **size)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.copy_(torch.randn(len(module.bias), generator=generator) * 0.3)
            module.running_var.copy_(torch.rand(len(module.bias), generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(len(module.bias), generator=generator) * 0.3)
    return network.eval()


def patches(count: int, width: int = 64, height: int = 128) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), np.uint8)


def test_it_has_the_papers_count_of_parameters() -> None:
    assert parameter_count(make_network()) == PARAMETERS == 2_800_864


def test_the_layers_give_what_table_1_says() -> None:
    network, shapes = make_network().eval(), []
    layers = [network.conv1, network.conv2, *network.blocks, network.dense]
    for layer in layers:
        layer.register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape[1:])))
    network(torch.zeros(1, 3, 128, 64))
    assert shapes == [
        (32, 128, 64),
        (32, 128, 64),
        (32, 64, 32),
        (32, 64, 32),
        (64, 32, 16),
        (64, 32, 16),
        (128, 16, 8),
        (128, 16, 8),
        (128,),
    ]


def test_rows_have_length_1_and_do_not_depend_on_the_batch() -> None:
    network, crops = used(), patches(5)
    together = embed_patches(network, crops)
    assert together.shape == (5, LENGTH)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([embed_patches(network, crop[None]) for crop in crops])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_input_is_red_first_and_scaled() -> None:
    crop = np.zeros((1, 8, 8, 3), np.uint8)
    crop[..., 2] = 255  # red, of BGR
    values = as_input(crop, "cpu")[0, :, 0, 0].numpy()
    wanted = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(values, wanted, rtol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(64, 120 + 4), (60, 128), (0, 128)])
def test_other_sizes_are_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        make_network(width=width, height=height)


def test_the_seed_decides_and_torchs_own_generator_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = make_network(3), make_network(3), make_network(4)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.dense.weight, again.dense.weight)
    assert not torch.equal(first.dense.weight, other.dense.weight)


def test_weights_come_back_without_code(tmp_path: Path) -> None:
    network, other = used(1), make_network(2)
    save_weights(network, tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    crops = patches(2)
    np.testing.assert_array_equal(embed_patches(network, crops), embed_patches(other, crops))


def test_a_file_with_code_is_refused(tmp_path: Path) -> None:
    torch.save(Path, tmp_path / "weights.pt")
    with pytest.raises(pickle.UnpicklingError):
        load_weights(make_network(), tmp_path / "weights.pt")


@pytest.mark.parametrize("count", [1, 2, 7, 16, 19])
def test_onnx_gives_what_torch_gives(count: int, tmp_path: Path) -> None:
    network = used(width=16, height=32)
    export_onnx(network, tmp_path / "net.onnx", limit=0.25)
    model = ReidModel(tmp_path / "net.onnx")
    crops = patches(count, 16, 32)
    np.testing.assert_allclose(model.embed_patches(crops), embed_patches(network, crops), atol=1e-4)


def test_onnx_of_the_papers_size_gives_what_torch_gives(tmp_path: Path) -> None:
    network = used()
    export_onnx(network, tmp_path / "net.onnx")
    model = ReidModel(tmp_path / "net.onnx")
    assert (model.size, model.length, model.limit) == ((64, 128), 128, None)
    crops = patches(3)
    np.testing.assert_allclose(model.embed_patches(crops), embed_patches(network, crops), atol=1e-4)


def test_the_file_says_what_it_wants() -> None:
    import onnx

    content = onnx_bytes(used(width=16, height=32), limit=0.25)
    model = onnx.load_from_string(content)
    facts = json.loads({p.key: p.value for p in model.metadata_props}[METADATA_KEY])
    assert facts == {
        "version": 1,
        "width": 16,
        "height": 32,
        "channels": "rgb",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "length": 128,
        "limit": 0.25,
    }
    assert content == onnx_bytes(used(width=16, height=32), limit=0.25)
