"""Calls the generated client: what it returns must be of the described types, and right."""

import os

from meldb_client.api.changes import get_changes
from meldb_client.api.documents import (
    delete_document,
    get_document,
    list_collection,
    make_batch,
    merge_document,
    patch_document,
    put_document,
)
from meldb_client.client import AuthenticatedClient
from meldb_client.models import (
    Batch,
    BatchAnswer,
    BatchDelete,
    BatchMerge,
    BatchPut,
    Changes,
    Document,
    DocumentWrite,
    Error,
    JsonPatchOperationType0,
)

TENANT = "tenant-alpha"
client = AuthenticatedClient(base_url=os.environ["MELDB_URL"], token=os.environ["MELDB_KEY"])


def is_a(kind, value):
    assert type(value) is kind, f"{value!r} is no {kind.__name__}"
    return value


def write(**members):
    return DocumentWrite.from_dict(members)


at = {"tenant_id": TENANT, "collection": "users", "doc_id": "ada", "client": client}
put = is_a(Document, put_document.sync(**at, body=write(name="Ada", price=1.5)))
assert put["name"] == "Ada" and put.updated > 0

merged = is_a(Document, merge_document.sync(**at, body=write(role="owner")))
assert (merged["name"], merged["role"]) == ("Ada", "owner")

answer = get_document.sync_detailed(**at)
assert is_a(Document, answer.parsed).to_dict() == merged.to_dict()
tag = answer.headers["etag"]

# A difference is told from a document.
diff = is_a(Changes, merge_document.sync(**at, body=write(role="guest"), prefer="return=diff"))
assert diff.changed is True and diff.effect.value == "merged"

late = merge_document.sync_detailed(**at, body=write(role="late"), if_match=tag)
assert late.status_code == 412 and is_a(Error, late.parsed).code.value == "PreconditionFailed"

operation = JsonPatchOperationType0.from_dict({"op": "add", "path": "/tags", "value": ["vip"]})
patched = is_a(Document, patch_document.sync(**at, body=[operation]))
assert patched["tags"] == ["vip"]

batch = Batch(
    operations=[
        BatchPut.from_dict({"op": "put", "path": "users/bob", "data": {"name": "Bob"}}),
        BatchMerge.from_dict({"op": "merge", "path": "users/ada", "data": {"role": "member"}}),
        BatchDelete.from_dict({"op": "delete", "path": "users/bob"}),
    ]
)
made = is_a(BatchAnswer, make_batch.sync(TENANT, client=client, body=batch))
assert [result.effect.value for result in made.results] == ["created", "merged", "deleted"]

listed = list_collection.sync(TENANT, "users", client=client, revisions=True)
assert [entry.id for entry in listed] == ["ada"]
assert listed[0].data["role"] == "member"

changes = get_changes.sync(TENANT, client=client, documents=True)
assert changes.changes[-1].kind.value == "deleted" and changes.more is False

gone = delete_document.sync_detailed(**at)
assert gone.status_code == 204
missing = is_a(Error, get_document.sync(**at))
assert missing.code.value == "NotFound"
print("Python: put, merge, get, difference, condition, patch, batch, list, changes, delete")
