"""Walk all pages in a browser, at the widths of a desk and of a phone, light and dark; report what is wrong.

    sphinx-build -b html docs docs/_build/html && python docs/check_pages.py docs/_build/html

Reports errors of the console, pages that are wider than the screen and what sticks out, pictures that did not load, and
a gallery that does not filter. It needs Chromium and its driver (`apt-get install chromium chromium-driver`) and the
package `selenium`; `tox run -e pages` does all that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTHS = (1280, 390)
THEMES = ("light", "dark")

# What is wider than the screen. What scrolls within an element of its own is not.
STICKS_OUT = """
const room = document.documentElement.clientWidth, found = [];
if (document.documentElement.scrollWidth <= room) return found;
const scrolls = e => { for (; e && e !== document.body; e = e.parentElement) {
    const style = getComputedStyle(e);
    if (style.overflowX !== 'visible' || style.position === 'fixed') return true; } return false; };
for (const e of document.querySelectorAll('article *'))
    if (e.getBoundingClientRect().right > room + 1 && !scrolls(e.parentElement))
        found.push(e.tagName.toLowerCase() + (e.className.baseVal === undefined && e.className ? '.' + e.className : '')
            + ' "' + (e.textContent || '').trim().slice(0, 40) + '"');
return ['the page is ' + document.documentElement.scrollWidth + ' px wide', ...found.slice(0, 3)];
"""
NOT_LOADED = "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src);"


def browser() -> Any:
    """Chromium without a window and without a network."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "hide-scrollbars", "allow-file-access-from-files",
    ):  # fmt: skip
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.page_load_strategy = "normal"
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def resized(driver: Any, width: int, theme: str) -> None:
    """A screen of this width, also one that is narrower than any window, whose reader prefers this theme."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def faults(driver: Any, page: Path) -> Iterator[str]:
    """What is wrong with a page as it is shown now."""
    driver.get(page.as_uri())
    for entry in driver.get_log("browser"):
        if entry["level"] in ("SEVERE", "WARNING"):
            yield f"console: {entry['message']}"
    yield from driver.execute_script(STICKS_OUT)
    for picture in driver.execute_script(NOT_LOADED):
        yield f"a picture is not there: {picture}"


def faults_of_the_gallery(driver: Any, page: Path) -> Iterator[str]:
    """What is wrong with its filter: it takes words and choices, by the keyboard, and is not there without scripts."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def shown() -> list[str]:
        cards = driver.find_elements(By.CSS_SELECTOR, "ul.gallery > li")
        return [card.find_element(By.TAG_NAME, "b").text for card in cards if card.is_displayed()]

    driver.get(page.as_uri())
    everything = shown()
    driver.find_element(By.NAME, "word").send_keys("outliers", Keys.TAB, "regr")  # the next field is the task
    if "huber" not in shown() or "dice" in shown() or len(shown()) > len(everything) / 2:
        yield f"the search for outliers in regression shows {shown()}"
    driver.find_element(By.CSS_SELECTOR, "form.gallery-filter button").send_keys(Keys.ENTER)
    if shown() != everything:
        yield "the button does not show all again"
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    driver.get(page.as_uri())
    if driver.find_element(By.CSS_SELECTOR, "form.gallery-filter").is_displayed() or len(shown()) != len(everything):
        yield "without scripts it is no plain list"
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def main() -> int:
    """Walk the pages; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("html", type=Path, help="the folder that sphinx-build wrote")
    parser.add_argument("--only", default="", help="pages whose path has this word")
    parser.add_argument("--pictures", type=Path, help="write a PNG of each page to this folder")
    args = parser.parse_args()
    pages = sorted(
        p for p in args.html.resolve().rglob("*.html") if args.only in str(p.relative_to(args.html.resolve()))
    )
    driver, wrong = browser(), 0
    try:
        for width in WIDTHS:
            for theme in THEMES:
                resized(driver, width, theme)
                for page in pages:
                    name = str(page.relative_to(args.html.resolve()))
                    for fault in faults(driver, page):
                        wrong += 1
                        print(f"{name} at {width} px, {theme}: {fault}")
                    if args.pictures:
                        args.pictures.mkdir(parents=True, exist_ok=True)
                        shot = f"{name.replace('/', '-').removesuffix('.html')}-{width}-{theme}.png"
                        driver.save_screenshot(str(args.pictures / shot))
        gallery = args.html.resolve() / "gallery.html"
        for fault in faults_of_the_gallery(driver, gallery) if gallery in pages else ():
            wrong += 1
            print(f"gallery.html: {fault}")
    finally:
        driver.quit()
    print(f"{len(pages)} pages, {len(WIDTHS)} widths, {len(THEMES)} themes: {wrong} faults")
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
