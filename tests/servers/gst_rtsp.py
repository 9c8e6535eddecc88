"""An RTSP camera: Debian's gst-rtsp-server, run by /usr/bin/python3 as a child of `tests.servers.rtsp`.

Never imported by the tests: GStreamer's bindings belong to the system's Python. Reads one line of JSON from
stdin (port, user, password, mounts), prints one line of JSON with its port, and ends when stdin ends, so that
no server outlives the tests that started it.
"""

from __future__ import annotations

import binascii
import json
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

COLUMNS, ROWS = 32, 3
BLACK, WHITE = 16, 235

APPSRC = "appsrc name=source is-live=true format=time do-timestamp=true"
DEPAYLOADERS = {
    "h264": "rtph264depay name=depay0 ! h264parse",
    "h265": "rtph265depay name=depay0 ! h265parse",
}
VIDEO_PAYLOADERS = {
    "h264": "rtph264pay name=pay0 pt=96 config-interval=1",
    "h265": "rtph265pay name=pay0 pt=96 config-interval=1",
    "mjpeg": "rtpjpegpay name=pay0 pt=26",
    "vp8": "rtpvp8pay name=pay0 pt=96",
}


def encoder(mount: dict) -> str:
    """Return an encoder that holds nothing back and puts a key frame exactly every `key_every` pictures."""
    every = mount["key_every"]
    if mount["codec"] == "h264":
        # avc: the parameter sets are in the caps, and so in the SDP, also when no key frame is ever sent.
        return (
            f"x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={every} "
            f"bitrate={mount['kbit_s']} option-string=scenecut=0 "
            "! video/x-h264,stream-format=avc,alignment=au"
        )
    if mount["codec"] == "h265":
        return (
            f"x265enc tune=zerolatency speed-preset=ultrafast key-int-max={every} bitrate={mount['kbit_s']} "
            "log-level=none option-string=scenecut=0:pools=none:frame-threads=1 ! h265parse"
        )
    if mount["codec"] == "vp8":
        bit_s = 1000 * mount["kbit_s"]
        return f"vp8enc deadline=1 lag-in-frames=0 keyframe-max-dist={every} target-bitrate={bit_s}"
    return "jpegenc"


def launch_line(mount: dict) -> str:
    """Return the pipeline of a mount, in GStreamer's launch syntax."""
    kind = mount["kind"]
    if kind == "audio":
        source = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc"
        return f"( {source} ! rtppcmapay name=pay0 pt=8 )"
    if kind == "record":
        # Parameter sets may change in the midst: byte stream, repeated at each key frame.
        received = f"{DEPAYLOADERS[mount['codec']]} config-interval=-1 ! mpegtsmux latency=0"
        return f"( {received} ! tcpclientsink host=127.0.0.1 port={mount['port']} sync=false )"
    payloader = VIDEO_PAYLOADERS[mount["codec"]]
    if kind == "clip":
        return f'( filesrc location="{mount["path"]}" ! qtdemux ! {mount["codec"]}parse ! {payloader} )'
    if kind == "loop":
        caps = f"video/x-{mount['codec']},stream-format=byte-stream,alignment=au"
        return f'( {APPSRC} caps="{caps}" ! {mount["codec"]}parse ! {payloader} )'
    size = f"width={mount['width']},height={mount['height']},framerate={mount['rate']}/1"
    raw = f"video/x-raw,format=I420,{size}"
    if kind == "barcode":
        source = f'{APPSRC} caps="{raw}"'
    else:
        source = f"videotestsrc is-live=true pattern={mount['pattern']} ! {raw}"
    return f"( {source} ! {encoder(mount)} ! {payloader} )"


