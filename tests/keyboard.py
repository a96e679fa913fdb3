"""A Chromium that is operated by its keyboard alone and takes pictures of whole pages, over DevTools' pipe."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, "")}
"""Name → code, and the text that it types."""
FIRST_FREE = 20
"""Far from 3 and 4, which Chromium wants."""
SECONDS = 60
SCREEN_PX = 900
"""Height of a screen."""
STRIP_PX = 4000
"""Taller pictures are put together from strips: Chromium's own end at 16,384 px."""


def installed_chromium() -> str:
    """The program; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    return program


class Keyboard:
    """One open page."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, os.fdopen(from_browser, "rb")
        self._num_sent = 0
        self._session = ""

    def open(self, page: Path) -> None:
        """Waits until the page has drawn itself."""
        target = self._ask("Target.createTarget", url=page.as_uri())["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        deadline = time.monotonic() + SECONDS
        while not self.look("document.documentElement.dataset.ready === 'yes'"):
            assert time.monotonic() < deadline, "the page never became ready"
            time.sleep(0.1)

    def press(self, key: str) -> None:
        code, text = KEYS[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed)

    def look(self, expression: str) -> Any:
        """What an expression gives in the page."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, file: Path, *, width: int, scheme: str = "light") -> int:
        """Writes a picture of the whole page, however tall it is, as a screen of `width` px shows it; returns its height."""
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._resize(width, SCREEN_PX)
        height = self.look("document.documentElement.scrollHeight")
        picture = Image.new("RGB", (width, height))
        for top in range(0, height, STRIP_PX):
            strip = {"x": 0, "y": top, "width": width, "height": min(STRIP_PX, height - top), "scale": 1}
            shot = self._ask("Page.captureScreenshot", captureBeyondViewport=True, clip=strip)
            picture.paste(Image.open(io.BytesIO(base64.b64decode(shot["data"]))), (0, top))
        picture.save(file)
        return int(height)

    def paper(self, file: Path) -> None:
        """Writes the page as it is printed on A4."""
        inches = {"paperWidth": 210 / 25.4, "paperHeight": 297 / 25.4}
        file.write_bytes(base64.b64decode(self._ask("Page.printToPDF", **inches)["data"]))

    def _resize(self, width: int, height: int) -> None:
        """Waits until the page has drawn itself anew."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100))))"
        self._ask("Runtime.evaluate", expression=drawn, awaitPromise=True)

    def _ask(self, method: str, **params: Any) -> Any:
        self._num_sent += 1
        question: dict[str, Any] = {"id": self._num_sent, "method": method, "params": params}
        if self._session:
            question["sessionId"] = self._session
        os.write(self._to, json.dumps(question).encode() + b"\0")
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._num_sent:
                assert "result" in answer, answer
                return answer["result"]

    def _message(self) -> bytes:
        message = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            assert byte, "Chromium has ended"
            message += byte
        return bytes(message)


@contextlib.contextmanager
def keyboard(chromium: str, page: Path, profile: Path, *options: str) -> Iterator[Keyboard]:
    """`page`, open in a browser of its own."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, FIRST_FREE) for end in (theirs_in, theirs_out)]
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
    ]
    words = ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", chromium, *flags, *options]
    browser = subprocess.Popen(words, pass_fds=ends, stderr=subprocess.DEVNULL)
    for end in (theirs_in, theirs_out, *ends):
        os.close(end)
    try:
        opened = Keyboard(ours_out, ours_in)
        opened.open(page)
        yield opened
    finally:
        browser.terminate()
        browser.wait(timeout=SECONDS)
        os.close(ours_out)
