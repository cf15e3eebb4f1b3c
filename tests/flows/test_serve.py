"""`make serve` answers its own page, after a login, and nobody else; an operator's changes stay."""

import http.server
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chimle.errors import UserError
from flows.command import NOTIFY
from flows.login import FILE, load_login
from flows.serve import serve
from tests.support.browsers import new_page
from tests.support.repositories import run, tiny_repository
from tests.support.stack import Stack, add_flows, serving

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
ATTACK = """
<script>
const api = "%s/api", headers = {"Content-Type": "application/json"};
async function post(path, body, mode) {
  const body_ = JSON.stringify(body);
  const answer = await fetch(api + path, {method: "POST", headers, body: body_, mode});
  return mode ? {} : answer.json();
}
async function attack(mode) {
  const flow = await post("/flows/", {name: "evil"}, mode);
  const shell = {"prefect.deployments.steps.run_shell_script": {script: "touch %s"}};
  const deployment = await post("/deployments/", {
    name: "evil", flow_id: flow.id, entrypoint: "x.py:x", work_pool_name: "chimle",
    pull_steps: [shell]}, mode);
  return post("/deployments/" + deployment.id + "/create_flow_run", {}, mode);
}
Promise.allSettled([attack(), attack("no-cors")]).then(
  results => { document.title = results.map(each => each.status).join(" "); });
</script>
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny_repository(tmp_path_factory.mktemp("serve") / "project")
    add_flows(root)
    return root


@pytest.fixture(scope="module")
def stack(root: Path) -> Iterator[Stack]:
    with serving(root, slots=1) as running:
        yield running


@contextmanager
def web_page(text: str) -> Iterator[str]:
    """The address of a page on another port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_login_is_a_secret_file_and_is_needed(stack: Stack, root: Path) -> None:
    assert stat.S_IMODE((root / FILE).stat().st_mode) == 0o600
    assert len(stack.login) > 30
    for auth in (None, ("chimle", "guess")):
        got = httpx.post(f"{stack.url}/api/flows/filter", json={}, auth=auth, timeout=60)
        assert got.status_code == 401
    assert {flow["name"] for flow in stack.ask("/flows/filter")} >= {"pipeline", "train"}
    assert stack.login.split(":")[1] not in stack.output()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:4200"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
    ],
)
def test_foreign_hosts_and_origins_are_refused(
    stack: Stack, headers: dict[str, str], status: int
) -> None:
    for path in ("/api/admin/version", "/ui-settings"):
        got = stack.client.get(f"{stack.url}{path}", headers=headers)
        assert got.status_code == status, (path, headers)


def test_a_web_page_cannot_run_a_command(stack: Stack, browser: Any, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    with web_page(ATTACK % (stack.url, mark)) as address:
        page = new_page(browser)
        statuses: list[int] = []
        page.on("response", lambda got: statuses.append(got.status))
        page.goto(address)
        page.wait_for_function("document.title != ''")
        # Without CORS the page cannot read what the server answers, a refusal.
        assert page.title() == "rejected fulfilled"
        while statuses.count(403) < 2:  # The browser tells of an answer beside the page.
            page.wait_for_event("response")
        page.close()
    assert "evil" not in {flow["name"] for flow in stack.ask("/flows/filter")}
    assert not stack.ask("/deployments/filter", deployments={"name": {"any_": ["evil"]}})
    assert not mark.exists()


def test_the_page_works_after_one_login(stack: Stack, browser: Any) -> None:
    page = new_page(browser)
    page.goto(f"{stack.url}/deployments")
    page.wait_for_selector("input[type=password]").fill(stack.login)
    page.keyboard.press("Enter")
    page.get_by_text("nightly").first.wait_for()
    page.goto(f"{stack.url}/flows")
    page.get_by_text("pipeline").first.wait_for()
    page.close()


def test_the_printed_commands_work(stack: Stack, root: Path) -> None:
    export = next(line for line in stack.output().splitlines() if "export PREFECT" in line)
    listed = run(root, "bash", "-c", f"{export} && prefect deployment ls")
    assert "pipeline/nightly" in listed


def test_a_second_deployment_keeps_what_an_operator_has_set(stack: Stack, root: Path) -> None:
    name = "/deployments/name/pipeline/nightly"
    found = stack.client.get(name).raise_for_status().json()
    path = f"/deployments/{found['id']}/schedules"
    (nightly,) = found["schedules"]
    stack.client.patch(f"{path}/{nightly['id']}", json={"active": False}).raise_for_status()
    by_hand = {"schedule": {"cron": "30 4 * * 6", "timezone": "UTC"}, "active": True}
    stack.client.post(path, json=[by_hand]).raise_for_status()
    export = next(line for line in stack.output().splitlines() if "export PREFECT" in line)
    # A terminal beside `make serve` has these two variables and no other.
    run(root, "bash", "-c", f"{export} && python -m flows.deployments")
    again = stack.client.get(name).raise_for_status().json()
    assert again["pull_steps"] == found["pull_steps"]
    assert str(root) in str(again["pull_steps"])
    schedules = again["schedules"]
    active = {each["schedule"]["cron"]: each["active"] for each in schedules}
    assert active == {"0 2 * * *": False, "30 4 * * 6": True}
    assert len(schedules) == 2


def test_a_setup_beside_it_keeps_notifications(stack: Stack, root: Path) -> None:
    export = next(line for line in stack.output().splitlines() if "export PREFECT" in line)
    found = []
    for more in ({NOTIFY: "json://127.0.0.1:9/a"}, {}, {NOTIFY: ""}):
        setup = f"{export} && python -m flows.setup_server --slots 2"
        run(root, "bash", "-c", setup, env=more)
        found.append({each["id"] for each in stack.ask("/automations/filter")})
    told, kept, removed = found
    assert told == kept
    assert len(told - removed) > len(removed - told)


def test_a_number_of_slots_below_one_is_a_sentence(root: Path) -> None:
    for program in ("setup_server", "serve"):
        said = run(root, "python", "-m", f"flows.{program}", "--slots", "0", check=False)
        assert said.splitlines()[-1].endswith("argument --slots: `0` is not a number from 1 on")


def test_a_taken_port_is_refused_before_anything_starts(stack: Stack, root: Path) -> None:
    port = int(stack.url.rpartition(":")[2])
    with pytest.raises(UserError, match=f"another program already uses port {port}"):
        serve(root, "127.0.0.1", port, None, [])


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "::2", "a..b", "a" * 99])
def test_an_address_that_is_not_this_machine_s_is_a_sentence(tmp_path: Path, host: str) -> None:
    with pytest.raises(UserError, match=r"nothing can listen on port 4201 of .*: name an"):
        serve(tmp_path, host, 4201, None, [])


def test_a_login_that_others_may_read_is_refused(tmp_path: Path) -> None:
    login = load_login(tmp_path)
    assert load_login(tmp_path) == login
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(UserError, match="may be read by other users"):
        load_login(tmp_path)
