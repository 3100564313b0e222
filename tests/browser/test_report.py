"""A report in a real browser: by itself, without a network, on a screen, a phone and paper."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report.writing import write_report

COLORS = {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 21, 26)"}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    long = "a_setting_of_a_name_without_any_blank_in_it_that_is_longer_than_a_phone_is_wide"
    sweep = make_sweep(folder / "sweep", {"lr=1": [1, 2, 3], f"{long}=2": [3, 4]})
    other = make_run(folder / "other", environment="Other-v0", is_finished=False)
    page, _ = write_report([sweep, other], folder / "out")
    for path in (page.parent / "report.csv", page.parent / "report.json"):
        path.unlink()  # the page needs no other file
    return page


@pytest.fixture
def offline(driver) -> Any:
    """The browser without a network, which also counts what is asked for."""
    driver.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
    yield driver
    some = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", some)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def shown(driver: Any, page: Path, width: int = 1400, scheme: str = "light") -> Any:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get_log("browser")
    driver.get(page.as_uri())
    return driver


def test_it_is_whole_without_a_network_and_a_word_on_the_console(offline, report):
    driver = shown(offline, report)
    assert driver.get_log("browser") == []
    asked = driver.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name)"
    )
    assert [one for one in asked if not one.startswith("data:")] == []
    assert driver.find_element("tag name", "h1").text.startswith("Report of made lr=1, ")


@pytest.mark.parametrize("width", [1400, 390, 320])
def test_the_page_is_as_wide_as_its_window_and_every_picture_is_seen(offline, report, width):
    driver = shown(offline, report, width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    sizes = driver.execute_script(
        "return [...document.querySelectorAll('figure svg')].map((one) => {"
        "const box = one.getBoundingClientRect(); return [box.left, box.right, box.height]; })"
    )
    assert len(sizes) >= 4
    assert all(left >= 0 and right <= width and height > 100 for left, right, height in sizes)


@pytest.mark.parametrize("scheme", COLORS)
def test_page_and_pictures_are_light_or_dark_as_the_reader_likes(offline, report, scheme):
    driver = shown(offline, report, scheme=scheme)
    look = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert driver.execute_script(look, "body", "backgroundColor") == COLORS[scheme]
    text = driver.execute_script(look, "figure svg text", "fill")
    assert text == {"light": "rgb(84, 93, 104)", "dark": "rgb(163, 175, 187)"}[scheme]


def test_it_prints_on_paper_light_though_the_screen_is_dark(offline, report):
    driver = shown(offline, report, scheme="dark")
    printed = driver.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    media = {"media": "print", "features": features}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    look = "return getComputedStyle(document.body).backgroundColor"
    assert driver.execute_script(look) == COLORS["light"]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_the_keyboard_reaches_the_results_and_every_wide_table(offline, report):
    driver = shown(offline, report, 390)
    focused = driver.execute_script(
        "return [...document.querySelectorAll('.scroll')].every((one) => {"
        "one.focus(); return document.activeElement === one; })"
    )
    assert focused
    skip = driver.find_element("css selector", ".skip")
    assert skip.get_attribute("href").endswith("#results")
