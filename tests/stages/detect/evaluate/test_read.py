from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, SourceError
from stages.detect.evaluate.dataset import Labelled, read_picture
from stages.detect.evaluate.read import read_dataset
from stages.detect.evaluate.yolo_format import _rows
from tests.stages.detect.evaluate.datasets import (
    BOXES,
    HEIGHT,
    NAMES,
    WIDTH,
    write_coco,
    write_picture,
    write_yolo,
)


@pytest.mark.parametrize("write", [write_yolo, write_coco])
def test_both_formats_say_the_same(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    dataset = read_dataset(write(tmp_path))
    assert dataset.classes == NAMES
    assert len(dataset.pictures) == len(BOXES)
    for labelled, boxes in zip(dataset.pictures, BOXES, strict=True):
        scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT]) if labelled.relative else 1
        wanted = [(x, y, x + w, y + h) for _, (x, y, w, h) in boxes]
        np.testing.assert_allclose(labelled.xyxy * scale, np.reshape(wanted, (-1, 4)), atol=1e-9)
        assert labelled.number.tolist() == [kind for kind, _ in boxes]
        assert (read_picture(labelled).width, read_picture(labelled).height) == (WIDTH, HEIGHT)


def test_yolo_as_it_comes_from_others(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "set", "valid", path="../elsewhere", valid="../valid/images")
    (root / "valid").mkdir()
    (root / "images/valid").rename(root / "valid/images")
    (root / "labels/valid").rename(root / "valid/labels")
    assert len(read_dataset(root).pictures) == 3
    assert read_dataset(root).notes == ("pictures without a label file, taken as empty: 1",)


def test_yolo_without_a_description(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "data.yaml").unlink()
    (root / "classes.txt").write_text("car\nbus\ndog\n")
    assert read_dataset(root).classes == NAMES


def test_yolo_lists_and_outlines(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, val="list.txt")
    (root / "list.txt").write_text("images/val/0.png\n./images/val/1.png\n")
    (root / "labels/val/0.txt").write_text("2 0.1 0.2 0.5 0.3 0.4 0.9\n")
    first, second = read_dataset(root).pictures
    np.testing.assert_allclose(first.xyxy, [[0.1, 0.2, 0.5, 0.9]])
    assert (first.number.tolist(), second.number.tolist()) == ([2], [0])


def test_coco_of_several_splits_wants_one_named(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    write_coco(tmp_path, "instances_train2017.json", "train2017")
    with pytest.raises(
        SourceError, match=r"several annotation files \(.*train2017.*\); name one with --split"
    ):
        read_dataset(root)
    assert len(read_dataset(root, "val").pictures) == 3
    assert len(read_dataset(root / "annotations/instances_val2017.json").pictures) == 3
    with pytest.raises(SourceError, match="'test' fits 0 of them"):
        read_dataset(root, "test")


def test_crowds_are_kept_apart(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    path = root / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    assert read_dataset(root).pictures[0].crowd.tolist() == [True, False]


Change = Callable[[dict[str, Any]], object]
WRONG_COCO: list[tuple[Change, str]] = [
    (lambda c: c.pop("categories"), "no COCO annotations; wanted the keys"),
    (lambda c: c["images"].clear(), "has no images"),
    (lambda c: c["images"][0].pop("id"), "id must be a whole number, found None"),
    (lambda c: c["images"][0].pop("file_name"), "image 7 has no file_name"),
    (lambda c: c["images"][0].update(file_name="x.png"), r"1 of its 3 pictures are missing: .*x\.png"),
    (lambda c: c["annotations"][1].update(image_id=99), "annotation 1 is of image 99"),
    (lambda c: c["annotations"][1].update(category_id=99), "category 99, which it does not list"),
    (
        lambda c: c["annotations"][1].update(bbox=[1, 2, 3]),
        r"annotation 1: bbox must be .* found \[1, 2, 3\]",
    ),
    (lambda c: c["annotations"][1].update(bbox=[1, 2, -3, 4]), "annotation 1: bbox must be"),
    (lambda c: c["annotations"][1].update(bbox=[1, 2, 3, 10**400]), "annotation 1: bbox must be"),
    (lambda c: c["annotations"][1].update(bbox=[1, 2, 3, float("nan")]), "annotation 1: bbox must be"),
    (lambda c: c["annotations"][1].update(area="big"), "annotation 1: area must be a number, found 'big'"),
    (lambda c: c["categories"][1].update(name="car"), "needs an id and a name of its own"),
    (lambda c: c.update(annotations={}), "'annotations' is no list of objects"),
]


@pytest.mark.parametrize(("change", "said"), WRONG_COCO)
def test_wrong_coco_is_named(tmp_path: Path, change: Change, said: str) -> None:
    root = write_coco(tmp_path)
    path = root / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=said) as raised:
        read_dataset(root)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 0.5 0.1", "wanted 'class x y width height' or an outline, found 4 values"),
        ("car 0.5 0.5 0.1 0.1", "wanted numbers, found 'car"),
        ("3 0.5 0.5 0.1 0.1", "there is no class 3; there are 0 to 2"),
        ("0.5 0.5 0.5 0.1 0.1", "there is no class 0.5"),
        ("inf 0.5 0.5 0.1 0.1", "there is no class inf"),
        ("nan 0.5 0.5 0.1 0.1", "there is no class nan"),
        ("0 50 50 10 10", "must be shares of the picture"),
        ("0 0.5 0.5 nan 0.1", "must be shares of the picture"),
    ],
)
def test_a_wrong_yolo_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    root = write_yolo(tmp_path)
    path = root / "labels/val/0.txt"
    path.write_text(f"0 0.5 0.5 0.1 0.1\n\n{line}\n")
    with pytest.raises(SourceError, match=said) as raised:
        read_dataset(root)
    assert str(raised.value).startswith(f"{path}:3: ")


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("names: [car", "is no YAML"),
        ("val: images/val", "no YOLO data set; wanted the keys names and val"),
        ("{names: {1: car}, val: images/val}", "names must be numbered from 0"),
        ("{names: [car, car], val: images/val}", "a list of different names"),
        ("{names: [car], train: images/val}", "has no split 'val'; it has: train"),
        ("{names: [car], val: nowhere}", "there is no .*nowhere"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, description: str, said: str) -> None:
    root = write_yolo(tmp_path)
    (root / "data.yaml").write_text(description)
    with pytest.raises(SourceError, match=said) as raised:
        read_dataset(root)
    assert "\n" not in str(raised.value)


