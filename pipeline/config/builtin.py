"""The configurations that come with sightline."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve()


def shipped_configs() -> dict[str, Path]:
    """Return the shipped configurations' files by name, sorted."""
    folder = _HERE.parents[1] / "configs"  # where a wheel puts them
    checkout = _HERE.parents[2]
    if not folder.is_dir() and (checkout / "pyproject.toml").is_file():
        folder = checkout / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(path: Path) -> Path:
    """Return `path`, or the shipped configuration it names ("demo", "demo.yaml") if there is no such file."""
    shipped = shipped_configs().get(path.name.removesuffix(".yaml")) if path.parent == Path() else None
    return path if shipped is None or path.is_file() else shipped
