"""Bundles on S3: in parts, checked, a version per content, never overwritten."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest

from chimle.errors import TransientError, UserError
from flows.bundles import Published, check_address, list_artifacts, upload
from tests.support.helpers import ROOT
from tests.support.servers import CREDENTIALS, free_port, s3_server

BUCKET = "models"
_PASSED = ("content-type", "etag", "last-modified", "content-length", "location")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(autouse=True)
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}.items():
        monkeypatch.setenv(key, value)
    boto3.client("s3").create_bucket(Bucket=BUCKET)


def test_a_large_bundle_goes_in_parts_and_comes_back_equal(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(bytes(range(256)) * 80_000)
    published = upload(file, "colourization", f"s3://{BUCKET}/sets")
    key = published.address.removeprefix(f"s3://{BUCKET}/")
    assert key == f"sets/colourization/colourization-{published.version}.zip"
    head = boto3.client("s3").head_object(Bucket=BUCKET, Key=key)
    assert head["ETag"].strip('"').endswith("-3")
    assert head["Metadata"]["sha256"] == published.sha256
    assert upload(file, "colourization", f"s3://{BUCKET}/sets/") == published
    again = boto3.client("s3").head_object(Bucket=BUCKET, Key=key)
    assert again["LastModified"] == head["LastModified"]


def checksums_refused(store: str) -> type[BaseHTTPRequestHandler]:
    """A server before a store that knows no checksum headers, as some stores do not."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            names = " ".join(self.headers).lower()
            chunked = "aws-chunked" in self.headers.get("Content-Encoding", "")
            if "checksum" in names or "x-amz-trailer" in names or chunked:
                status, headers = 501, {}
                content = b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
            else:
                to = HTTPConnection(store.removeprefix("http://"), timeout=30)
                to.request(self.command, self.path, body, dict(self.headers))
                response = to.getresponse()
                status, content = response.status, response.read()
                headers = {k.title(): v for k, v in response.getheaders() if k.lower() in _PASSED}
            self.send_response(status)
            headers.setdefault("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._forward()

        def do_PUT(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            self._forward()

        def log_message(self, *words: object) -> None:
            """Print nothing."""

    return Handler


@pytest.mark.parametrize("size", [1000, 9 * 2**20])
def test_a_store_that_refuses_checksum_headers_works_with_boto3_s_switches(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(bytes(range(250)) * (size // 250))
    with ThreadingHTTPServer(("127.0.0.1", 0), checksums_refused(endpoint)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UserError, match="AWS_REQUEST_CHECKSUM_CALCULATION=when_required"):
            upload(file, "task", f"s3://{BUCKET}/refused")
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        published = upload(file, "task", f"s3://{BUCKET}/refused")
        server.shutdown()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    key = published.address.removeprefix(f"s3://{BUCKET}/")
    stored = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert stored == file.read_bytes()


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(b"one")
    published = upload(file, "task", f"s3://{BUCKET}")
    key = published.address.removeprefix(f"s3://{BUCKET}/")
    client = boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key=key, Body=b"somebody else's")
    with pytest.raises(UserError, match="holds other content"):
        upload(file, "task", f"s3://{BUCKET}")
    assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"somebody else's"


def test_what_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(b"one")
    with pytest.raises(UserError, match="there is no such bucket"):
        upload(file, "task", "s3://no-such-bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TransientError, match="cannot be written") as caught:
        upload(file, "task", f"s3://{BUCKET}")
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)


def read_only(status: int, code: str) -> type[BaseHTTPRequestHandler]:
    """An empty store that answers a writer with this status and code."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, code: str) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer(404, "NoSuchKey")

        def do_PUT(self) -> None:
            self._answer(status, code)

        def do_POST(self) -> None:
            self._answer(status, code)

        def log_message(self, *words: object) -> None:
            """Print nothing."""

    return Handler


@pytest.mark.parametrize("size", [1000, 9 * 2**20])
@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (503, "SlowDown", TransientError, "its server is busy"),
        (403, "AccessDenied", UserError, "access is denied"),
    ],
)
def test_what_a_store_says_to_a_writer_decides_whether_it_is_asked_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    status: int,
    code: str,
    kind: type[Exception],
    reason: str,
) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(bytes(size))
    with ThreadingHTTPServer(("127.0.0.1", 0), read_only(status, code)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(kind, match=f"cannot be written .{reason}"):
            upload(file, "task", f"s3://{BUCKET}")
        server.shutdown()


@pytest.mark.parametrize("address", ["bucket", "s3://", "s3:///x", "https://a/b"])
def test_addresses_are_checked(address: str) -> None:
    with pytest.raises(UserError, match="write s3://BUCKET/PREFIX"):
        check_address(address)
    assert check_address("s3://bucket/a/b/") == ("bucket", "a/b")


def test_artifacts_are_listed_and_comments_stay(tmp_path: Path) -> None:
    file = tmp_path / "dvc.yaml"
    before = (ROOT / "dvc.yaml").read_text()
    file.write_text(before)
    list_artifacts(file, {"colourization": Published("abc", "s3://b/c.zip", "ff")})
    added = set(file.read_text().splitlines()) - set(before.splitlines())
    assert {line.strip() for line in added} == {
        "meta:",
        "version: abc",
        "address: s3://b/c.zip",
        "sha256: ff",
    }
    assert set(before.splitlines()) <= set(file.read_text().splitlines())
