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


def last_run(url: str) -> str:
    """ID of the last run of `pipeline` that trained a model."""
    query = {
        "flows": {"name": {"any_": ["pipeline"]}},
        "flow_runs": {"state": {"name": {"any_": ["Completed", "Not published"]}}},
        "sort": "END_TIME_DESC",
        "limit": 1,
    }
    response = httpx.post(f"{url}/api/flow_runs/filter", json=query).raise_for_status()
    return response.json()[0]["id"]


def summary_of(url: str, run: str) -> str:
    """ID of a run's summary artifact."""
    query = {"artifacts": {"key": {"any_": ["summary"]}, "flow_run_id": {"any_": [run]}}}
    response = httpx.post(f"{url}/api/artifacts/filter", json=query).raise_for_status()
    return response.json()[0]["id"]


def _save_screenshot(page: Page, name: str) -> None:
    page.wait_for_timeout(3000)
    page.screenshot(path=FOLDER / name)
    print(FOLDER / name)


def main(url: str) -> None:
    """Save both screenshots."""
    with sync_playwright() as driver:
        browser_path = next(filter(None, map(shutil.which, _BROWSERS)), None)
        browser = driver.chromium.launch(
            executable_path=browser_path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport=_SIZE)
        run = last_run(url)
        page.goto(f"{url}/runs/flow-run/{run}")
        page.get_by_text("Finished in state").first.wait_for()
        _save_screenshot(page, "schedule-run.png")
        page.goto(f"{url}/artifacts/artifact/{summary_of(url, run)}")
        page.locator("img[src^='data:image/png']").first.wait_for()
        _save_screenshot(page, "schedule-summary.png")
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:4200")
    main(parser.parse_args().url)
