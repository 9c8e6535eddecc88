"""Against a real web server on loopback."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from pipeline.errors import ModelError
from stages.detect.models import resolve as module
from stages.detect.models.catalogue import Known, catalogue, known
from stages.detect.models.download import Limits
from stages.detect.models.resolve import resolve
from stages.detect.models.store import Store
from tests.servers.http import HttpServer, Request, Route, body, page, protected, redirect, send, status
from tests.stages.detect.models.files import onnx_bytes, torch_zip, trap

CONTENT = onnx_bytes(200_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Calls:
    """Keeps what progress was told."""

    def __init__(self) -> None:
        self.of: list[tuple[str, int, int | None]] = []

    def __call__(self, what: str, done: int, total: int | None) -> None:
        self.of.append((what, done, total))


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer({"/net.onnx": whole(CONTENT)}) as site:
        yield site


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache/models")


def quick(**others: object) -> Limits:
    return Limits(**{"timeout_s": 2.0, "sleep": lambda _: None, **others})  # type: ignore[arg-type]


def whole(content: bytes, etag: str = '"one"') -> Route:
    """Serve with byte ranges and a version, as release servers do."""

    def answer(request: Request) -> None:
        if request.headers.get("If-Range", etag) != etag:
            del request.headers["Range"]
        start = request.send_header

        def end_headers() -> None:
            start("ETag", etag)
            type(request).end_headers(request)

        request.end_headers = end_headers  # type: ignore[method-assign]
        send(request, content, "application/octet-stream", ranges=True)

    return answer


def breaking(content: bytes, after: int, etag: str = '"one"') -> Route:
    """The first answer breaks off after so many bytes; later ones are whole."""
    answers = iter([body(content, end_after=after)])

    def answer(request: Request) -> None:
        first = next(answers, None)
        if first is None:
            whole(content, etag)(request)
            return
        request.begin(200, {"Content-Length": str(len(content)), "ETag": etag})
        request.wfile.write(content[:after])

    return answer


def chunked(content: bytes, *, whole: bool) -> Route:
    """Serve in chunks, without a length; the last, empty one is missing unless `whole`."""

    def answer(request: Request) -> None:
        request.begin(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(content), 50_000):
            part = content[start : start + 50_000]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if whole:
            request.wfile.write(b"0\r\n\r\n")

    return answer


def test_a_url_is_fetched_once_and_told(server: HttpServer, store: Store) -> None:
    calls = Calls()
    url = server.url("/net.onnx")
    first = resolve(url, calls, store=store)
    assert first.path.read_bytes() == CONTENT
    assert (first.sha256, first.hash, first.source) == (DIGEST, DIGEST[:16], url)
    assert first.licence == "unknown"
    assert calls.of[0] == ("net.onnx", 0, len(CONTENT))
    assert calls.of[-1] == ("net.onnx", len(CONTENT), len(CONTENT))
    server.close()
    assert resolve(url, Calls(), store=store) == first
    assert [path for path, _ in store.models()] == [first.path]
    assert not list(store.folder.rglob("*.part*"))


def test_a_local_path_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.onnx").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    found = resolve("own.onnx")
    assert (found.path, found.sha256, found.source) == (Path("own.onnx"), DIGEST, "local file")
    assert resolve(tmp_path / "own.onnx", sha256=DIGEST.upper()).sha256 == DIGEST
    with pytest.raises(ModelError, match="it is another file"):
        resolve("own.onnx", sha256="0" * 64)
    with pytest.raises(ModelError, match="is no SHA-256"):
        resolve("own.onnx", sha256="beef")


@pytest.mark.parametrize(("name", "beside"), [("a.xml", "a.bin"), ("a.onnx", "a.onnx.data")])
def test_numbers_that_lie_in_another_file_belong_to_the_hash(tmp_path: Path, name: str, beside: str) -> None:
    path = tmp_path / name
    path.write_bytes(CONTENT if name == "a.onnx" else b"<?xml version='1.0'?><net/>")
    alone = resolve(path)
    assert alone.hash == alone.sha256[:16]
    seen = {alone.hash}
    for numbers in (b"one", b"two"):
        (tmp_path / beside).write_bytes(numbers)
        found = resolve(path)
        assert found.sha256 == alone.sha256
        seen.add(found.hash)
    assert len(seen) == 3


def test_a_broken_download_goes_on_where_it_was(server: HttpServer, store: Store) -> None:
    server.routes["/net.onnx"] = breaking(CONTENT, 500_000)
    assert resolve(server.url("/net.onnx"), Calls(), limits=quick(), store=store).sha256 == DIGEST
    (_, first), (_, second) = server.requests
    assert "Range" not in first
    assert (second["Range"], second["If-Range"]) == ("bytes=500000-", '"one"')


def test_another_process_goes_on_where_one_was_killed(server: HttpServer, store: Store) -> None:
    server.routes["/net.onnx"] = body(CONTENT, stall_after=500_000, length=True)
    url = server.url("/net.onnx")
    with pytest.raises(ModelError, match=r"cannot download 'net\.onnx'"):
        resolve(url, Calls(), limits=quick(timeout_s=0.3, attempts=1), store=store)
    server.routes["/net.onnx"] = whole(CONTENT)
    assert resolve(f"{url}#sha256={DIGEST}", Calls(), limits=quick(), store=store).sha256 == DIGEST
    assert server.requests[-1][1]["Range"] == "bytes=500000-"


def test_another_process_goes_on_where_one_was_really_killed(
    server: HttpServer, store: Store, tmp_path: Path
) -> None:
    server.routes["/net.onnx"] = body(CONTENT, bytes_per_s=400_000)
    url = f"{server.url('/net.onnx')}#sha256={DIGEST}"
    code = f"from stages.detect.models.resolve import resolve; resolve({url!r})"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "SIGHTLINE_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert "net.onnx: 0.0 MB of 0.8 MB" in child.stderr.readline()
    part = store.place("net.onnx", server.url("/net.onnx")).with_name("net.onnx.part")
    while part.stat().st_size < 50_000:
        assert child.poll() is None
    child.kill()
    child.communicate(timeout=10)
    server.routes["/net.onnx"] = whole(CONTENT)
    assert resolve(url, Calls(), limits=quick(), store=store).sha256 == DIGEST
    begin = int(server.requests[-1][1]["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 50_000 <= begin < len(CONTENT)


def test_a_file_that_changed_meanwhile_starts_anew(server: HttpServer, store: Store) -> None:
    other = onnx_bytes(150_000)
    server.routes["/net.onnx"] = breaking(CONTENT, 500_000, etag='"old"')
    with pytest.raises(ModelError):
        resolve(server.url("/net.onnx"), Calls(), limits=quick(attempts=1), store=store)
    server.routes["/net.onnx"] = whole(other, etag='"new"')
    found = resolve(server.url("/net.onnx"), Calls(), limits=quick(), store=store)
    assert found.path.read_bytes() == other


def test_a_server_that_cannot_go_on_starts_anew(server: HttpServer, store: Store) -> None:
    answers = iter([body(CONTENT, end_after=400_000), body(CONTENT)])
    server.routes["/net.onnx"] = lambda request: next(answers)(request)
    assert resolve(server.url("/net.onnx"), Calls(), limits=quick(), store=store).sha256 == DIGEST


def test_what_was_first_downloaded_is_compared_with_for_ever(server: HttpServer, store: Store) -> None:
    url = server.url("/net.onnx")
    path = resolve(url, Calls(), store=store).path
    path.unlink()
    server.routes["/net.onnx"] = whole(onnx_bytes(10))
    with pytest.raises(ModelError, match=r"what was downloaded is not what was there.*--forget net\.onnx"):
        resolve(url, Calls(), store=store)
    assert not path.exists()
    store.forget(path)
    assert resolve(url, Calls(), store=store).path == path


def test_a_file_that_was_changed_in_the_cache_is_refused(server: HttpServer, store: Store) -> None:
    url = server.url("/net.onnx")
    path = resolve(url, Calls(), store=store).path
    path.write_bytes(onnx_bytes(10))
    with pytest.raises(ModelError, match="is no longer what was first used"):
        resolve(url, Calls(), store=store)


@pytest.mark.parametrize(("fragment", "argument"), [(f"#sha256={'0' * 64}", ""), ("", "0" * 64)])
def test_a_wrong_digest_is_thrown_away(
    server: HttpServer, store: Store, fragment: str, argument: str
) -> None:
    url = server.url("/net.onnx") + fragment
    with pytest.raises(ModelError, match="was changed on its way, and was thrown away"):
        resolve(url, Calls(), sha256=argument, store=store)
    assert [path.suffix for path in store.folder.rglob("*") if path.is_file()] == [".lock"]


REFUSALS: dict[str, tuple[Route, str]] = {
    "missing": (status(404), r"there is no such file \(404\)"),
    "forbidden": (status(403), r"wants credentials or refuses \(403\)"),
    "broken": (status(503), r"not able to \(503\)"),
    "page": (page("<html>log in</html>"), "is a web page and no weights"),
    "empty": (body(b""), "are an empty file"),
    "cut": (body(CONTENT[:300_000]), "is cut off"),
    "pickle": (body(torch_zip()), "but a zip or PyTorch file"),
    "to a file": (redirect("file:///etc/passwd"), "answers 302"),
    "round": (redirect("/net.onnx"), "answers 302"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_a_server_may_say_instead(server: HttpServer, store: Store, case: str) -> None:
    route, said = REFUSALS[case]
    server.routes["/net.onnx"] = route
    url = server.url("/net.onnx")
    with pytest.raises(ModelError, match=said) as raised:
        resolve(url, Calls(), limits=quick(), store=store)
    assert url in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(store.models()) == []


def test_an_attempt_is_made_again_after_a_pause_that_doubles(server: HttpServer, store: Store) -> None:
    pauses: list[float] = []
    server.routes["/net.onnx"] = status(503)
    limits = quick(attempts=4, sleep=pauses.append)
    with pytest.raises(ModelError):
        resolve(server.url("/net.onnx"), Calls(), limits=limits, store=store)
    assert pauses == [1.0, 2.0, 4.0]
    assert len(server.requests) == 4


def test_chunks_that_break_off_are_noticed(server: HttpServer, store: Store) -> None:
    answers = iter([chunked(CONTENT[:300_000], whole=False), chunked(CONTENT, whole=True)])
    server.routes["/net.onnx"] = lambda request: next(answers)(request)
    assert resolve(server.url("/net.onnx"), Calls(), limits=quick(), store=store).sha256 == DIGEST
    assert len(server.requests) == 2


@pytest.mark.parametrize("length", [True, False])
def test_the_size_is_bounded(server: HttpServer, store: Store, length: bool) -> None:
    server.routes["/net.onnx"] = body(CONTENT, length=length, end_after=len(CONTENT))
    with pytest.raises(ModelError, match="than the 0 MB"):
        resolve(server.url("/net.onnx"), Calls(), limits=quick(max_bytes=100_000), store=store)
    assert list(store.models()) == []


def test_a_trickle_counts_as_silence(server: HttpServer, store: Store) -> None:
    now = iter(range(0, 100_000, 10))
    server.routes["/net.onnx"] = whole(CONTENT)
    limits = quick(slow_bytes_per_s=1e9, clock=lambda: float(next(now)), attempts=1)
    with pytest.raises(ModelError, match="has all but stopped"):
        resolve(server.url("/net.onnx"), Calls(), limits=limits, store=store)


def test_credentials_are_sent_to_their_host_only_and_never_shown(server: HttpServer, store: Store) -> None:
    with HttpServer({"/net.onnx": whole(CONTENT)}) as elsewhere:
        server.routes["/inner"] = protected(redirect(elsewhere.url("/net.onnx")), "me", "s3cret")
        server.routes["/net.onnx"] = protected(redirect("/inner"), "me", "s3cret")
        found = resolve(server.url("/net.onnx", "me:s3cret"), Calls(), store=store)
        assert "Authorization" not in elsewhere.requests[0][1]
    assert found.sha256 == DIGEST
    assert "s3cret" not in found.source
    record = store.record(found.path)
    assert record is not None
    assert "s3cret" not in json.dumps(record.source)
    assert not any("s3cret" in path.read_text() for path in store.folder.rglob("*.json"))
    with pytest.raises(ModelError) as raised:
        resolve(server.url("/none.onnx", "me:s3cret"), Calls(), store=store)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com/a.onnx", "http can be tampered with; use https, or add #sha256"),
        ("ftp://example.com/a.onnx", "models are fetched by https://"),
        ("file:///etc/passwd", "models are fetched by https://"),
        ("https://example.com/", "names no file"),
        ("https://example.com/a.onnx#sha256=12", "is no SHA-256"),
        ("https://example.com/a.onnx#top", "is no '#sha256=DIGEST'"),
    ],
)
def test_urls_that_cannot_be_right(url: str, said: str, store: Store) -> None:
    with pytest.raises(ModelError, match=said):
        resolve(url, Calls(), store=store)


def test_a_url_that_went_through_a_path_is_one(server: HttpServer, store: Store) -> None:
    assert resolve(Path(server.url("/net.onnx")), Calls(), store=store).sha256 == DIGEST


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    """An https server whose certificate is trusted."""
    if not which("openssl"):
        pytest.skip("needs the program openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HttpServer({"/net.onnx": whole(CONTENT)}) as site:
        assert site._server is not None
        site._server.socket = context.wrap_socket(site._server.socket, server_side=True)
        yield site


def test_https_with_its_certificate(
    secure: HttpServer, server: HttpServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secure.url("/net.onnx").replace("http:", "https:")
    assert resolve(url, Calls(), limits=quick(), store=store).sha256 == DIGEST
    secure.routes["/down.onnx"] = redirect(server.url("/net.onnx"))
    down = secure.url("/down.onnx").replace("http:", "https:")
    with pytest.raises(ModelError, match="leads from https to http, which is not followed"):
        resolve(down, Calls(), limits=quick(), store=store)
    assert resolve(f"{down}#sha256={DIGEST}", Calls(), limits=quick(), store=store).sha256 == DIGEST
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ModelError, match=r"certificate verify failed|self.signed"):
        resolve(url.replace("net", "other"), Calls(), limits=quick(), store=store)


def test_offline_the_place_to_put_it_is_named_and_works(store: Store, server: HttpServer) -> None:
    url = server.url("/net.onnx")
    server.close()
    place = store.place("net.onnx", url)
    with pytest.raises(ModelError, match=r"cannot be reached \(Connection refused\)") as raised:
        resolve(url, Calls(), limits=quick(), store=store)
    assert f"copy the file to '{place}'" in str(raised.value)
    assert raised.value.exit_code == 1  # of the world: the configuration is right
    place.write_bytes(CONTENT)
    found = resolve(url, Calls(), store=store)
    assert found.path == place
    assert found.source == f"{url} (put there by hand)"
    place.write_bytes(onnx_bytes(10))
    with pytest.raises(ModelError, match="is no longer what was first used"):
        resolve(url, Calls(), store=store)


def test_two_at_once_fetch_it_once(server: HttpServer, store: Store) -> None:
    server.routes["/net.onnx"] = body(CONTENT, bytes_per_s=4e6)
    found: list[str] = []

    def fetch() -> None:
        found.append(resolve(server.url("/net.onnx"), Calls(), store=store).sha256)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [DIGEST] * 4
    assert len(server.requests) == 1


@pytest.fixture
def small(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> Known:
    """A known model under AGPL that loopback serves."""
    model = Known("yolo0n.pt", server.url("/yolo0n.pt"), "AGPL-3.0", "yolo", "test")
    server.routes["/yolo0n.pt"] = body(torch_zip())
    monkeypatch.setattr(module, "known", lambda name: model if name == model.name else None)
    return model


def test_a_known_name_is_fetched_and_its_licence_told_once(
    small: Known, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = resolve("yolo0n.pt", Calls(), store=store)
    assert (found.path, found.licence) == (store.folder / "yolo0n.pt", "AGPL-3.0")
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("yolo0n.pt is under AGPL-3.0: whoever offers a product")
    caplog.clear()
    found.path.unlink()
    resolve("yolo0n.pt", Calls(), store=store)
    assert caplog.records == []


@pytest.mark.parametrize("by_url", [True, False])
def test_an_export_says_its_licence_itself(
    server: HttpServer, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, by_url: bool
) -> None:
    import onnx

    model = onnx.load_model_from_string(CONTENT)
    onnx.helper.set_model_props(model, {"license": "AGPL-3.0 License (https://ultralytics.com/license)"})
    content = model.SerializeToString()
    (tmp_path / "mine.onnx").write_bytes(content)
    server.routes["/mine.onnx"] = whole(content)
    name = server.url("/mine.onnx") if by_url else tmp_path / "mine.onnx"
    for _ in range(2):
        assert resolve(name, Calls(), store=store).licence == "AGPL-3.0"
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("mine.onnx is under AGPL-3.0")


def test_loopback_is_reached_without_the_proxy(
    server: HttpServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert resolve(server.url("/net.onnx"), Calls(), limits=quick(), store=store).sha256 == DIGEST


def test_a_file_of_a_known_name_in_the_folder_comes_first(
    small: Known, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: HttpServer
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("yolo0n.pt").write_bytes(torch_zip({"own": 1}))
    found = resolve("yolo0n.pt", Calls(), store=store)
    assert (found.path, found.licence, server.requests) == (Path("yolo0n.pt"), "AGPL-3.0", [])


def test_weights_that_would_run_code_are_not_kept(
    small: Known, store: Store, server: HttpServer, tmp_path: Path
) -> None:
    server.routes["/yolo0n.pt"] = body(torch_zip(trap(tmp_path / "trap")))
    with pytest.raises(ModelError, match="would run code"):
        resolve("yolo0n.pt", Calls(), store=store)
    assert list(store.models()) == []
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yolo11nn.pt", r"no weights at 'yolo11nn.pt'; did you mean yolo11n.pt\?"),
        ("folder/yolo11n.pt", "no weights at 'folder/yolo11n.pt'; set 'model' to the path"),
        ("nothing.bin", "sightline models list"),
        ("", "is a folder"),
    ],
)
def test_what_is_nowhere_is_named(text: str, said: str, store: Store) -> None:
    with pytest.raises(ModelError, match=said):
        resolve(text, Calls(), store=store)


def test_a_read_only_cache_is_one_line(server: HttpServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="set SIGHTLINE_CACHE to a writable folder") as raised:
        resolve(server.url("/net.onnx"), Calls(), store=Store(tmp_path / "file/models"))
    assert raised.value.exit_code == 1


def test_the_catalogue_is_consistent() -> None:
    models = list(catalogue())
    assert len({model.name for model in models}) == len(models)
    assert len({model.url for model in models}) == len(models)
    for model in models:
        assert model.url.startswith("https://")
        assert model.url.endswith(f"/{model.name}")
        assert set(model.sha256) <= set("0123456789abcdef")
        assert len(model.sha256) in {0, 8, 64}
    assert (known("yolo11n.pt") or models[0]).sha256.startswith("0ebbc80d")
    assert known("yolo99.pt") is None


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ultralytics") is None, reason="needs the extra 'yolo'")
def test_the_names_are_those_of_ultralytics(tmp_path: Path) -> None:
    code = "from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES as n; print(*n)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_AUTOINSTALL": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {model.name for model in catalogue() if model.stage == "yolo"} <= set(done.stdout.split())
