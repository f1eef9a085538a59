"""A client in Python, with the standard library alone.

MELDB_URL is the server, MELDB_KEY a key with provisioning:* and changes:read for the tenant acme.
"""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

BASE = os.environ["MELDB_URL"] + "/api/v1"
USERS = "/provisioning/tenants/acme/users"


class Refused(Exception):
    def __init__(self, status: int, error: dict):
        super().__init__(f"{status} {error['code']}: {error['message']}")
        self.status = status


def call(method: str, path: str, body: dict | None = None, **headers: str) -> tuple[dict, str | None]:
    """Returns the answer and its entity tag."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["Authorization"] = "Bearer " + os.environ["MELDB_KEY"]
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(BASE + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer), answer.headers["ETag"]
    except urllib.error.HTTPError as error:
        raise Refused(error.code, json.load(error)) from None


def write(method: str, path: str, body: dict, tries: int = 5, **headers: str) -> dict:
    """Makes a write once, however often it has to be sent."""
    key = f'"{uuid.uuid4()}"'
    for attempt in range(tries):
        try:
            return call(method, path, body, Idempotency_Key=key, **headers)[0]
        except Refused as refused:
            if refused.status not in (429, 500, 503) or attempt == tries - 1:
                raise
        except OSError:
            if attempt == tries - 1:
                raise
        time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


def add_seats(user: str, seats: int) -> dict:
    """Adds to what is there, without losing what others add at the same time."""
    while True:
        document, tag = call("GET", f"{USERS}/{user}")
        try:
            return write("PUT", f"{USERS}/{user}", {"seats": document.get("seats", 0) + seats}, If_Match=tag)
        except Refused as refused:
            if refused.status != 412:
                raise


def changes(after: str = "0"):
    """Yields what was written, page by page."""
    more = True
    while more:
        page, _ = call("GET", f"/changes/tenants/acme?after={after}")
        yield from page["changes"]
        after, more = page["cursor"], page["more"]


write("POST", f"{USERS}/bob", {"name": "Bob", "role": "member"})
write("PUT", f"{USERS}/bob", {"role": "owner"})
add_seats("bob", 2)
print(add_seats("bob", 3)["seats"], "seats")
try:
    write("PUT", f"{USERS}/nobody", {"role": "owner"})
except Refused as refused:
    print(refused)
print([change["id"] for change in changes() if change["id"] == "bob"])
