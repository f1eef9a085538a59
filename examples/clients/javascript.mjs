// A client in JavaScript, for Node 18 or newer and for browsers.
//
// MELDB_URL is the server, MELDB_KEY a key with provisioning:* and changes:read for the tenant acme.
const { MELDB_URL, MELDB_KEY } = process.env
const users = "/api/v1/provisioning/tenants/acme/users"

async function call(method, path, { body, headers = {}, signal } = {}) {
  const answer = await fetch(MELDB_URL + path, {
    method,
    signal,
    headers: {
      authorization: `Bearer ${MELDB_KEY}`,
      ...(body && { "content-type": "application/json" }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  })
  if (answer.ok) return answer
  const { code, message } = await answer.json()
  throw Object.assign(new Error(`${answer.status} ${code}: ${message}`), { status: answer.status })
}

// Follows the feed from a cursor, and hands over one change at a time; the id of each is the next cursor.
async function* follow(after, signal) {
  const answer = await call("GET", "/api/v1/changes/tenants/acme", {
    headers: { accept: "text/event-stream", "last-event-id": after },
    signal,
  })
  let text = ""
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).split("\n").find((line) => line.startsWith("data: "))
      if (data) yield JSON.parse(data.slice(6))
    }
  }
}

await call("POST", `${users}/cyd`, { body: { name: "Cyd", role: "member" } })
const merged = await call("PUT", `${users}/cyd`, {
  body: { role: "owner" },
  headers: { "idempotency-key": `"${crypto.randomUUID()}"` },
})
console.log((await merged.json()).name, "is an owner")

const stop = new AbortController()
setTimeout(() => call("PUT", `${users}/cyd`, { body: { seats: 5 } }), 100)
for await (const change of follow("0", stop.signal)) {
  if (change.id !== "cyd") continue
  console.log(change.kind, "by", change.updatedBy)
  if ((await (await call("GET", `${users}/cyd`)).json()).seats === 5) break
}
stop.abort()
