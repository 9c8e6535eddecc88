import numpy as np
import pytest

from stages.vision.exposure import Exposure, coarse, fit_exposure

CELLS = 32 * 18


def _reference() -> np.ndarray:
    return np.random.default_rng(3).uniform(60, 160, CELLS).astype(np.float32)


@pytest.mark.parametrize("gain", [0.5, 0.7, 1.0, 1.15, 1.4])
@pytest.mark.parametrize("covered", [0.0, 0.3, 0.55])
def test_gain_of_the_background_is_found_whatever_covers_it(gain: float, covered: float) -> None:
    reference = _reference()
    cells = gain * reference
    n = int(covered * CELLS)
    cells[:n] = np.random.default_rng(4).uniform(0, 255, n)
    fitted = fit_exposure(cells.astype(np.float32), reference, Exposure())
    assert fitted.gain == pytest.approx(gain, rel=0.03)
    assert fitted.support >= 0.98 - covered


def test_the_last_estimate_holds_when_one_flat_object_fills_most_of_the_picture() -> None:
    reference = np.full(CELLS, 110, np.float32)
    cells = 0.7 * reference
    cells[: int(0.55 * CELLS)] = 200
    assert fit_exposure(cells, reference, Exposure(0.72)).gain == pytest.approx(0.7, rel=0.02)


def test_offset_is_told_from_gain_where_the_scene_has_contrast() -> None:
    reference = _reference()
    fitted = fit_exposure(0.8 * reference + 8, reference, Exposure())
    assert fitted.gain * reference + fitted.offset == pytest.approx(0.8 * reference + 8, abs=1.5)


def test_nothing_in_common_has_no_support() -> None:
    rng = np.random.default_rng(5)
    one, other = (rng.uniform(10, 250, CELLS).astype(np.float32) for _ in range(2))
    assert fit_exposure(one, other, Exposure()).support < 0.2


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_pictures_do_no_harm(level: int) -> None:
    flat = np.full(CELLS, level, np.float32)
    for reference in (flat, _reference()):
        fitted = fit_exposure(flat, reference, Exposure())
        assert np.isfinite([fitted.gain, fitted.offset]).all()
        assert fitted.gain > 0


def test_undo_restores_the_reference() -> None:
    luma = np.random.default_rng(6).integers(20, 180, (90, 160), dtype=np.uint8)
    brighter = (1.3 * luma + 5).round().astype(np.uint8)
    restored = Exposure(1.3, 5.0).undo(brighter)
    assert np.abs(restored.astype(int) - luma).max() <= 1
    assert np.array_equal(Exposure(1.3, 5.0).undo(brighter, share=0.0), brighter)


def test_coarse_averages() -> None:
    assert coarse(np.full((90, 160), 77, np.uint8)).tolist() == [77.0] * CELLS
