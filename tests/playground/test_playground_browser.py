"""The playground in a real browser: a microphone that plays a recording, a cut, settings, files, downloads.

Chromium's fake microphone plays a WAV once, at the speed of speech; the page sends whatever rate Web Audio has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pysubs2
import pytest
import soundfile
from playground_pages import Running, Sample, playground, share
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from recorded_server import Wire
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
# Without these it asks its maker's servers, at every start, for things no test needs.
OFFLINE = ("--disable-background-networking", "--disable-component-update", "--disable-quic")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Browser]]:
    """Start Debian's Chromium, headless, with more arguments."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        message = "Chromium is not installed (Debian: apt-get install chromium): the page is NOT TESTED in a browser"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    browsers: list[Browser] = []
    driver: Playwright
    with sync_playwright() as driver:

        def start(*more: str) -> Browser:
            arguments = [*QUIET, *OFFLINE, *more]
            browsers.append(driver.chromium.launch(executable_path=path, args=arguments))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()


@contextlib.contextmanager
def page_of(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The playground's page at *url*; at its end no error was written to the browser's console."""
    complaints: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#start:enabled")
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


def finals(page: Page) -> list[str]:
    return page.locator("#captions .final .text").all_inner_texts()


def words(page: Page) -> list[str]:
    return " ".join(finals(page)).split()


def number(page: Page, figure: str) -> float:
    return float(page.locator(f"#{figure}").get_attribute("data-value") or "nan")


def wait_until(page: Page, condition: str, timeout_s: float = 30.0) -> None:
    """Until the JavaScript expression is true."""
    page.wait_for_function(f"() => {condition}", timeout=timeout_s * 1000)


def stop(page: Page) -> None:
    page.click("#start")
    wait_until(page, "document.querySelector('#start').textContent.trim() === 'Start'")


def saved(page: Page, ending: str) -> str:
    with page.expect_download() as download:
        page.click(f"[data-export={ending}]")
    assert download.value.suggested_filename.endswith(f".{ending}")
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_microphone_through_a_cut_loses_nothing(
    running: Running, chromium: Callable[..., Browser], weather: Sample, tmp_path: Path
) -> None:
    wav = tmp_path / "microphone.wav"
    soundfile.write(wav, *soundfile.read(weather.path, dtype="int16"))
    browser = chromium(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}%noloop",
    )
    with page_of(browser, running.url) as page:
        page.click("#start")
        page.wait_for_selector("#captions .partial")
        page.wait_for_selector("#captions .final")
        before = finals(page)
        # Into the second sentence, and 2 s without a network.
        wait_until(page, "document.querySelectorAll('#captions [data-turn]').length > 1")
        page.select_option("#cut-seconds", "2")
        page.click("#cut")
        page.wait_for_selector("#state[data-state=reconnecting]")
        page.wait_for_selector("#state[data-state=connected]")
        wait_until(page, "document.querySelectorAll('#captions .final').length > 2", 60)
        stop(page)
        print(f"before the cut: {before}\nafter it:       {finals(page)[len(before) :]}")
        assert finals(page)[: len(before)] == before
        heard = words(page)
        assert share(heard, weather.words) >= 0.9 and len(heard) <= 1.1 * len(weather.words)
        assert number(page, "reconnects") >= 1 and number(page, "lost") == 0 and number(page, "replayed") > 0
        assert page.locator("#captions .tag", has_text="replayed").count() >= 1
        starts = [int(turn.get_attribute("data-start-ms") or -1) for turn in page.locator("#captions .final").all()]
        assert starts == sorted(starts) and abs(starts[0] - 400) < 1500
        assert number(page, "p50") > 0
        check_downloads(page)


def check_downloads(page: Page) -> None:
    texts = finals(page)
    assert saved(page, "txt").splitlines() == texts
    for ending in ("srt", "vtt"):
        cues = pysubs2.SSAFile.from_string(saved(page, ending), format_=ending)
        assert [cue.plaintext for cue in cues] == texts
    assert [segment["text"] for segment in json.loads(saved(page, "json"))["segments"]] == texts


def test_settings_change_the_session_while_a_file_is_played(chromium: Callable[..., Browser], weather: Sample) -> None:
    wires: list[Wire] = []

    def record() -> tuple[Wire, ...]:
        wires.append(Wire())
        return (wires[-1],)

    with (
        run_in_thread(middleware=record) as server,
        playground("--url", server.url, "--model", "gpt-transcribe") as one,
        page_of(chromium("--autoplay-policy=no-user-gesture-required"), one.url) as page,
    ):
        page.fill("[name='input_audio_transcription.prompt']", "the weather")
        page.set_input_files("#file", str(weather.path))
        page.wait_for_selector("#state[data-state=connected]")
        page.fill("[name='input_audio_transcription.language']", "en")
        page.wait_for_selector("#settings-status[data-code='0']")
        page.fill("[name='turn_detection.threshold']", "7")
        page.wait_for_selector("#settings-status:not([data-code='0']):not([data-code=''])")
        assert "turn_detection.threshold" in page.locator("#settings-status").inner_text()
        page.fill("[name='turn_detection.threshold']", "0.6")
        page.wait_for_selector("#settings-status[data-code='0']")
        wait_until(page, "document.querySelector('#start').textContent.trim() === 'Start'", 60)
        assert share(words(page), weather.words) >= 0.9
    asked = [message["session"] for wire in wires for message in wire.heard if message["type"] == "session.update"]
    first, last = (update["audio"]["input"]["transcription"] for update in (asked[0], asked[-1]))
    assert first["prompt"] == "the weather" and "languages" not in first
    assert last["languages"] == ["en"]


def test_without_a_microphone_it_says_what_to_do(running: Running, chromium: Callable[..., Browser]) -> None:
    with page_of(chromium(), running.url) as page:
        page.click("#start")
        page.wait_for_selector("#problem:visible")
        assert "microphone" in page.locator("#problem").inner_text().lower()
        assert page.locator("#start").inner_text().strip() == "Start"


def test_it_can_be_used_with_the_keyboard_on_a_small_screen_in_the_dark(
    running: Running, chromium: Callable[..., Browser]
) -> None:
    small = {"viewport": {"width": 360, "height": 640}, "color_scheme": "dark"}
    with page_of(chromium(), running.url, **small) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(json.loads(background.replace("rgb(", "[").replace(")", "]"))) < 200
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "log-filter"
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.export || ''"))
        assert {"start", "device", "file", "log-filter", "theme"} <= set(reached)
        page.click("#theme")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(json.loads(background.replace("rgb(", "[").replace(")", "]"))) > 600
