"""`python docs/schedule_screenshots.py URL`: take the screenshots of docs/howto-schedule.md.

Opens the last completed run of `pipeline` of a running Prefect server in headless Chromium and
saves two pages: its graph with its log, and its summary.
"""

import argparse
import shutil
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parent
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SIZE = {"width": 1280, "height": 900}


def log_in(page: Page, url: str, login: str) -> None:
    """Use the login form."""
    page.goto(url)
    page.locator("input[type=password]").fill(login)
    page.keyboard.press("Enter")
    page.get_by_text("Dashboard").first.wait_for()


def last_run(client: httpx.Client) -> str:
    """ID of the last run of `pipeline` that trained a model."""
    query = {
        "flows": {"name": {"any_": ["pipeline"]}},
        "flow_runs": {"state": {"name": {"any_": ["Completed", "Not published"]}}},
        "sort": "END_TIME_DESC",
        "limit": 1,
    }
    response = client.post("/api/flow_runs/filter", json=query).raise_for_status()
    return response.json()[0]["id"]


def summary_of(client: httpx.Client, run: str) -> str:
    """ID of a run's summary artifact."""
    query = {"artifacts": {"key": {"any_": ["summary"]}, "flow_run_id": {"any_": [run]}}}
    response = client.post("/api/artifacts/filter", json=query).raise_for_status()
    return response.json()[0]["id"]


def _save_screenshot(page: Page, name: str) -> None:
    page.wait_for_timeout(3000)
    page.screenshot(path=FOLDER / name)
    print(FOLDER / name)


def main(url: str, login: str) -> None:
    """Save both screenshots."""
    user, password = login.split(":", 1)
    client = httpx.Client(base_url=url, auth=(user, password))
    with sync_playwright() as driver:
        browser_path = next(filter(None, map(shutil.which, _BROWSERS)), None)
        browser = driver.chromium.launch(
            executable_path=browser_path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport=_SIZE)
        log_in(page, url, login)
        run = last_run(client)
        page.goto(f"{url}/runs/flow-run/{run}")
        page.get_by_text("Finished in state").first.wait_for()
        _save_screenshot(page, "schedule-run.png")
        page.goto(f"{url}/artifacts/artifact/{summary_of(client, run)}")
        page.locator("img[src^='data:image/png']").first.wait_for()
        _save_screenshot(page, "schedule-summary.png")
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:4200")
    parser.add_argument("--login", type=Path, default=Path(".prefect/login"), help="file")
    arguments = parser.parse_args()
    main(arguments.url, arguments.login.read_text().strip())
