from __future__ import annotations

import subprocess
import sys
import textwrap

_SCRIPT = """
    import socket, time
    import numpy as np
    from pipeline.moment import Clock, Moment
    from streams.sinks.encoder import Encoder, Encoding
    from streams.sinks.restream.connection import Connection
    from streams.sinks.restream.target import target_of

    noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    with socket.create_server(("127.0.0.1", 0)) as door:
        for url in (f"rtmp://127.0.0.1:{door.getsockname()[1]}/live/gate", "udp://127.0.0.1:9"):
            for _ in range(8):
                encoder = Encoder("gate", "run", 128, 96, Encoding(preset="ultrafast"))
                connection = Connection(target_of(url, "gate"), encoder.form, timeout_s=0.2)
                for number in range(10):
                    connection.write(encoder.encode(noise, Moment(number / 25, 0, Clock.ARRIVAL)))
                connection.close()
    print("closed")
"""


def test_closing_with_packets_on_their_way_never_waits_for_python_s_lock() -> None:
    """FFmpeg frees packets in its thread while closing holds the lock: of Python they must not be."""
    words = [sys.executable, "-c", textwrap.dedent(_SCRIPT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("closed\n", 0), done.stderr
