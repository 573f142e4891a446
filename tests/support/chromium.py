"""A headless Chromium that tests control through its DevTools protocol; pages are local files."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

_START_S, _CALL_S = 60, 60


@contextmanager
def run_chromium(folder):
    """Yield a `Browser` whose profile lies in a folder; skip the test if there is no Chromium."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no chromium on PATH")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    command = [executable, *flags, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    loop = asyncio.new_event_loop()
    try:
        port = _wait_for_port(Path(folder) / "DevToolsActivePort", process)
        browser = Browser(loop, port)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        loop.close()
        process.terminate()
        process.wait(_CALL_S)


def _wait_for_port(file, process):
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise RuntimeError("Chromium has not started")


class Browser:
    """One page of a Chromium."""

    def __init__(self, loop, port):
        self._loop, self._number = loop, 0
        self._run(self._connect(port))
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    async def _connect(self, port):
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [target for target in await answer.json() if target["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        self.events = []

    def _run(self, coroutine):
        return self._loop.run_until_complete(asyncio.wait_for(coroutine, _CALL_S))

    def close(self):
        self._run(self._session.close())

    def call(self, method, **parameters):
        """Call a method of the protocol, and keep the events that arrive until its result does."""
        return self._run(self._call(method, parameters))

    async def _call(self, method, parameters):
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def open(self, path, width=1280, height=900, *, scheme="light", touch=False):
        """Open a file in a window of a size, with a colour scheme, and wait until its scripts have started."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=Path(path).as_uri())
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression):
        """Return the value of a JavaScript expression, which may be a promise."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, condition):
        deadline = time.monotonic() + _CALL_S
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition} is not true"
            time.sleep(0.05)

    def press(self, key, *, shift=False):
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            code = {"windowsVirtualKeyCode": 27} if key == "Escape" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 * shift, **text, **code)

    def mouse(self, kind, x, y, **more):
        """Send a mouse event: mousePressed, mouseMoved, mouseReleased or mouseWheel."""
        button = {} if kind == "mouseWheel" else {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button, **more)

    def screenshot(self):
        """Return a PNG of the window."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def problems(self):
        """The errors of scripts, and the addresses that the page has asked for besides itself and data URIs."""
        errors = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        urls = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return errors + [url for url in urls[1:] if not url.startswith("data:")]
