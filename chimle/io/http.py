"""Remote files over HTTP and HTTPS."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http.client import responses
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from chimle.errors import TRANSIENT_STATUSES, TransientError, UserError
from chimle.io.download import Reply
from chimle.io.urls import plain
from chimle.io.versions import Version

_MAX_REDIRECTS = 10
_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_INVALID_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.LocationParseError,
    ValueError,
)
_CONNECTION_ERRORS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)


class HttpFile:
    """A file over HTTP (`download.Remote`)."""

    def __init__(self, address: str, timeout: float, field: str) -> None:
        """A file; nothing is requested yet.

        Args:
            address: `http://` or `https://`.
            timeout: seconds without a byte that count as a failure.
            field: where the address is written, for messages.
        """
        self._address, self._timeout, self._field = address, timeout, field

    @property
    def name(self) -> str:
        """The address without user, password and query."""
        return plain(self._address)

    def probe(self) -> Version:
        """Its version; raises as `open`."""
        with requests.Session() as session:
            with self._request(session, "HEAD", {}) as response:
                if response.status_code < 400:
                    return self._version(response)
                if response.status_code in TRANSIENT_STATUSES:
                    raise self._status_error(response)
            # Some servers refuse HEAD, always or without a login.
            with self._request(session, "GET", {"Range": "bytes=0-0"}) as response:
                if response.status_code >= 400:
                    raise self._status_error(response)
                return self._version(response)

    @contextmanager
    def open(self, start: int, version: Version) -> Iterator[Reply]:
        """Its bytes; see `download.Remote`."""
        strong = version.etag if version.etag and not version.etag.startswith("W/") else None
        condition = strong or version.modified
        if start and condition:
            range_headers = {"Range": f"bytes={start}-", "If-Range": condition}
        else:
            range_headers, start = {}, 0
        with requests.Session() as session:
            with self._request(session, "GET", range_headers) as response:
                after = self._version(response)
                if start and _starts_at(response, start) and after.matches(version):
                    yield Reply(after, start, self._chunks(response))
                    return
                if response.status_code == 200:
                    yield Reply(after, 0, self._chunks(response))
                    return
                if response.status_code not in (206, 416):
                    raise self._status_error(response)
            # The part here is longer than the file now is, or the server sent another range.
            with self._request(session, "GET", {}) as response:
                if response.status_code != 200:
                    raise self._status_error(response)
                yield Reply(self._version(response), 0, self._chunks(response))

    @contextmanager
    def _request(
        self, session: requests.Session, method: str, headers: dict[str, str]
    ) -> Iterator[requests.Response]:
        """The response after all redirects; its body is not read yet."""
        address = self._address
        headers = {"Accept-Encoding": "identity", "User-Agent": "chimle", **headers}
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                response = session.request(
                    method,
                    address,
                    headers=headers,
                    stream=True,
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except requests.exceptions.SSLError:
                raise UserError(
                    f"{self.name} cannot be fetched (no valid TLS connection): "
                    f"fix the address in {self._field}"
                ) from None
            except _INVALID_ADDRESS:
                raise self._invalid_address() from None
            except _CONNECTION_ERRORS as error:
                raise TransientError(self._describe(error)) from None
            with response:
                if not response.is_redirect:
                    yield response
                    return
                address = self._redirect_target(address, response.headers["Location"])
        raise UserError(f"{self.name} redirects more than {_MAX_REDIRECTS} times: fix its address")

    def _invalid_address(self) -> UserError:
        return UserError(f"{self._field}: {self.name} leads to no valid address: fix it")

    def _redirect_target(self, address: str, target: str) -> str:
        try:
            after = urljoin(address, target)
            scheme = urlsplit(after).scheme
        except ValueError:
            raise self._invalid_address() from None
        if scheme not in ("http", "https"):
            raise UserError(f"{self.name} redirects to `{scheme}:`: only http and https are read")
        if urlsplit(address).scheme == "https" and scheme == "http":
            raise UserError(
                f"{self.name} redirects from https to http, which anyone on the way could change: "
                "name an https address"
            )
        return after

    def _version(self, response: requests.Response) -> Version:
        headers = response.headers
        if response.status_code == 206:
            match = _RANGE.fullmatch(headers.get("Content-Range", ""))
            size = int(match[3]) if match else None
        else:
            length = headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() else None
        if response.request.method == "HEAD":
            size = size or None  # Some servers answer HEAD with length 0.
        return Version(size, headers.get("ETag"), headers.get("Last-Modified"))

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The raw body; raises `TransientError` where it breaks off."""
        try:
            # read1 returns what is there, so a kill loses no more than that.
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                yield chunk
        except _CONNECTION_ERRORS as error:
            raise TransientError(self._describe(error)) from None

    def _status_error(self, response: requests.Response) -> Exception:
        status = response.status_code
        answer = f"the server answers {status} {responses.get(status, '')}".rstrip()
        if status in TRANSIENT_STATUSES:
            return TransientError(answer, _retry_after(response))
        fix = {
            401: "its server wants a user: https://USER:PASSWORD@HOST/... or a .netrc",
            403: "ask its owner for access or download it by hand",
            404: f"fix its address in {self._field}",
            410: f"it is gone for good, name another address in {self._field}",
        }.get(status, f"fix its address in {self._field}")
        return UserError(f"{self.name} cannot be fetched ({answer}): {fix}")

    def _describe(self, error: BaseException) -> str:
        """Why a connection failed, without the address, which may hold a password."""
        seen: list[BaseException] = []
        todo: list[BaseException] = [error]
        while todo:
            one = todo.pop(0)
            if one in seen:
                continue
            seen.append(one)
            reasons = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
            todo += [reason for reason in reasons if isinstance(reason, BaseException)]
        if any(isinstance(one, urllib3.exceptions.NameResolutionError) for one in seen):
            return f"the host {urlsplit(self._address).hostname} is unknown"
        for one in seen:
            if isinstance(one, OSError) and one.strerror and not isinstance(one, TimeoutError):
                return one.strerror.lower()
        timeouts = (TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
        if any(isinstance(one, timeouts) for one in seen):
            return f"the server was silent for {self._timeout:g} seconds"
        return "the connection broke off"


def _starts_at(response: requests.Response, start: int) -> bool:
    """Whether the response is the requested range."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and match is not None and int(match[1]) == start


def _retry_after(response: requests.Response) -> float | None:
    """Seconds of a `Retry-After` header, given as a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until, now = (
            parsedate_to_datetime(text) for text in (value, response.headers.get("Date", ""))
        )
        seconds = (until - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
