"""A model hub on this machine: the part of the Hugging Face protocol that bundles need.

Repositories live in memory. What is written needs the token, as does what is private.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

TOKEN = "hf_do-not-print-me"
LARGE = (".safetensors", ".png")
"""Files that are uploaded through LFS."""


@dataclass
class Repository:
    """Branches by name, commits by id, each with its files."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        """Add files to a branch."""
        before = self.commits.get(self.branches.get(branch, ""), {})
        content = {**before, **files}
        oid = hashlib.sha1(repr(sorted(content.items())).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = content, oid
        return oid


@dataclass
class Hub:
    """The server's address and what it holds.

    Attributes:
        address: for HF_ENDPOINT.
        repositories: by `user/name`.
        blobs: uploaded large files, by SHA-256.
        requests: method and path of every request.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def put(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch of a repository, which is made where missing; the commit."""
        return self.repositories.setdefault(name, Repository()).commit(branch, files)


def _missing(kind: str) -> Response:
    return Response(kind, 404, {"X-Error-Code": f"{kind}NotFound", "X-Error-Message": kind})


def _authorised() -> bool:
    return request.headers.get("Authorization") == f"Bearer {TOKEN}"


def _files(hub: Hub, lines: list[dict[str, Any]]) -> dict[str, bytes]:
    """The files of a commit's lines."""
    files = {}
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        if line["key"] == "lfsFile":
            files[value["path"]] = hub.blobs[value["oid"]]
    return files


def _writes(app: Flask, hub: Hub) -> None:
    @app.post("/api/repos/create")
    def create() -> Any:
        wanted = request.get_json()
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in hub.repositories:
            return jsonify(error="exists", url=f"{hub.address}/{name}"), 409
        repository = hub.repositories[name] = Repository(wanted.get("visibility") == "private")
        repository.commit("main", {".gitattributes": b""})
        return jsonify(url=f"{hub.address}/{name}", name=name, id=name)

    @app.post("/api/models/<user>/<name>/branch/<path:branch>")
    def make_branch(user: str, name: str, branch: str) -> Any:
        repository = hub.repositories[f"{user}/{name}"]
        if branch in repository.branches:
            return jsonify(error="exists"), 409
        repository.branches[branch] = repository.branches["main"]
        return jsonify(url=f"{hub.address}/{user}/{name}/tree/{branch}")

    @app.post("/api/validate-yaml")
    def validate() -> Any:
        return jsonify(errors=[], warnings=[])

    @app.post("/api/models/<path:place>/preupload/<path:revision>")
    def preupload(**_: str) -> Any:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for file in request.get_json()["files"]
        ]
        return jsonify(files=files)

    @app.post("/<path:place>.git/info/lfs/objects/batch")
    def batch(**_: str) -> Any:
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{hub.address}/lfs/{wanted['oid']}"}}}
            for wanted in request.get_json()["objects"]
        ]
        return jsonify(transfer="basic", objects=objects)

    @app.put("/lfs/<oid>")
    def put(oid: str) -> Any:
        hub.blobs[oid] = request.get_data()
        assert hashlib.sha256(hub.blobs[oid]).hexdigest() == oid
        return ""

    @app.post("/api/models/<user>/<name>/commit/<path:revision>")
    def commit(user: str, name: str, revision: str) -> Any:
        lines = [json.loads(line) for line in request.get_data().splitlines()]
        oid = hub.repositories[f"{user}/{name}"].commit(revision, _files(hub, lines))
        return jsonify(
            success=True,
            commitOid=oid,
            commitUrl=f"{hub.address}/{user}/{name}/commit/{oid}",
            hookOutput="",
        )


def _reads(app: Flask, hub: Hub) -> None:
    def find(user: str, name: str, revision: str) -> tuple[str, dict[str, bytes]] | Response:
        repository = hub.repositories.get(f"{user}/{name}")
        if repository is None or (repository.private and not _authorised()):
            return _missing("Repo")
        oid = repository.branches.get(revision, revision)
        if oid not in repository.commits:
            return _missing("Revision")
        return oid, repository.commits[oid]

    @app.get("/<user>/<name>/resolve/<revision>/<path:file>")
    def resolve(user: str, name: str, revision: str, file: str) -> Response:
        found = find(user, name, revision)
        if isinstance(found, Response):
            return found
        oid, files = found
        if file not in files:
            missing = _missing("Entry")
            missing.headers["X-Repo-Commit"] = oid
            return missing
        content = files[file]
        etag = hashlib.sha256(content).hexdigest()
        return Response(content, headers={"X-Repo-Commit": oid, "ETag": f'"{etag}"'})

    @app.get("/api/models/<user>/<name>")
    @app.get("/api/models/<user>/<name>/revision/<revision>")
    def info(user: str, name: str, revision: str = "main") -> Any:
        found = find(user, name, revision)
        if isinstance(found, Response):
            return found
        oid, files = found
        siblings = [{"rfilename": file} for file in sorted(files)]
        return jsonify(id=f"{user}/{name}", sha=oid, siblings=siblings, private=False, tags=[])


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub with nothing in it, in a thread of this process."""
    app, hub = Flask(__name__), Hub()

    @app.before_request
    def note() -> Any:
        hub.requests.append(f"{request.method} {request.path}")
        # Large files go to addresses that are signed.
        signed = request.path.startswith("/lfs/")
        if request.method not in ("GET", "HEAD") and not signed and not _authorised():
            return Response("", 401)
        return None

    _writes(app, hub)
    _reads(app, hub)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
