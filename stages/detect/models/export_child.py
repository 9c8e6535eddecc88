"""The process in which ultralytics exports: a request comes by stdin, JSON lines go by stdout.

The last line is the answer. torch, a gigabyte of memory and all cores are needed for some seconds; they go
with the process. The one argument is after how many seconds it ends at the latest.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer the one request with `path`, or `error`; whatever else is printed does not reach the answer."""
    out, sys.stdout = sys.stdout, sys.stderr
    if hasattr(signal, "alarm"):  # not on Windows; ends even if whoever asked was killed and cannot end it
        signal.alarm(int(sys.argv[1]))

    def say(what: dict[str, Any]) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    try:
        say({"path": export(json.loads(sys.stdin.read()), say)})
    except Exception as error:  # torch, onnx and ultralytics raise whatever they like
        say({"error": " ".join(f"{type(error).__name__}: {error}".split())})


def export(request: dict[str, Any], say: Say) -> str:
    """Export as the request says and return the path of what came out: a file, or OpenVINO's folder.

    Args:
        request: `model`, the .pt file, beside which the result comes to lie; and `arguments` of ultralytics'
            `export`.
        say: told a `step` when one begins.
    """
    # ultralytics reads these once, when it is imported.
    os.environ |= {
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "true",
        "YOLO_CONFIG_DIR": str(Path(request["model"]).parent),
        "ULTRALYTICS_SAFE_LOAD": "true",
    }
    say({"step": "loading ultralytics"})
    import ultralytics
    from ultralytics.nn.tasks import _SafeLoad
    from ultralytics.utils import SETTINGS

    dict.__setitem__(SETTINGS, "sync", False)
    if not _SafeLoad.restricted():
        raise RuntimeError("weights cannot be loaded safely: torch 2.6 or newer is needed")
    say({"step": "loading the weights"})
    network = ultralytics.YOLO(request["model"])
    say({"step": "exporting"})
    return str(network.export(**request["arguments"]))


if __name__ == "__main__":
    main()
