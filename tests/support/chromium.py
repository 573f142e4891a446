"""A headless Chromium that tests and benchmarks control through its DevTools protocol; pages are local files."""

import asyncio
import base64
import importlib.util
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

_START_S, _CALL_S = 60, 60
_KEY_CODES = {"Enter": 13, "Escape": 27, "Home": 36}


def find_chromium():
    """Return the path of a Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def run_chromium(folder):
    """Yield a `Browser` whose profile lies in a folder; skip the test if there is no Chromium."""
    executable = find_chromium()
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
        return self._run(self._call_all([(method, parameters)]))[0]

    async def _call_all(self, calls):
        """Call methods one right after the other, and return their results in this order."""
        numbers = range(self._number + 1, self._number + 1 + len(calls))
        self._number += len(calls)
        for number, (method, parameters) in zip(numbers, calls, strict=True):
            await self._socket.send_json({"id": number, "method": method, "params": parameters})
        results = {}
        while len(results) < len(calls):
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") in numbers:
                assert "error" not in message, f"{calls}: {message['error']}"
                results[message["id"]] = message["result"]
            else:
                self.events.append(message)
        return [results[number] for number in numbers]

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
        """Press a key and release it at once."""
        event = {"key": key, "modifiers": 8 * shift, "windowsVirtualKeyCode": _KEY_CODES.get(key, 0)}
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        events = [{"type": "keyDown"} | event | text, {"type": "keyUp"} | event]
        self._run(self._call_all([("Input.dispatchKeyEvent", each) for each in events]))

    def click(self, x, y):
        """Press the left mouse button and release it at once."""
        button = {"x": x, "y": y, "button": "left", "clickCount": 1}
        events = [{"type": "mousePressed"} | button, {"type": "mouseReleased"} | button]
        self._run(self._call_all([("Input.dispatchMouseEvent", each) for each in events]))

    def drag(self, start, end):
        """Press the left mouse button at a position, move to another one, and release it there."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def wheel(self, x, y, delta):
        """Turn the mouse wheel; positive values scroll down."""
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    def touch(self, *steps):
        """Touch the page at the positions of the first step, move to those of the others, and let go."""
        for kind, positions in zip(["touchStart", *["touchMove"] * (len(steps) - 1)], steps, strict=True):
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(positions)]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self):
        """Return a PNG of the window."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def violations(self):
        """What axe-core finds wrong with the page for people with disabilities: a line per rule and element."""
        package = importlib.util.find_spec("axe_playwright_python")
        if package is None:
            pytest.skip("axe-playwright-python is not installed")
        self.evaluate((Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8") + "; 0")
        found = self.evaluate("axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)")
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node['any'] + node['all'] + node['none']}"
            for violation in found
            for node in violation["nodes"]
        ]

    def problems(self):
        """The errors of scripts, and the addresses that the page has asked for besides itself and data URIs."""
        errors = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        urls = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return errors + [url for url in urls[1:] if not url.startswith("data:")]
