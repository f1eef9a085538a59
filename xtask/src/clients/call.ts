// Calls the generated client: what it returns must be of the described types, and right.

import { client } from "./ts/client.gen"
import {
  deleteDocument, getChanges, getDocument, listCollection, makeBatch, mergeDocument, patchDocument, putDocument,
} from "./ts/sdk.gen"

declare const process: { env: Record<string, string | undefined> }

client.setConfig({ baseUrl: process.env.MELDB_URL, auth: process.env.MELDB_KEY })

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what)
}

const path = { tenantId: "tenant-alpha", collection: "users", docId: "ada-ts" }

const put = await putDocument({ path, body: { name: "Ada", price: 1.5 } })
check(put.response?.status === 201 && put.data !== undefined, "put")

const merged = await mergeDocument({ path, body: { role: "owner" } })
check(merged.data !== undefined && !("diff" in merged.data), "a document is told from a difference")

const got = await getDocument({ path })
check(got.data?.role === "owner" && got.data.name === "Ada" && (got.data.updated ?? 0) > 0, "get")
const tag = got.response?.headers.get("etag") ?? ""

const diff = await mergeDocument({ path, body: { role: "guest" }, headers: { Prefer: "return=diff" } })
check(diff.data !== undefined && "diff" in diff.data && diff.data.effect === "merged", "a difference")

const late = await mergeDocument({ path, body: { role: "late" }, headers: { "If-Match": tag } })
check(late.response?.status === 412 && late.error?.code === "PreconditionFailed", "a condition that fails")

const patched = await patchDocument({ path, body: [{ op: "add", path: "/tags", value: ["vip"] }] })
check(patched.response?.status === 200, "patch")

const tenant = { tenantId: path.tenantId }
const batch = await makeBatch({
  path: tenant,
  body: {
    operations: [
      { op: "put", path: "users/bob-ts", data: { name: "Bob" } },
      { op: "merge", path: "users/ada-ts", data: { role: "member" } },
      { op: "delete", path: "users/bob-ts" },
    ],
  },
})
const effects = batch.data?.results.map((result) => result.effect)
check(effects?.join() === "created,merged,deleted", `batch: ${effects}`)

const listed = await listCollection({ path: { ...tenant, collection: "users" }, query: { revisions: true } })
check(listed.data?.some((entry) => entry.id === "ada-ts" && entry.data.role === "member") === true, "list")

const changes = await getChanges({ path: tenant, query: { documents: true } })
check(typeof changes.data === "object" && changes.data.changes.at(-1)?.kind === "deleted", "changes")

const gone = await deleteDocument({ path })
check(gone.response?.status === 204, "delete")
const missing = await getDocument({ path })
check(missing.error?.code === "NotFound", "a document that is gone")
console.log("TypeScript: put, merge, get, difference, condition, patch, batch, list, changes, delete")
