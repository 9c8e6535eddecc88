"""Reading a configuration: file, then environment, then --set, then --source and --out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.config.builtin import find_config, shipped_configs
from pipeline.config.catalogue import INSTALLED, Catalogue
from pipeline.config.check import check
from pipeline.config.kinds import kind_problems
from pipeline.config.order import order_problems
from pipeline.config.overrides import apply_environment, apply_sets
from pipeline.config.privacy import privacy_problems
from pipeline.config.problems import ConfigProblems, Origin, Problem, listed, suggestion
from pipeline.config.schema import Config
from pipeline.config.sources import apply_sources
from pipeline.config.tree import Tree
from pipeline.config.yaml_tree import read_yaml

MAX_BYTES = 1 << 20


def load_config(
    path: Path | str,
    *,
    sources: Sequence[str] = (),
    sets: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    out: Path | None = None,
    catalogue: Catalogue = INSTALLED,
) -> Config:
    """Read and check a configuration; what comes later in this list wins.

    Relative paths in it are relative to the current folder, not to the file.

    Args:
        path: YAML file, or the name of a shipped configuration ("demo") where no such file exists.
        env: variables SIGHTLINE__KEY=VALUE, see `pipeline.config.overrides`; None for the process's own.
        sets: KEY=VALUE settings, see `pipeline.config.overrides`.
        sources: [NAME=]URL, see `pipeline.config.sources`.
        out: folder of the results.
        catalogue: where plug-ins are found.

    Raises:
        ConfigProblems: everything that is wrong, with file and line or the override that it comes from.
    """
    file = find_config(Path(path))
    tree, problems = read_file(file)
    problems += apply_environment(tree, os.environ if env is None else env)
    problems += apply_sets(tree, sets)
    problems += apply_sources(tree, sources)
    if out is not None:
        tree.put(("out",), str(out), Origin("--out"))
    config, found = check(tree, catalogue, file)
    if config is not None:
        found = order_problems(config, tree, catalogue) + privacy_problems(config, tree, catalogue)
        unknown, doubts = kind_problems(config, tree, catalogue)
        found += unknown
        config = replace(config, doubts=tuple(doubts))
    told = {problem.key for problem in problems if problem.key}  # an unreadable value is not also missing
    problems += [problem for problem in found if problem.key not in told]
    if config is None or problems:
        raise ConfigProblems(problems)
    return config


def read_file(file: Path) -> tuple[Tree, list[Problem]]:
    """Read a configuration's settings as they are written, and what is wrong with single ones.

    Raises:
        ConfigProblems: if the file cannot be read, or nothing can be made of it.
    """
    return read_yaml(_text(file), str(file))


def _text(file: Path) -> str:
    """Return a file's text; a larger one than any configuration is not read to its end."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _unreadable(file, f"larger than {MAX_BYTES >> 20} MiB: is this a configuration?")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8 text: byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
        raise _unreadable(file, message, line) from None
    except FileNotFoundError:
        known = list(shipped_configs())
        near = suggestion(file.stem, known) or ";"
        raise _unreadable(file, f"no such file{near} shipped configurations: {listed(known)}") from None
    except IsADirectoryError:
        raise _unreadable(file, "a folder; name the YAML file in it") from None
    except PermissionError:
        raise _unreadable(file, "no permission to read it") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, f"cannot be read: {error}") from None


def _unreadable(file: Path, message: str, line: int | None = None) -> ConfigProblems:
    return ConfigProblems([Problem(Origin(str(file), line), "", message)])
