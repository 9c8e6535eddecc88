"""`sightline calibrate` without its page, and what it says when something is wrong."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from stages.count.ground.birdseye import birds_eye, grid_lines, grid_step_m, with_grid
from stages.count.ground.calibrate.draft import draft, fragment
from stages.count.ground.fit import fit_plane
from stages.count.ground.options import GroundOptions, PlaneOptions
from streams.sources.synthetic.geometry import Camera
from tests.command import Sightline
from tests.stages.count.ground.scenes import HEIGHT, LANE, WIDTH, TrueCamera

STREET = "synthetic://street?width=320&height=180&duration_s=1&rate_hz=4"
KNOWN = [(-7.0, 17.0), (7.0, 17.0), (7.0, 24.9), (-7.0, 24.9), (0.0, 20.8), (-3.0, 27.0)]


def points() -> list[str]:
    camera = Camera(320, 180)
    return [f"--point={camera.x_px(x, z)},{camera.y_px(z)}={x},{z}" for x, z in KNOWN]


def test_points_give_yaml_figures_and_pictures(sightline: Sightline, tmp_path: Path) -> None:
    saved, figures, picture = tmp_path / "g.yaml", tmp_path / "g.json", tmp_path / "g.png"
    words = [
        "calibrate",
        STREET,
        *points(),
        "--save",
        saved,
        "--json",
        figures,
        "--picture",
        picture,
        "--at",
        "0.5",
    ]
    done = sightline(*words)
    assert (done.code, done.errors) == (0, [])
    text = saved.read_text(encoding="utf-8")
    assert done.out.endswith(text)
    plane = GroundOptions.model_validate(yaml.safe_load(text)["ground"]).plane(320, 180)
    camera = Camera(320, 180)
    at = np.array([[camera.x_px(3.0, 22.0), camera.y_px(22.0)]])
    np.testing.assert_allclose(plane.to_metres(at)[0], [[3.0, 22.0]], atol=0.01)
    told = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["used"] for row in told["points"]] == [True] * 6
    assert told["scale_error_percent"] < 10
    for path in (picture, tmp_path / "g-above.png"):
        assert cv2.imread(str(path)) is not None
    assert sightline(*words).code == 0, "its own file may be written again"


def test_a_rectangle_does_too(sightline: Sightline) -> None:
    camera = Camera(320, 180)
    corners = " ".join(f"{camera.x_px(x, z)},{camera.y_px(z)}" for x, z in KNOWN[:4])
    done = sightline("calibrate", STREET, "--rectangle", f"{corners}=14,7.9")
    assert done.code == 0
    assert "sides_m: [14, 7.9]" in done.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--point", "1,2=3"], "--point '1,2=3': '3' is no pair of numbers"),
        (["--point", "1,2=3,4"], "points: 4 are needed, got 1"),
        (["--rectangle", "1,1 2,2 3,3=1,1"], "rectangle.corners: 4 are needed, got 3"),
        (["--rectangle", "1,1 2,2"], "--rectangle '1,1 2,2': '' is no pair"),
        (["--rectangle", "10,150 300,150 50,80 250,80=14,8"], "no camera sees a plane so"),
        (
            ["--rectangle", "10,150 900,150 250,80 50,80=14,8"],
            "point 2 (900, 150) px lies outside the picture",
        ),
        ([*points(), "--lens", "k1"], "--lens: 'k1' is not KEY=NUMBER"),
        ([*points(), "--lens", "focus=1"], "lens.focus: unknown, did you mean 'focal'"),
        ([*points(), "--units", "metres"], "units: must be 'fraction' or 'px'"),
        ([*points(), "--picture", "x.gif"], "write to a .jpg or .png file"),
    ],
)
def test_what_is_wrong_is_one_line(sightline: Sightline, words: list[str], error: str) -> None:
    done = sightline("calibrate", STREET, *words)
    assert done.code == 2
    (line,) = done.errors
    assert error in line


def test_a_source_without_a_picture_is_one_line(sightline: Sightline, tmp_path: Path) -> None:
    assert sightline("calibrate", tmp_path / "none.mp4", *points()).code == 1
    done = sightline("calibrate", STREET, *points(), "--at", "99")
    assert done.code == 1
    assert done.errors == [f"{STREET}: ends before 99 s; give a smaller --at"]
    assert sightline("calibrate", "nosuch://x", *points()).code == 2


def test_it_overwrites_nothing_of_yours(sightline: Sightline, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("streams: {}\n", encoding="utf-8")
    done = sightline("calibrate", STREET, *points(), "--save", mine)
    assert done.code == 2
    assert "is no calibration" in done.errors[0]
    assert mine.read_text(encoding="utf-8") == "streams: {}\n"


@pytest.mark.parametrize(
    "settings",
    [
        {"points": [{"at": [0.1, 0.9], "metres": [0, 0]}, {"at": [0.9, 0.9], "metres": [5, 0]},
                    {"at": [0.7, 0.3], "metres": [5, 12.345]}, {"at": [0.3, 0.3], "metres": [0, 12.3]}]},
        {"rectangle": {"corners": [[10, 500], [900, 500], [700, 200], [200, 200]], "sides_m": [3.5, 12]},
         "units": "px", "lens": {"k1": -0.1, "focal": 900, "centre": [640, 360]}, "error_m": 0.2},
    ],
)  # fmt: skip
def test_what_is_written_reads_back_the_same(settings: dict) -> None:
    made = draft(settings, WIDTH, HEIGHT)
    assert PlaneOptions.model_validate(yaml.safe_load(fragment(made.options))["ground"]) == made.options


def test_from_above_a_square_is_a_square() -> None:
    """Drawn on the ground, seen by the camera, seen from above: it has its place and its size again."""
    camera = TrueCamera()
    plane = fit_plane(camera.pixels(LANE), LANE)
    picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    square = np.array([[-1.0, 14.0], [1.0, 14.0], [1.0, 16.0], [-1.0, 16.0]])
    cv2.fillPoly(picture, [np.round(camera.pixels(square)).astype(np.int32)], (255, 255, 255))
    view = birds_eye(picture, plane, (-3.0, 12.0, 3.0, 18.0), grid=False)
    rows, columns = np.nonzero(view.picture[..., 0] > 128)
    left, top = -3.0 + columns.min() / view.px_per_m, 18.0 - rows.min() / view.px_per_m
    right, bottom = -3.0 + (columns.max() + 1) / view.px_per_m, 18.0 - (rows.max() + 1) / view.px_per_m
    np.testing.assert_allclose([left, bottom, right, top], [-1, 14, 1, 16], atol=0.06)
    assert view.picture.shape == (900, 900, 3)


def test_the_grid_has_round_metres_and_lies_on_the_ground() -> None:
    assert grid_step_m((0, 0, 10, 8)) == 1.0
    assert grid_step_m((0, 0, 10, 100)) == 10.0
    assert len(grid_lines((-0.5, 0.2, 2.5, 1.2), 1.0)) == 4
    camera = TrueCamera()
    plane = fit_plane(camera.pixels(LANE), LANE)
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn = with_grid(blank, plane)
    assert not blank.any()
    assert drawn[: int(camera.horizon_y) - 3].sum() == 0
    assert drawn.any()
