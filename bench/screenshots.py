"""Take the README's pictures of the playground: a real browser, a recording as its microphone, a cut in the middle.

python bench/screenshots.py [FOLDER]      (make screenshots; needs Debian's chromium)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "devkit" / "samples" / "weather.flac"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking")


def talk(page: Page, url: str) -> None:
    """Speak into the microphone, cut the connection in the second sentence, and wait for the third."""
    page.goto(url)
    page.wait_for_selector("#start:enabled")
    page.click("#start")
    page.wait_for_selector("#captions .final")
    page.wait_for_function("() => document.querySelectorAll('#captions [data-turn]').length > 1")
    page.wait_for_timeout(800)
    page.click("#cut")


def pictures(browser: Browser, url: str, folder: Path) -> None:
    """Light on a desk with a partial growing, dark when all is said, and a telephone."""
    for name, scheme, size in (
        ("playground-light", "light", (1280, 860)),
        ("playground-dark", "dark", (1280, 860)),
        ("playground-small", "light", (390, 844)),
    ):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(60_000)
        talk(page, url)
        if scheme == "light":
            page.wait_for_function("() => document.querySelectorAll('#captions [data-turn]').length > 2")
            page.wait_for_timeout(1200)
        else:
            page.wait_for_function("() => document.querySelectorAll('#captions .final').length > 2")
            page.wait_for_timeout(1500)
        page.screenshot(path=folder / f"{name}.png")
        print(f"{folder / name}.png")
        context.close()


def main() -> int:
    """Run a playground with a local server, and photograph it."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        print("Chromium is needed: apt-get install chromium", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "devkit"), "playground", "--local", "--port", "0", "--quiet"]
    with (
        tempfile.TemporaryDirectory() as scratch,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as driver,
    ):
        try:
            wav = Path(scratch) / "microphone.wav"
            soundfile.write(wav, *soundfile.read(SAMPLE, dtype="int16"))
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            microphone = (
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={wav}%noloop",
            )
            browser = driver.chromium.launch(executable_path=chromium, args=[*QUIET, *microphone])
            pictures(browser, url, folder)
            browser.close()
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
