# SPDX-License-Identifier: MIT
"""The page of "automapost dev run" in a browser, as somebody sees it who writes the application."""

import contextlib
import signal
import time

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness.process import Child
from .cli_fixtures import environment
from .laptop import Laptop

# What a page must show as it is, and not take for its own.
HOSTILE = "<script>document.title = 'taken'</script> & \"quotes\" <b>bold</b>\n\nعربى 👩‍👩‍👧 " + "long" * 40


@pytest.fixture
def laptop(build):
    with contextlib.closing(Laptop(build)) as made:
        yield made


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                     "no-first-run", "disable-sync", "disable-background-networking",
                     "disable-component-update", f"user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver", log_path=str(tmp_path / "log")),
                              options=options)
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def steady(browser, look):
    """What a look says that was not disturbed: the page loads itself anew every few seconds."""
    return WebDriverWait(browser, 30, ignored_exceptions=[StaleElementReferenceException]).until(
        lambda _: look())


def texts(browser) -> list:
    return steady(browser, lambda: [p.text for p in browser.find_elements(By.CSS_SELECTOR, "article p")])


def opened(browser) -> tuple:
    """Of the post that the address names: its text, and what would have been sent, before and after a
    click."""
    post = browser.find_element(By.CSS_SELECTOR, "article:target")
    request = post.find_element(By.TAG_NAME, "pre")
    closed = request.text       # what is not displayed has none
    post.find_element(By.TAG_NAME, "summary").click()
    return post.find_element(By.TAG_NAME, "p").text, closed, request.text


def test_the_page_of_dev_run(laptop, browser):
    page = laptop.database / "sandbox" / "index.html"
    run = Child("dev run", [laptop.build.program("automapost"), "dev", "run"], laptop.home / "run.log",
                env=environment(**laptop.env))
    try:
        run.wait_until(lambda: "Finished: " in run.output(), time.monotonic() + 60)
        assert f"file://{page}" in run.output()
    finally:
        run.stop(signal.SIGINT, 60)

    browser.get(f"file://{page}")
    samples = texts(browser)
    assert any("This sample post was due" in text for text in samples)
    providers = steady(browser, lambda: {b.text for b in browser.find_elements(By.CSS_SELECTOR, "header b")})
    assert {"LinkedIn", "Bluesky", "Mastodon"} <= providers

    # What comes while it is open is there a little later, without a hand on it, and on top.
    post = laptop.post(HOSTILE, first_comment="the comment")
    laptop.publish()
    WebDriverWait(browser, 30).until(lambda _: len(texts(browser)) == len(samples) + 2)
    assert texts(browser)[:2] == ["the comment", HOSTILE]
    assert browser.title == "Sandbox" and not browser.find_elements(By.CSS_SELECTOR, "article p b")

    # The link that the application has of it leads to it.
    (link,), = laptop.rows(
        "SELECT accounts -> 0 ->> 'url' FROM automapost.post_publication WHERE post_id = %s", post)
    browser.get(link)
    text, closed, request = steady(browser, lambda: opened(browser))
    assert (text, closed) == (HOSTILE, "") and "app.bsky.feed.post" in request

    # On a telephone nothing runs out of the screen.
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True})
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    assert not browser.get_log("browser")
