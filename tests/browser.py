"""Headless Chromium for tests, spoken to through a pipe (the DevTools protocol); tests skip where there is none."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SECONDS = 60


class Browser:
    """One tab. requests: addresses of all that it asked for since :meth:`open`, the page itself left out, and what the
    page's content security policy has stopped, which is in ``blocked``"""

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        assert CHROMIUM
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        there, self._out = os.pipe()
        self._in, back = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4
        command = f'exec "$@" 3<&{there} 4>&{back}'
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        flags += [f"--user-data-dir={self._home.name}", "--no-first-run", "--disable-background-networking"]
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", CHROMIUM, *flags, "about:blank"],
            pass_fds=(there, back),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        self._number, self._rest, self._session = 0, b"", None
        self._page = ""
        self._asked: dict[str, str] = {}
        self._stopped: set[str] = set()
        self.messages: list[str] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        self._home.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def open(self, page: Path, fragment: str = "") -> float:
        """Open a page of ours and wait until it is ready; seconds that took."""
        self._page = page.resolve().as_uri()
        self._asked.clear()
        self.messages.clear()
        began = time.monotonic()
        self.call("Page.navigate", url=self._page + fragment)
        while not self.run(
            "document.documentElement?.dataset.ready || document.querySelector('#trouble')?.textContent"
        ):
            assert time.monotonic() - began < SECONDS, ("not ready", self.messages)
            time.sleep(0.05)
        seconds = time.monotonic() - began
        return seconds

    @property
    def requests(self) -> list[str]:
        return [address for request, address in self._asked.items() if request not in self._stopped]

    @property
    def blocked(self) -> list[str]:
        return [address for request, address in self._asked.items() if request in self._stopped]

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; of a promise what comes of it."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"].get("exception", done["exceptionDetails"]))
        return done["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, media: str = "screen", dark: bool = False) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=scheme)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            assert piece, "Chromium has ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if not address.startswith(("data:", "blob:", self._page)):
                self._asked[parameters["requestId"]] = address
        elif method == "Network.loadingFailed" and parameters.get("blockedReason") == "csp":
            self._stopped.add(parameters["requestId"])
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))
        elif method == "Log.entryAdded":
            self.messages.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
        return message