def test_folders_without_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither COCO annotations"):
        read_dataset(tmp_path)
    with pytest.raises(SourceError, match="there is no such folder"):
        read_dataset(tmp_path / "none")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SourceError, match="is no JSON"):
        read_dataset(tmp_path)


def test_pictures_without_any_labels_are_a_mistake(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels").rename(root / "annotation")
    with pytest.raises(SourceError, match="none of 3 pictures has a label file"):
        read_dataset(root)


def test_only_some_classes(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path)).only(["bus", "car"])
    assert dataset.classes == ("bus", "car")
    assert [picture.number.tolist() for picture in dataset.pictures] == [[1, 0], [1], []]
    assert [picture.number.tolist() for picture in dataset.only(["bus"]).pictures] == [[0], [], []]
    with pytest.raises(ConfigError, match="has no class 'lorry'; it has: bus, car"):
        dataset.only(["lorry"])


def _labelled(path: Path, size: tuple[int, int] | None) -> Labelled:
    none = np.empty(0)
    return Labelled(path, none.reshape(0, 4), none.astype(np.intp), none.astype(bool), none, size)


def test_the_labels_decide_which_way_is_up(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    write_picture(path)
    jpeg = path.read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # Orientation 6
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    assert cv2.imread(str(path)).shape[:2] == (WIDTH, HEIGHT)
    assert read_picture(_labelled(path, None)).width == HEIGHT
    assert read_picture(_labelled(path, (HEIGHT, WIDTH))).width == HEIGHT
    assert read_picture(_labelled(path, (WIDTH, HEIGHT))).width == WIDTH
    with pytest.raises(SourceError, match="its labels were made for"):
        read_picture(_labelled(path, (30, 40)))


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=str(path)):
        read_picture(_labelled(path, None))


SHARES = st.tuples(*[st.floats(0.01, 0.99)] * 2, *[st.floats(0, 0.5)] * 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), SHARES), max_size=8))
def test_yolo_boxes_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, tuple[float, ...]]]
) -> None:
    root = write_yolo(tmp_path_factory.mktemp("set"))
    text = "".join(f"{kind} {' '.join(map(repr, shares))}\r\n" for kind, shares in rows)
    (root / "labels/val/0.txt").write_text(text)
    found = read_dataset(root).pictures[0]
    assert found.number.tolist() == [kind for kind, _ in rows]
    centres = np.array([shares for _, shares in rows]).reshape(-1, 4)
    corners = np.hstack([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2])
    np.testing.assert_allclose(found.xyxy, corners.clip(0, 1))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.lists(st.floats(), max_size=9).map(lambda of: " ".join(map(str, of))))
def test_any_line_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, line: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(line.encode("utf-8", "surrogatepass"))
    try:
        rows = list(_rows(path, 3))
    except SourceError as error:
        said = str(error)
    else:
        said = str(path)
        assert all(0 <= kind < 3 and 0 <= min(box) <= max(box) <= 1 for kind, box in rows)
    assert said.startswith(str(path))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    ("images", "id"), ("images", "file_name"), ("images", "width"), ("annotations", "bbox"),
    ("annotations", "area"), ("annotations", "image_id"), ("annotations", "category_id"),
    ("annotations", "iscrowd"), ("categories", "id"), ("categories", "name"),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KEYS), ANY_JSON)
def test_any_value_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, str], value: Any
) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    if not root.exists():
        write_coco(root)
    path = root / "annotations/instances_val2017.json"
    kept = path.read_text()
    content = json.loads(kept)
    content[key[0]][0][key[1]] = value
    path.write_text(json.dumps(content))
    try:
        said = f"{path}: {len(read_dataset(root).pictures)} pictures"
    except SourceError as error:
        said = str(error)
    finally:
        path.write_text(kept)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
