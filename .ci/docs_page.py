#!/usr/bin/env python3
"""Opens /docs of a running demo in headless Chromium and sends every request that it offers.

Usage: docs_page.py PROGRAM [SCREENSHOT.png]

PROGRAM is the built `meldb`. The page is driven as a person would: Authorize with the demo's key,
then, from the top to the bottom, open an operation, "Try it out", "Execute". Nothing is filled in but
which write of its history a document is to be reverted to, the first, and which is to be undone, the last, and which
collection is to be deleted.
Every answer must be a success, but for what operators alone may do. Needs Debian's packages chromium and
chromium-driver, and nothing beyond Python's own library.
"""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# What the key of a tenant may not do, which 403 says.
OPERATORS = "/api/v1/admin/"
TAKING_BACK = ("/undo", "/revert")
# What deletes a collection: one that nothing else on the page is about.
DELETES_ALL = ("delete", "/api/v1/provisioning/tenants/{tenantId}/{collection}")
HIDDEN = {"head", "options"}
WAIT_SECONDS = 20
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,1600",
]


# The keys that select all of a field, by the codes of WebDriver: Control, "a", and no key.
SELECT_ALL = "\ue009a\ue000"


def ask(method, url, body=None, key=None):
    """Sends a request and returns the JSON of its answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}")


def start(arguments, pattern):
    """Starts a program and returns it with the first line of its output that has the pattern."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return process, found
    sys.exit(f"{arguments[0]} ended with {process.wait()}")


