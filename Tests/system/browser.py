"""A real Chromium without a screen, driven by its own protocol: see session-jupyter.bats and its like.

It runs on the login host as a user, as on a site where browsers run there. It is driven over a pipe, so it opens
no port: the protocol's messages end with a zero byte (--remote-debugging-pipe).
"""
import base64
import json
import os
import subprocess
import time

from terminal import CLUSTER_IN, PATIENCE, login


class Page:
    """One tab. `value(script)` is what a script of the page returns."""

    def __init__(self, address="about:blank", user="user1", size=(1280, 800), host="login", rules=""):
        words = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--no-first-run", "--no-proxy-server", "--disable-background-networking",
                 "--disable-component-update", "--force-device-scale-factor=1", "--hide-scrollbars",
                 f"--window-size={size[0]},{size[1]}", "--remote-debugging-pipe", *([f"--host-resolver-rules={rules}"] if rules else []), "about:blank"]
        # The browser reads descriptor 3 and writes 4.
        shell = ('exec 3<&0 4>&1 </dev/null >/dev/null 2>&1; home=$(mktemp -d /tmp/browser-XXXXXX); '
                 'HOME=$home "$0" --user-data-dir="$home" "$@"; rm -rf "$home"')
        self.process = subprocess.Popen(
            [CLUSTER_IN, host, user, "--", "bash", "-c", shell, *words], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.writer = self.process.stdin.fileno()
        self.reader = self.process.stdout.fileno()
        self.heard = b""
        self.number = 0
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Page.bringToFront")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                  deviceScaleFactor=1, mobile=False)
        if address != "about:blank":
            self.go(address)

    def call(self, method, **parameters):
        """One call of the DevTools protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.heard:
                more = os.read(self.reader, 1 << 20)
                if not more:
                    raise AssertionError("the browser has ended")
                self.heard += more
            line, _, self.heard = self.heard.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def go(self, address):
        self.call("Page.navigate", url=address)

    def value(self, script):
        """What an expression of the page is; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            return "exception: " + answer["exceptionDetails"].get("exception", {}).get("description", "")
        return answer["result"].get("value")

    def until(self, script, patience=45):
        """Waits until an expression is true, and returns it."""
        end = time.monotonic() + patience
        while True:
            try:
                # An element by value would be an empty object.
                found = self.value(f"(() => {{ const it = {script}; return it instanceof Node || it }})()")
                if found and not str(found).startswith("exception"):
                    return found
            except AssertionError:
                # A page that is just going elsewhere has no scripts.
                if self.process.poll() is not None:
                    raise
                found = None
            if time.monotonic() > end:
                raise AssertionError(
                    f"not in time: {script}: {found}; {self.value('location.href + document.body.innerText')}")
            time.sleep(0.1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, code, number, modifiers=0, text=None):
        for kind in ("keyDown", "keyUp"):
            words = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number,
                      modifiers=modifiers, **words)

    def keys(self, text):
        """Types a line key by key, as a desktop wants it and no faster than a person; \\n is Enter."""
        for letter in text:
            time.sleep(0.03)
            if letter == "\n":
                self.press("Enter", "Enter", 13, text="\r")
            elif letter.isalpha():
                self.press(letter, "Key" + letter.upper(), ord(letter.upper()), text=letter)
            elif letter.isdigit():
                self.press(letter, "Digit" + letter, ord(letter), text=letter)
            else:
                names = {" ": ("Space", 32), "-": ("Minus", 189), "/": ("Slash", 191), ".": ("Period", 190)}
                code, number = names[letter]
                self.press(letter, code, number, text=letter)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector):
        """Clicks into the middle of an element."""
        x, y = self.until(
            f"(() => {{ const e = document.querySelector({selector!r}); if (!e) return null; "
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()")
        self.click(x, y)

    def picture(self, path=None):
        """The page as PNG; written to a file if one is named."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            with open(path, "wb") as file:
                file.write(data)
        return data

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (AssertionError, OSError):
            pass
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def address(job, user="user1"):
    """A new address of a session."""
    return subprocess.run([CLUSTER_IN, "login", user, "--", "spunnelctl", "session", "url", job],
                          check=True, capture_output=True, text=True, timeout=120).stdout.strip()
