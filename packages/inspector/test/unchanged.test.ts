import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { port, request, server } from "./fixture.ts"

const hosts = Array.from({ length: 50 }, (_, n) => ({
  id: `host-${n}`,
  name: `web-${n}`,
  endpoint: "192.0.2.1:22",
  state: "reachable" as const,
  since: null,
  reason: null,
  responseTimeMs: null,
  score: null
}))
const fleet = {
  hosts: Effect.succeed(hosts),
  openAlerts: Effect.succeed([]),
  scores: () => Effect.succeed([])
}

describe("what has not changed", () => {
  it.effect("is not sent again to who names its ETag", () =>
    Effect.gen(function*() {
      const { headers, status } = yield* request("/api/fleet/hosts")
      assert.strictEqual(status, 200)
      const known = { "if-none-match": headers.etag! }
      const again = yield* request("/api/fleet/hosts", { headers: known })
      assert.deepStrictEqual([again.status, again.text, again.headers.etag], [304, "", headers.etag])
      assert.strictEqual(again.headers["x-content-type-options"], "nosniff")
    }).pipe(Effect.provide(server({ fleet }))))

  it.effect("is sent once it is something else", () => {
    let count = 50
    return Effect.gen(function*() {
      const { headers } = yield* request("/api/fleet/hosts")
      count = 49
      const again = yield* request("/api/fleet/hosts", { headers: { "if-none-match": headers.etag! } })
      assert.strictEqual(again.status, 200)
      assert.lengthOf(JSON.parse(again.text), 49)
    }).pipe(Effect.provide(server({ fleet: { ...fleet, hosts: Effect.sync(() => hosts.slice(0, count)) } })))
  })

  it.effect("is known by the ETag of the compressed response, too", () =>
    Effect.gen(function*() {
      const encoded = { "accept-encoding": "gzip" }
      const { headers } = yield* request("/api/fleet/hosts", { headers: encoded })
      assert.strictEqual(headers["content-encoding"], "gzip")
      const again = yield* request("/api/fleet/hosts", { headers: { ...encoded, "if-none-match": headers.etag! } })
      assert.strictEqual(again.status, 304)
    }).pipe(Effect.provide(server({ fleet }))))
})

describe("compression", () => {
  it.effect("leaves the stream of events as it is", () =>
    Effect.gen(function*() {
      const url = `http://127.0.0.1:${yield* port}/api/events`
      const { headers } = yield* Effect.acquireRelease(
        Effect.promise((signal) => fetch(url, { headers: { "accept-encoding": "gzip" }, signal })),
        ({ body }) => Effect.promise(() => body!.cancel())
      )
      assert.isNull(headers.get("content-encoding"))
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("gives back what there was", () =>
    Effect.gen(function*() {
      const url = `http://127.0.0.1:${yield* port}/api/fleet/hosts`
      // `fetch` undoes it, so this is what a browser sees.
      const unpacked = yield* Effect.promise(() => fetch(url).then((response) => response.json()))
      assert.lengthOf(unpacked as ReadonlyArray<unknown>, 50)
    }).pipe(Effect.provide(server({ fleet }))))
})