class Page:
    """A browser's only page, by the WebDriver protocol."""

    def __init__(self, driver_url, profile):
        options = {"args": [*CHROMIUM_ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        body = {"capabilities": {"alwaysMatch": wanted}}
        session = ask("POST", f"{driver_url}/session", body)["value"]
        self.url = f"{driver_url}/session/{session['sessionId']}"
        self.browser = session["capabilities"]["goog:processID"]

    def post(self, path, **body):
        return ask("POST", f"{self.url}/{path}", body)["value"]

    def close(self):
        """Ends the browser, also when the driver has ended before it."""
        try:
            ask("DELETE", self.url)
        except OSError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.browser, signal.SIGKILL)

    def run(self, script, *arguments):
        return self.post("execute/sync", script=script, args=list(arguments))

    def find(self, selector):
        """Returns the first element that a selector finds, once there is one."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = self.post("elements", using="css selector", value=selector)
            if found:
                return found[0][ELEMENT]
            time.sleep(0.05)
        sys.exit(f"nothing on the page is {selector!r} after {WAIT_SECONDS} s")

    def click(self, selector):
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", {ELEMENT: element})
        self.post(f"element/{element}/click")

    def type(self, selector, text):
        self.post(f"element/{self.find(selector)}/value", text=text)

    def text(self, selector):
        return ask("GET", f"{self.url}/element/{self.find(selector)}/text")["value"].strip()

    def screenshot(self, file):
        file.write_bytes(base64.b64decode(ask("GET", f"{self.url}/screenshot")["value"]))

    def console(self):
        return [entry["message"] for entry in self.post("se/log", type="browser")]


def listed(page):
    """Returns the operations on the page in its order: the element's id, the method, the path."""
    page.find(".opblock")
    return page.run(
        """return [...document.querySelectorAll('.opblock')].map((block) => [
            block.id,
            block.querySelector('.opblock-summary-method').textContent.trim().toLowerCase(),
            block.querySelector('.opblock-summary-path').dataset.path,
        ])"""
    )


def described(url):
    """Returns the operations of the description that the page is to show."""
    paths = ask("GET", f"{url}/openapi.json")["paths"]
    return {(method, path) for path, item in paths.items() for method in item} - {
        (method, path) for path in paths for method in HIDDEN
    }


def authorize(page, key):
    page.click(".auth-wrapper .btn.authorize")
    page.type(".modal-ux input", key)
    page.click(".modal-ux .btn.authorize")
    page.click(".modal-ux .btn-done")


def execute(page, block):
    """Executes an opened operation and returns the status of the answer."""
    page.click(f"#{block} .execute")
    return int(page.text(f"#{block} .live-responses-table tr.response .response-col_status").split()[0])


def revision_to_take(facts, path):
    """Returns the revision to fill in at a path of revert or undo: of the document's first write, or its last."""
    document = path.rsplit("/", 1)[0].replace("/provisioning/", "/history/")
    for name, example in [("tenantId", facts["tenant"]), ("collection", "users"), ("docId", "user-123")]:
        document = document.replace("{" + name + "}", example)
    versions = ask("GET", f"{facts['url']}{document}", key=facts["key"])["versions"]
    return versions[-1 if path.endswith("/revert") else 0]["revision"]


def main():
    program = sys.argv[1]
    screenshot = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    started, pages, problems = [], [], []
    # The browser ends with its session: also when this is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with tempfile.TemporaryDirectory(prefix="docs-page-", ignore_cleanup_errors=True) as folder:
        try:
            demo = [program, "demo", "--json", "--listen", "127.0.0.1:0", "--dir", f"{folder}/demo"]
            process, line = start(demo, r"^\{.*\}$")
            started.append(process)
            facts = json.loads(line[0])
            process, line = start(["chromedriver", "--port=0"], r"started successfully on port (\d+)")
            started.append(process)
            page = Page(f"http://127.0.0.1:{line[1]}", f"{folder}/profile")
            pages.append(page)
            page.post("url", url=f"{facts['url']}/docs")
            visit(page, facts, problems, screenshot)
        finally:
            for page in pages:
                page.close()
            for process in reversed(started):
                process.terminate()
                process.wait(timeout=WAIT_SECONDS)
    if problems:
        sys.exit("\n".join(problems))


def visit(page, facts, problems, screenshot):
    operations = listed(page)
    title = ask("GET", f"{page.url}/title")["value"]
    if not title.startswith("MelDB"):
        problems.append(f"the title is {title!r}")
    shown = {(method, path) for _, method, path in operations}
    for method, path in sorted(shown ^ described(facts["url"])):
        problems.append(f"{method.upper()} {path} is in one of the page and the description only")
    [merge] = [block for block, method, path in operations if method == "put" and path.endswith("/current")]
    authorize(page, facts["key"])
    for block, method, path in operations:
        page.click(f"#{block} .opblock-summary-control")
        page.click(f"#{block} .try-out__btn")
        if path.endswith(TAKING_BACK) and not path.startswith(OPERATORS):
            revision = f"#{block} tr[data-param-name='revision'] input"
            page.type(revision, f"{SELECT_ALL}{revision_to_take(facts, path)}")
        if (method, path) == DELETES_ALL:
            page.type(f"#{block} tr[data-param-name='collection'] input", f"{SELECT_ALL}emptied")
        status = execute(page, block)
        print(f"{status} {method.upper():6} {path}", flush=True)
        expected = 403 if path.startswith(OPERATORS) else None
        if status != expected and not (expected is None and 200 <= status < 300):
            problems.append(f"{method.upper()} {path} answers {status}: {page.text(f'#{block} .response-col_description')}")
        if block != merge:
            # What is open slows the page down.
            page.click(f"#{block} .opblock-summary-control")
    for message in page.console():
        if "the server responded with a status of" not in message:
            problems.append(f"the console says: {message}")
    # The script itself: a condition that is filled in by hand, and fails, is seen to fail.
    page.type(f"#{merge} tr[data-param-name='If-Match'] input", '"9999"')
    page.click(f"#{merge} .btn-clear")
    status = execute(page, merge)
    if status != 412:
        problems.append(f"a merge on another revision answers {status}, not 412")
    if screenshot:
        page.run("document.querySelector(arguments[0]).scrollIntoView()", f"#{merge}")
        page.screenshot(screenshot)
    print(f"{len(operations)} operations executed, {len(problems)} problems")


main()
