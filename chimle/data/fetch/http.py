"""Files behind HTTP and HTTPS."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http.client import responses
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from chimle.data.fetch.checksums import Version
from chimle.data.fetch.download import Reply
from chimle.data.fetch.source_addresses import plain
from chimle.errors import TRANSIENT_STATUSES, TransientError, UserError

_MOST_REDIRECTS = 10
_PIECE = 256 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_UNREADABLE = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.LocationParseError,
    ValueError,
)
_BROKEN = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)


class HttpFile:
    """A file behind an address (`download.Remote`)."""

    def __init__(self, address: str, timeout: float) -> None:
        """A file; nothing is asked yet.

        Args:
            address: `http://` or `https://`.
            timeout: seconds of silence that count as a failure.
        """
        self._address, self._timeout = address, timeout

    @property
    def name(self) -> str:
        """The address without user, password and query."""
        return plain(self._address)

    def probe(self) -> Version:
        """Its version; raises as `open`."""
        with requests.Session() as session:
            with self._asked(session, "HEAD", {}) as response:
                if response.status_code < 400:
                    return self._version(response)
                if response.status_code in TRANSIENT_STATUSES:
                    raise self._refusal(response)
            # Some servers answer HEAD to nobody, others only to whom they know.
            with self._asked(session, "GET", {"Range": "bytes=0-0"}) as response:
                if response.status_code >= 400:
                    raise self._refusal(response)
                return self._version(response)

    @contextmanager
    def open(self, start: int, version: Version) -> Iterator[Reply]:
        """Its bytes; see `download.Remote`."""
        strong = version.etag if version.etag and not version.etag.startswith("W/") else None
        condition = strong or version.modified
        if start and condition:
            asked = {"Range": f"bytes={start}-", "If-Range": condition}
        else:
            asked, start = {}, 0
        with requests.Session() as session:
            with self._asked(session, "GET", asked) as response:
                after = self._version(response)
                if start and _starts_at(response, start) and after.matches(version):
                    yield Reply(after, start, self._pieces(response))
                    return
                if response.status_code == 200:
                    yield Reply(after, 0, self._pieces(response))
                    return
                if response.status_code not in (206, 416):
                    raise self._refusal(response)
            # What lies here is longer than the file is now, or another part came than was asked.
            with self._asked(session, "GET", {}) as response:
                if response.status_code != 200:
                    raise self._refusal(response)
                yield Reply(self._version(response), 0, self._pieces(response))

    @contextmanager
    def _asked(
        self, session: requests.Session, method: str, headers: dict[str, str]
    ) -> Iterator[requests.Response]:
        """The answer after all redirects, with its body still to come."""
        address = self._address
        headers = {"Accept-Encoding": "identity", "User-Agent": "chimle", **headers}
        for _ in range(_MOST_REDIRECTS + 1):
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
                    "mend the address in `source.archives`"
                ) from None
            except _UNREADABLE:
                raise self._unreadable() from None
            except _BROKEN as error:
                raise TransientError(self._said(error)) from None
            with response:
                if not response.is_redirect:
                    yield response
                    return
                address = self._redirected(address, response.headers["Location"])
        raise UserError(
            f"{self.name} redirects more than {_MOST_REDIRECTS} times: mend its address"
        )

    def _unreadable(self) -> UserError:
        return UserError(f"`source.archives`: {self.name} leads to no valid address: mend it")

    def _redirected(self, address: str, target: str) -> str:
        try:
            after = urljoin(address, target)
            scheme = urlsplit(after).scheme
        except ValueError:
            raise self._unreadable() from None
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
            size = size or None  # Nothing is what some servers say to HEAD of any file.
        return Version(size, headers.get("ETag"), headers.get("Last-Modified"))

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The body as it is sent; `PassingError` where it breaks off."""
        try:
            # read1 hands over what is there: a kill loses no more than that.
            while piece := response.raw.read1(_PIECE, decode_content=False):
                yield piece
        except _BROKEN as error:
            raise TransientError(self._said(error)) from None

    def _refusal(self, response: requests.Response) -> Exception:
        status = response.status_code
        said = f"the server answers {status} {responses.get(status, '')}".rstrip()
        if status in TRANSIENT_STATUSES:
            return TransientError(said, _retry_after(response))
        mend = {
            401: "its server wants a user: https://USER:PASSWORD@HOST/... or a .netrc",
            403: "ask its owner for access or download it by hand",
            404: "mend its address in `source.archives`",
            410: "it is gone for good, name another address in `source.archives`",
        }.get(status, "mend its address in `source.archives`")
        return UserError(f"{self.name} cannot be fetched ({said}): {mend}")

    def _said(self, error: BaseException) -> str:
        """Why a connection failed, in words that hold no address: that may have a password."""
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
    """Whether it is the part that was asked for."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and match is not None and int(match[1]) == start


def _retry_after(response: requests.Response) -> float | None:
    """Seconds of a `Retry-After` header, in either of its two forms."""
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
