"""A program that takes reliable events, run as a child to be killed: ENDPOINT NAME FILE."""

from __future__ import annotations

import os
import sys

from pipeline.client import ReliableListener


def main() -> None:
    """Write the id of each event down before the next one is asked for, which acknowledges it."""
    _, endpoint, name, path = sys.argv
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with ReliableListener(endpoint, name, from_start=True) as listener:
        for numbered in listener:
            os.write(handle, f"{numbered.event.id}\n".encode())


if __name__ == "__main__":
    main()
