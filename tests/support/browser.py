"""Controls headless Chromium over the DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "/": 191}


def chromium() -> str | None:
    """The path of a Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


_LAUNCH = """
import os, sys
commands, answers = (os.dup(os.dup(int(number))) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page in the browser; *requests* has the URLs of its requests, *errors* its errors."""

    def __init__(self, commands: int, answers: int) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._commands = commands
        self._answers = answers
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def open(self, page: Path | str) -> None:
        """Open a file or a URL, and wait until it is loaded."""
        self._call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while self.evaluate("document.readyState") != "complete":
            pass

    def evaluate(self, script: str) -> Any:
        """The value of an expression on the page."""
        reply = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self._call("Input.dispatchKeyEvent", type="keyDown", **event)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Type *text*, key by key."""
        for character in text:
            self.press(character)

    def show(self, *, media: str = "", dark: bool = False, width: int = 1120, height: int = 900) -> None:
        """Set the media type, the color scheme and the size of the window."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", media=media, features=scheme)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)

    def screenshot(self) -> bytes:
        """A screenshot as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def print_to_pdf(self) -> bytes:
        """The printed page as PDF."""
        return base64.b64decode(self._call("Page.printToPDF", printBackground=False)["data"])

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            self._note(answer)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.errors.append(json.dumps(parameters))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, "the browser has exited"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        event: dict[str, Any] = json.loads(message)
        return event


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with an empty *profile*, which exits at the end of the block."""
    executable = chromium()
    assert executable
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # The browser reads its commands from descriptor 3 and answers on 4.
    numbers = map(str, (commands_out, answers_in))
    flags = [*_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    command = [sys.executable, "-c", _LAUNCH, *numbers, executable, *flags]
    process = subprocess.Popen(
        command, pass_fds=(commands_out, answers_in), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Page(commands_in, answers_out)
    finally:
        os.close(commands_in)
        os.close(answers_out)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
