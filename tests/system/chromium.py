"""A real browser without a window: Debian's Chromium, driven by Selenium."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SIZE = (1280, 800)
PHONE = (390, 844)
_SECONDS = 60
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def programs():
    """Chromium and its driver; a machine for continuous integration has to have both."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in found:
        reason = "There is no chromium with chromedriver on this machine; install chromium and chromium-driver."
        if "CI" in os.environ:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@contextmanager
def chromium(folder, pictures):
    """A browser with an empty profile in a folder."""
    browser, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (*_QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={SIZE[0]},{SIZE[1]}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    service = Service(driver, log_output=subprocess.DEVNULL)
    running = webdriver.Chrome(options=options, service=service)
    try:
        yield Screen(running, Path(pictures), folder / "downloads")
    finally:
        running.quit()


class Screen:
    """What a person sees and does.

    Args:
        driver: The browser.
        pictures: Folder for screenshots.
        downloads: Folder in which downloaded files appear.
    """

    def __init__(self, driver, pictures, downloads):
        self.driver = driver
        self.pictures = pictures
        self.downloads = downloads
        pictures.mkdir(parents=True, exist_ok=True)

    def open(self, url):
        """Go to an address."""
        self.driver.switch_to.default_content()
        self.driver.get(url)

    def enter(self, name="CRM"):
        """Go on inside Airflow's frame of that title, once its page is there."""
        self.driver.switch_to.default_content()
        frame = self.wait(lambda: self.all(f'iframe[title="{name}"]'))[0]
        self.driver.switch_to.frame(frame)
        self.wait(lambda: self.all("main#content h1"))

    def all(self, selector):
        """The elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        """The element of a CSS selector, once it is there."""
        return self.wait(lambda: self.all(selector))[0]

    def click(self, words, tag="*"):
        """Click what says exactly these words."""
        path = f"//{tag}[normalize-space()={words!r}]"
        self.wait(lambda: self.driver.find_elements(By.XPATH, path))[-1].click()

    def type(self, selector, text):
        """Write into a field instead of what is there."""
        field = self.one(selector)
        field.clear()
        field.send_keys(text)
        return field

    def text(self):
        """All visible text."""
        return self.one("body").text

    def wait(self, condition, seconds=_SECONDS):
        """Wait until something is so; returns what the condition found."""
        return WebDriverWait(self.driver, seconds, poll_frequency=0.1).until(
            lambda _: condition(), f"The page was:\n{self.driver.current_url}\n{self.driver.page_source[:3000]}"
        )

    def says(self, words, seconds=_SECONDS):
        """Wait until the page shows some words."""
        return self.wait(lambda: words in self.driver.find_element(By.TAG_NAME, "body").text, seconds)

    def picture(self, name, *, whole=False):
        """Keep a screenshot: of what the window shows, or of the whole page."""
        shown = {"format": "png", "captureBeyondViewport": True} if whole else {"format": "png"}
        if whole:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            shown["clip"] = {"x": 0, "y": 0, "scale": 1, "width": size["width"], "height": size["height"]}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", shown)["data"]
        (self.pictures / f"{name}.png").write_bytes(base64.b64decode(taken))

    def theme(self, name):
        """Show pages as for a person who prefers `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def errors(self):
        """What the console tells as errors since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def barriers(self):
        """Serious violations of accessibility that axe-core finds in this document: rule and place."""
        (script,) = (file.read_text() for file in files("axe-playwright-python") if file.name == "axe.min.js")
        run = "const done = arguments[0]; axe.run(document, {iframes: false}).then(done);"
        self.driver.execute_script(script)
        found = self.driver.execute_async_script(run)["violations"]
        return [
            (one["id"], node["target"], node["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
