#!/bin/sh
# A client in curl. MELDB_URL is the server, MELDB_KEY a key with provisioning:* and changes:read for the tenant acme.
set -eu
users=$MELDB_URL/api/v1/provisioning/tenants/acme/users
call() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $MELDB_KEY" "$@"; }

# Create or replace; the answer is the document with its stamps.
call -X POST --json '{"name":"Ada","role":"member"}' "$users/ada" >/dev/null

# Merge one field, and keep the rest. With a key of its own it can be sent again after a broken connection.
call -X PUT -H 'Idempotency-Key: "promote-ada"' --json '{"role":"owner"}' "$users/ada" >/dev/null

# Change what was read, unless somebody else has written since.
tag=$(call --head "$users/ada" | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')
call -X PUT -H "If-Match: $tag" --json '{"seats":5}' "$users/ada" >/dev/null
code=$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $MELDB_KEY" -X PUT -H "If-Match: $tag" \
    --json '{"seats":6}' "$users/ada")
echo "the second one with the same tag: $code"

# What was written, from the beginning.
call "$MELDB_URL/api/v1/changes/tenants/acme?after=0" | grep -o '"kind":"[a-z]*"'
