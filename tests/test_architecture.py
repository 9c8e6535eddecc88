"""The plan of the house, as rules about imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "stages", "streams")
GROUND_FLOOR = {
    f"pipeline.{name}"
    for name in [
        "backoff",
        "condition",
        "errors",
        "event",
        "file_sink",
        "frame",
        "json_file",
        "kinds",
        "lock",
        "moment",
        "motion",
        "objects",
        "options",
        "packet",
        "packet_sink",
        "pairing",
        "picture",
        "plugin",
        "privacy",
        "privacy.boxes",
        "privacy.hide",
        "privacy.memory",
        "privacy.options",
        "privacy.veil",
        "registry",
        "secret",
        "shared",
        "steady",
        "sink_context",
        "transaction",
        "twins",
    ]
}
LIBRARY = "stages.vision"
"""Picture algorithms; every room of `stages` may import them, they import only `pipeline.picture`."""
HEAVY = {
    "cryptography",
    "duckdb",
    "openvino",
    "pyarrow",
    "torch",
    "torchvision",
    "ultralytics",
    "supervision",
    "matplotlib",
    "trackeval",
    "yt_dlp",
    "mss",
    "paho",
    "redis",
    "confluent_kafka",
    "boto3",
    "botocore",
    "aiortc",
}


def modules() -> dict[str, Path]:
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files
    }


MODULES = modules()


def imports_of(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def internal(path: Path) -> set[str]:
    return imports_of(path) & MODULES.keys() - set(ROOMS)


def is_library(name: str, module: str) -> bool:
    return room_of(name) == LIBRARY and module.startswith("stages")


def room_of(module: str) -> str:
    """The second level: stages.track and stages.count are rooms of their own, `pipeline` is one room."""
    parts = module.split(".")
    return parts[0] if parts[0] == "pipeline" else ".".join(parts[:2])


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("pipeline")])
def test_stages_and_streams_know_only_the_ground_floor_and_their_own_room(module: str) -> None:
    foreign = {
        name
        for name in internal(MODULES[module])
        if room_of(name) != room_of(module) and name not in GROUND_FLOOR and not is_library(name, module)
    }
    assert not foreign, f"{module} imports {foreign}"


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) == LIBRARY])
def test_the_library_of_picture_algorithms_knows_pictures_only(module: str) -> None:
    foreign = {name for name in internal(MODULES[module]) if room_of(name) != LIBRARY}
    assert foreign <= {"pipeline.picture"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("pipeline")])
def test_the_engine_knows_no_camera_and_no_model(module: str) -> None:
    foreign = {name for name in internal(MODULES[module]) if not name.startswith("pipeline")}
    assert not foreign, f"{module} imports {foreign}: plug-ins are found by name"


@pytest.mark.parametrize("module", sorted(GROUND_FLOOR))
def test_the_ground_floor_stands_on_itself(module: str) -> None:
    assert internal(MODULES[module]) <= GROUND_FLOOR


def test_no_circles() -> None:
    graph = {name: internal(path) for name, path in MODULES.items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for following in graph[name]:
                walk(following, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_are_imported_only_when_used(module: str) -> None:
    roots = {name.partition(".")[0] for name in imports_of(MODULES[module], top_level_only=True)}
    assert not roots & HEAVY


@pytest.mark.parametrize("module", MODULES)
def test_a_file_holds_one_idea(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{module} has {lines} lines"


@pytest.mark.parametrize("path", sorted(ROOT.glob("stages/**/*.p[yx][xi]")), ids=lambda path: path.name)
def test_so_does_a_file_that_is_compiled(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
