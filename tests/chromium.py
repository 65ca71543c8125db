"""Drives a headless Chromium over the pipe of its DevTools, with nothing but Python."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30  # seconds
# Chromium reads descriptor 3 and writes descriptor 4; first out of their way with both
LAUNCHER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD_CLOEXEC, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find():
    """The path of a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page; a context manager.

    Attributes:
        complaints: what the page's console, its program or the network said was wrong.
        requests: addresses that the page asked for.
    """

    def __init__(self, path):
        self.complaints, self.requests = [], []
        self._numbers, self._unread, self._events = itertools.count(1), b"", []
        self._profile = tempfile.mkdtemp(prefix="chromium")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += ["--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={self._profile}"]
        ends = (theirs_in, theirs_out)
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", LAUNCHER, *map(str, ends), path, *flags],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        # a scrollbar takes its width from the page, and a picture would lack the right edge
        self.call("Emulation.setScrollbarsHidden", hidden=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method, **parameters):
        """A command of the DevTools protocol, and its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, url):
        """Loads a page and waits until it is there; a new fragment loads nothing anew."""
        self._events.clear()
        result = self.call("Page.navigate", url=url)
        assert "errorText" not in result, result
        if "loaderId" in result:  # absent where only the fragment is new
            while "Page.loadEventFired" not in self._events:
                self._read()
        self.run("new Promise((done) => setTimeout(done, 50))")

    def run(self, expression):
        """The value of an expression of JavaScript, in the page; promises are waited for."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key, code=None):
        """Presses a key and lets it go, as a keyboard does."""
        text = {"text": key} if len(key) == 1 else {}
        codes = {" ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38}
        codes |= {"ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
        number = {"windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        shared = {"key": key, "code": code or key, **number}
        kind = "keyDown" if text else "rawKeyDown"
        self.call("Input.dispatchKeyEvent", type=kind, **text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def click(self, x, y):
        """Presses and lets go the left button of the mouse."""
        for kind in ("mousePressed", "mouseReleased"):
            button = {"button": "left", "buttons": 1, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def window(self, width, height, dark=False, phone=False):
        """Sets the size of the window in CSS pixels, and what the system's theme is."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])

    def screenshot(self, whole=True):
        """PNG of the page, all of it or what the window shows."""
        result = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(result["data"])

    def _read(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            left = end - time.monotonic()
            assert left > 0, "the browser says nothing"
            if select.select([self._in], [], [], left)[0]:
                data = os.read(self._in, 1 << 20)
                assert data, "the browser has ended"
                self._unread += data
        line, self._unread = self._unread.split(b"\0", 1)
        message = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method, facts):
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(facts["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning"):
            self.complaints.append(facts)
        elif method == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.complaints.append(facts["entry"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
