"""Reads the names that a pickle would import, without unpickling it."""

from __future__ import annotations

import pickletools
from typing import IO

_FORBIDDEN = """
asyncio bdb builtins cProfile code codeop commands compileall ctypes dill distutils doctest ensurepip
fileinput ftplib functools glob http idlelib imaplib importlib inspect io jsonpickle linecache logging marshal
multiprocessing nt ntpath numpy.f2py numpy.testing operator os pathlib pdb pickle pip pkgutil platform poplib
posix posixpath pprint profile pty pydoc requests runpy shelve shutil signal smtplib socket sqlite3 ssl
subprocess sys tarfile tempfile threading timeit torch.hub torch.jit torch.package torch.serialization trace
types urllib uuid venv webbrowser winreg xmlrpc zipapp zipfile zipimport
"""
_ROOTS = frozenset(_FORBIDDEN.split())
"""Modules, with all below them, that weights have no use for and that can start programs or read files."""

_VALUES = """
set frozenset dict list tuple slice bool int float complex str bytes bytearray object range type getattr
"""
_PATHS = "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"
_HARMLESS = frozenset(
    [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _VALUES.split()]
    + [f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS.split()]
    + ["types.SimpleNamespace", "functools.partial", "uuid.UUID"]
)
"""What stands in the weights that people train, although its module is suspicious.

`getattr` is in those of ultralytics (a method of a layer); what it could do harm with is found by its own
name.
"""

_MOST_OPERATIONS = 5_000_000
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})


def dangerous_name(file: IO[bytes], pickles: int) -> str | None:
    """Return the first imported name that weights have no use for, None when there is none.

    A list of what is forbidden is never complete: this gives the reason in plain words; what guards is the
    loader, which knows what is allowed.

    Args:
        file: at the beginning of a pickle.
        pickles: how many follow one another; fewer are taken as they are.

    Returns:
        "module.name", or a note that it is no pickle that could be read through.
    """
    for _ in range(pickles):
        try:
            name = _first_dangerous(file)
        except (ValueError, IndexError, KeyError, AttributeError, UnicodeDecodeError) as error:
            return None if _at_end(file) else f"an unreadable pickle: {error}"
        if name is not None:
            return name
    return None


def _at_end(file: IO[bytes]) -> bool:
    return not file.read(1)


def _first_dangerous(file: IO[bytes]) -> str | None:
    """Follow the strings of the pickle's stack and memo, as far as imports need it."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if count > _MOST_OPERATIONS:
            return "a pickle of more than five million operations"
        kind = operation.name
        if kind in _STRINGS:
            last = str(argument)
            strings = [*strings[-1:], last]
        elif kind == "MEMOIZE":
            memo[len(memo)] = last or ""
        elif kind in {"PUT", "BINPUT", "LONG_BINPUT"}:
            memo[int(argument or 0)] = last or ""
        elif kind in {"GET", "BINGET", "LONG_BINGET"}:
            last = memo.get(int(argument or 0)) or None
            if last is not None:
                strings = [*strings[-1:], last]
        elif kind in {"GLOBAL", "INST"}:
            last = None
            module, _, name = str(argument).partition(" ")
            if _is_dangerous(module, name):
                return f"{module}.{name}"
        elif kind == "STACK_GLOBAL":
            last = None
            if len(strings) < 2:
                return "an import whose name is computed"
            if _is_dangerous(*strings[-2:]):
                return ".".join(strings[-2:])
        elif kind not in {"PROTO", "FRAME"}:
            last = None
    return None


def _is_dangerous(module: str, name: str) -> bool:
    if f"{module}.{name}" in _HARMLESS:
        return False
    parts = module.replace("__builtin__", "builtins").split(".")
    return any(".".join(parts[:end]) in _ROOTS for end in range(1, len(parts) + 1))