class Feed:
    """Pushes buffers into a pipeline's appsrc at a steady rate, from a thread, until it is stopped."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.stopped = threading.Event()

    def start(self, appsrc: Gst.Element) -> None:
        threading.Thread(target=self.run, args=(appsrc,), daemon=True).start()

    def run(self, appsrc: Gst.Element) -> None:
        first_s = time.monotonic()
        number = 0
        while not self.stopped.wait(max(0.0, first_s + number / self.rate - time.monotonic())):
            if appsrc.emit("push-buffer", Gst.Buffer.new_wrapped(self.picture(number))) != Gst.FlowReturn.OK:
                return
            number += 1

    def picture(self, number: int) -> bytes:
        raise NotImplementedError


class Loop(Feed):
    """Encoded pictures from a file of length-prefixed access units, over and over."""

    def __init__(self, mount: dict) -> None:
        super().__init__(mount["rate"])
        self.pictures = []
        with open(mount["path"], "rb") as file:  # noqa: PTH123
            while head := file.read(4):
                self.pictures.append(file.read(int.from_bytes(head, "big")))

    def picture(self, number: int) -> bytes:
        return self.pictures[number % len(self.pictures)]


class Barcode(Feed):
    """Pictures that carry the time at which they were made, in black and white blocks.

    32 blocks in each of 3 rows at the top: 64 bits of `time.time_ns()`, 16 of the picture's number, 16 of a
    CRC-16 over both. The texture below moves, so that the encoder has something to do.
    """

    def __init__(self, mount: dict) -> None:
        super().__init__(mount["rate"])
        self.width, self.height = mount["width"], mount["height"]
        self.block = self.width // COLUMNS
        # A period that is no divisor of the width makes stripes that run diagonally.
        period = bytes(60 + abs(60 - step) for step in range(121))
        size = self.width * self.height
        self.texture = period * (size // len(period) + 3)
        self.chroma = bytes([128]) * (size // 2)

    def picture(self, number: int) -> bytes:
        shift = number * 3 % 121
        below = self.texture[shift : shift + self.width * (self.height - ROWS * self.block)]
        message = time.time_ns().to_bytes(8, "big") + (number & 0xFFFF).to_bytes(2, "big")
        message += binascii.crc_hqx(message, 0).to_bytes(2, "big")
        code = bytearray()
        for row in range(ROWS):
            line = bytearray()
            for byte in message[row * COLUMNS // 8 : (row + 1) * COLUMNS // 8]:
                for bit in range(7, -1, -1):
                    line += bytes([WHITE if byte >> bit & 1 else BLACK]) * self.block
            line += bytes([BLACK]) * (self.width - len(line))
            code += line * self.block
        return bytes(code) + below + self.chroma


FEEDS = {"barcode": Barcode, "loop": Loop}


class Camera(GstRtspServer.RTSPMediaFactory):
    """One mount."""

    def __init__(self, mount: dict) -> None:
        super().__init__()
        self.mount = mount
        self.set_shared(mount["kind"] != "clip")
        self.set_launch(launch_line(mount))
        if mount["kind"] == "record":
            self.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
            self.set_latency(0)
        self.connect("media-configure", self.configure)

    def configure(self, _factory: object, media: GstRtspServer.RTSPMedia) -> None:
        bin_ = media.get_element()
        if self.mount["kind"] in FEEDS:
            feed = FEEDS[self.mount["kind"]](self.mount)
            media.connect("unprepared", lambda _media: feed.stopped.set())
            feed.start(bin_.get_by_name("source"))
        if not self.mount.get("key_frames", True):
            pad = bin_.get_by_name("pay0").get_static_pad("sink")
            pad.add_probe(Gst.PadProbeType.BUFFER, drop_key_frames)


def drop_key_frames(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    is_delta = info.get_buffer().mini_object.flags & Gst.BufferFlags.DELTA_UNIT
    return Gst.PadProbeReturn.OK if is_delta else Gst.PadProbeReturn.DROP


def require_digest(server: GstRtspServer.RTSPServer, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest(user, password, token)
    server.set_auth(auth)


def permit_viewers(camera: Camera) -> None:
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    camera.set_permissions(permissions)


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    setting = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(setting["port"]))
    mounts = server.get_mount_points()
    for path, mount in setting["mounts"].items():
        camera = Camera(mount)
        if setting["user"]:
            permit_viewers(camera)
        mounts.add_factory(path, camera)
    if setting["user"]:
        require_digest(server, setting["user"], setting["password"])
    give_up_s = time.monotonic() + setting["bind_s"]
    while not server.attach(None):  # right after a kill the port may not be free yet
        if time.monotonic() > give_up_s:
            sys.exit(f"port {setting['port']} cannot be bound")
        time.sleep(0.02)
    print(json.dumps({"port": server.get_bound_port()}), flush=True)  # noqa: T201
    GLib.timeout_add_seconds(2, lambda: bool(server.get_session_pool().cleanup()) or True)
    GLib.MainLoop().run()


main()
