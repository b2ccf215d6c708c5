/**
 * Attacks, each as an attacker would make it: on the wire, against a real server.
 */
import { assert, describe, it } from "@effect/vitest"
import { type FleetView, InspectorApi } from "@openwatch/inspector"
import { Effect, Logger, Redacted } from "effect"
import { TestClock } from "effect/testing"
import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import { networkInterfaces } from "node:os"
import { credentials } from "../src/internal/gate.ts"
import { port, request, server } from "./fixture.ts"

const token = "correct horse battery staple"
const withToken = server({ token: Redacted.make(token), hosts: ["watch.example"] })
const bearer = (value: string) => ({ authorization: `Bearer ${value}` })

const login = (given: string, headers: Record<string, string> = {}) =>
  request("/api/session", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ token: given })
  })

/** What holds something that a stranger may not see, or changes something. */
const guarded = [
  "/api/bus",
  "/api/subscriptions",
  "/api/events",
  "/api/fleet/hosts",
  "/api/fleet/alerts",
  "/api/fleet/hosts/x/scores",
  "/api/fleet/alerts/x/history",
  "/api/outboxes",
  "/api/dead-letters?outbox=x",
  "/metrics"
]

const everything = [...guarded, "/", "/index.html", "/icon.svg", "/health", "/ready", "/api/openapi.json"]

describe("a page of another site", () => {
  it.effect("that has its own name resolve to this address is refused by Host (DNS rebinding)", () =>
    Effect.gen(function*() {
      const own = yield* port
      for (
        const host of [
          "evil.example",
          `evil.example:${own}`,
          "127.0.0.1.evil.example",
          "localhost.evil.example",
          "[::1",
          "me@127.0.0.1"
        ]
      ) {
        for (const path of everything) {
          const answer = yield* request(path, { headers: { host } })
          assert.strictEqual(answer.status, 421, `${path} as ${host}`)
          assert.include(answer.text, JSON.stringify(host))
        }
      }
    }).pipe(Effect.provide(server())))

  it.effect("is not let in by a name that is listed, when that is not the name it uses", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* request("/health", { headers: { host: "WATCH.example:8443" } })).status, 200)
      assert.strictEqual((yield* request("/health", { headers: { host: "watch.example.evil" } })).status, 421)
    }).pipe(Effect.provide(withToken)))

  it.effect("that sends requests is refused by Origin", () =>
    Effect.gen(function*() {
      const own = yield* port
      const origins = [
        "https://evil.example",
        "null",
        `http://127.0.0.1:${own + 1}`,
        `http://127.0.0.1:${own}.evil.example`
      ]
      for (const origin of origins) {
        for (const path of everything) {
          const answer = yield* request(path, { headers: { origin, host: `127.0.0.1:${own}` } })
          assert.strictEqual(answer.status, 403, `${path} from ${origin}`)
        }
      }
      assert.strictEqual((yield* request("/api/bus", { headers: { origin: `http://127.0.0.1:${own}` } })).status, 200)
    }).pipe(Effect.provide(server())))

  it.effect("that loads a file or frames the page, without Origin, is refused by Sec-Fetch-Site", () =>
    Effect.gen(function*() {
      // Another port of the same machine is the same site, and another origin.
      for (const site of ["cross-site", "same-site"]) {
        for (
          const [mode, dest] of [["no-cors", "script"], ["no-cors", "image"], ["navigate", "iframe"], ["cors", "empty"]]
        ) {
          const headers = { "sec-fetch-site": site, "sec-fetch-mode": mode!, "sec-fetch-dest": dest! }
          assert.strictEqual((yield* request("/api/bus", { headers })).status, 403, `${site} ${mode} ${dest}`)
        }
      }
    }).pipe(Effect.provide(server())))

  it.effect("may hold a link to this one", () =>
    Effect.gen(function*() {
      const headers = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }
      assert.strictEqual((yield* request("/", { headers })).status, 200)
      assert.strictEqual((yield* request("/api/session", { method: "POST", headers })).status, 403)
    }).pipe(Effect.provide(server())))

  it.effect("cannot log its visitor in with a form", () =>
    Effect.gen(function*() {
      const forged = yield* login(token, { origin: "https://evil.example" })
      assert.strictEqual(forged.status, 403)
      assert.isUndefined(forged.headers["set-cookie"])
      // What a form can send without asking first is not what the API reads.
      const form = yield* request("/api/session", {
        method: "POST",
        headers: { "content-type": "text/plain" },
        body: JSON.stringify({ token })
      })
      assert.strictEqual(form.status, 415)
    }).pipe(Effect.provide(withToken)))
})

describe("a browser", () => {
  it.effect("is told to run and style nothing but our files, to be framed by nobody, and to guess no types", () =>
    Effect.gen(function*() {
      const refused = { headers: { host: "evil.example" } }
      const login = (body: string) => ({ method: "POST", headers: { "content-type": "application/json" }, body })
      for (
        const [path, options, expected] of [
          ["/", {}, 200],
          ["/api/bus", {}, 200],
          ["/api/bus", refused, 421],
          ["/health", {}, 200],
          ["/api/session", login("{"), 400],
          ["/api/session", login(JSON.stringify({ token: "x".repeat(40_000) })), 413],
          ["/api/fleet/hosts/none/scores", {}, 404],
          ["/no/such/path", {}, 404],
          ["/no/such/path", refused, 421],
          ["/no/such/path", { method: "PUT" }, 404],
          ["/api/bus", { method: "PATCH" }, 404],
          ["/api/fleet/hosts", {}, 500]
        ] as const
      ) {
        const { headers, status } = yield* request(path, options)
        assert.strictEqual(status, expected, path)
        const policy = new Map(
          String(headers["content-security-policy"]).split("; ").map((directive) => {
            const [name, ...values] = directive.split(" ")
            return [name, values.join(" ")]
          })
        )
        assert.strictEqual(policy.get("default-src"), "'none'")
        assert.strictEqual(policy.get("script-src"), "'self'")
        assert.strictEqual(policy.get("style-src"), "'self'")
        assert.strictEqual(policy.get("frame-ancestors"), "'none'")
        assert.strictEqual(policy.get("base-uri"), "'none'")
        assert.strictEqual(policy.get("require-trusted-types-for"), "'script'")
        assert.notInclude(headers["content-security-policy"]!, "unsafe")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.strictEqual(headers["x-frame-options"], "DENY")
        assert.strictEqual(headers["referrer-policy"], "no-referrer")
        assert.strictEqual(headers["cross-origin-resource-policy"], "same-origin")
      }
    }).pipe(Effect.provide(server({
      isAlone: true,
      fleet: {
        hosts: Effect.die(new Error("the database has gone")),
        openAlerts: Effect.succeed([]),
        scores: () => new InspectorApi.HostNotFound({ message: "No host has this id" })
      }
    }))))

  it.effect("stores nothing that the API says", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* request("/api/bus")).headers["cache-control"], "no-store")
    }).pipe(Effect.provide(server())))
})

describe("who changes alerts", () => {
  const change = (headers: Record<string, string>, body: unknown = { ids: ["1"], action: "ack", why: "mine" }) =>
    request("/api/fleet/alerts/change", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body)
    })
  const changes: Array<string> = []
  const fleet: FleetView["Service"] = {
    hosts: Effect.succeed([]),
    openAlerts: Effect.succeed([]),
    scores: () => Effect.succeed([]),
    changeAlerts: ({ action, ids, who, why }) =>
      Effect.suspend(() => {
        if (action === "resolve") return new InspectorApi.AlertsNotChanged({ message: "alert 1 is dismissed" })
        changes.push(`${who} ${action} ${ids.join()} ${why}`)
        return Effect.succeed([{ id: "1", from: "active", to: "acknowledged" }])
      })
  }
  const tokens = ["ada", "grace"].map((name) => ({ name, token: Redacted.make(name.repeat(6)) }))

  it.effect("is whose token it is, as a bearer or by the cookie of a login", () =>
    Effect.gen(function*() {
      changes.length = 0
      assert.deepStrictEqual(JSON.parse((yield* change(bearer(token))).text), [
        { id: "1", from: "active", to: "acknowledged" }
      ])
      yield* change(bearer("graceGRACE".repeat(3)))
      yield* change(bearer("grace".repeat(6)))
      const { headers } = yield* login("ada".repeat(6))
      yield* change({ cookie: headers["set-cookie"]![0]!.split("; ")[0]! })
      assert.deepStrictEqual(changes, ["token ack 1 mine", "grace ack 1 mine", "ada ack 1 mine"])
      const refused = yield* change(bearer(token), { ids: ["1"], action: "resolve", why: "" })
      assert.strictEqual(refused.status, 409)
      assert.include(refused.text, "alert 1 is dismissed")
      const wrong = yield* change(bearer(token), { ids: [], action: "burn", why: "" })
      assert.strictEqual(wrong.status, 400)
    }).pipe(Effect.provide(server({ token: Redacted.make(token), tokens, fleet }))))

  it.effect("is this machine where there are no tokens, and no page of another site", () =>
    Effect.gen(function*() {
      changes.length = 0
      yield* change({})
      assert.deepStrictEqual(changes, ["this machine ack 1 mine"])
      assert.strictEqual((yield* change({ origin: "https://evil.example" })).status, 403)
      assert.strictEqual((yield* change({ "sec-fetch-site": "cross-site" })).status, 403)
      assert.strictEqual(changes.length, 1)
    }).pipe(Effect.provide(server({ fleet }))))

  it.effect("is nobody without a token where there are some", () =>
    Effect.gen(function*() {
      changes.length = 0
      assert.strictEqual((yield* change({})).status, 401)
      assert.deepStrictEqual(changes, [])
    }).pipe(Effect.provide(server({ tokens, fleet }))))
})

describe("somebody without the token", () => {
  it.effect("sees nothing but the empty page and that the server lives", () =>
    Effect.gen(function*() {
      for (const path of guarded) assert.strictEqual((yield* request(path)).status, 401, path)
      assert.strictEqual((yield* request("/")).status, 200)
      assert.strictEqual((yield* request("/health")).text, `{"status":"ok"}`)
    }).pipe(Effect.provide(withToken)))

  it.effect("is not let in by a wrong one, in whatever place", () =>
    Effect.gen(function*() {
      const wrong = ["", "x", token.slice(0, -1), `${token}x`, token.toUpperCase(), "x".repeat(5000)]
      for (const given of wrong) {
        assert.strictEqual((yield* request("/api/bus", { headers: bearer(given) })).status, 401, `bearer ${given}`)
        const cookie = `inspector-session=${encodeURIComponent(given)}`
        assert.strictEqual((yield* request("/api/bus", { headers: { cookie } })).status, 401, `cookie ${given}`)
      }
      // The cookie holds another secret than the token: one is not good for the other.
      const cookie = `inspector-session=${encodeURIComponent(token)}`
      assert.strictEqual((yield* request("/api/bus", { headers: { cookie } })).status, 401)
      assert.strictEqual((yield* request(`/api/bus?token=${encodeURIComponent(token)}`)).status, 401)
    }).pipe(Effect.provide(withToken)))

  it.effect("learns nothing from the time that a wrong one takes: digests are compared, whole", () =>
    Effect.gen(function*() {
      const real = crypto.timingSafeEqual
      const compared: Array<number> = []
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          crypto.timingSafeEqual = (a, b) => {
            compared.push(a.byteLength, b.byteLength)
            return real(a, b)
          }
          syncBuiltinESMExports()
        }),
        () =>
          Effect.sync(() => {
            crypto.timingSafeEqual = real
            syncBuiltinESMExports()
          })
      )
      for (const given of ["x", token.slice(0, -1), `${token}x`]) {
        yield* request("/api/bus", { headers: bearer(given) })
        yield* request("/api/bus", { headers: { cookie: `inspector-session=${encodeURIComponent(given)}` } })
        yield* login(given)
        // A bearer, a cookie that is missing or given, and a payload: four pairs of digests.
        assert.deepStrictEqual(compared.splice(0), Array(8).fill(32), given)
      }
    }).pipe(Effect.scoped, Effect.provide(withToken)))

  it.effect("is refused at the login, and gets no cookie", () =>
    Effect.gen(function*() {
      for (const given of ["", "x", `${token}x`]) {
        const answer = yield* login(given)
        assert.strictEqual(answer.status, 401)
        assert.isUndefined(answer.headers["set-cookie"])
        assert.notInclude(answer.text, token)
      }
    }).pipe(Effect.provide(withToken)))

  it.effect("may try ten, and then one a second: more are not even looked at, and the log has one line", () => {
    const messages: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => {
      messages.push(String(message))
    })])
    return Effect.gen(function*() {
      const statuses = yield* Effect.forEach(
        Array.from({ length: 30 }, (_, n) => n),
        (n) => n % 2 === 0 ? login(`wrong ${n}`) : request("/api/bus", { headers: bearer(`wrong ${n}`) }),
        { concurrency: 10 }
      )
      const count = (status: number) => statuses.filter((answer) => answer.status === status).length
      assert.strictEqual(count(401) + count(429), 30)
      // The tenth may hear that it was the last that is looked at.
      assert.include([9, 10], count(401))
      // Nor is the right one: that it was would be told apart.
      assert.strictEqual((yield* login(token)).status, 429)
      assert.deepStrictEqual(messages, ["A wrong token came from 127.0.0.1; where more come, they are slowed down"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* login(token)).status, 204)
    }).pipe(Effect.provide(withToken), Effect.provide(logger))
  })

  it.effect("keeps nobody out who has a session", () =>
    Effect.gen(function*() {
      const [cookie] = (yield* login(token)).headers["set-cookie"]!
      for (let n = 0; n < 20; n++) yield* login("wrong")
      const answer = yield* request("/api/bus", { headers: { cookie: cookie!.split("; ")[0]! } })
      assert.strictEqual(answer.status, 200)
    }).pipe(Effect.provide(withToken)))

  it.effect("behind a proxy of this machine keeps nobody else behind it out, nor whoever comes without it", () =>
    Effect.gen(function*() {
      // What stands before the last address, the client has sent.
      const behind = (address: string) => ({ "x-forwarded-for": `192.0.2.99, ${address}` })
      for (let n = 0; n < 20; n++) yield* login("wrong", behind("192.0.2.1"))
      assert.strictEqual((yield* login(token, behind("192.0.2.1"))).status, 429)
      assert.strictEqual((yield* login(token, behind("2001:db8::2"))).status, 204)
      assert.strictEqual((yield* request("/metrics", { headers: bearer(token) })).status, 200)
    }).pipe(Effect.provide(withToken)))

  it.effect("has no new attempts at another address of the same network of IPv6, and at one of another has", () =>
    Effect.gen(function*() {
      const from = (address: string) => ({ "x-forwarded-for": address })
      for (let n = 0; n < 5; n++) {
        yield* login("wrong", from(`2001:db8:0:7::${n}`))
        yield* login("wrong", from(`2001:DB8::7:${n}:0:0:1`))
      }
      assert.strictEqual((yield* login(token, from("2001:db8::7:ffff:0:0:1"))).status, 429)
      assert.strictEqual((yield* login(token, from("2001:db8:0:8::1"))).status, 204)
      // These are of IPv4, each of somebody else.
      for (let n = 0; n < 20; n++) yield* login("wrong", from("::ffff:192.0.2.1"))
      assert.strictEqual((yield* login(token, from("::ffff:192.0.2.1"))).status, 429)
      assert.strictEqual((yield* login(token, from("::ffff:192.0.2.2"))).status, 204)
      assert.strictEqual((yield* login(token, from("::1"))).status, 204)
    }).pipe(Effect.provide(withToken)))

  it.effect("has the address of the connection where what a proxy passes on is none", () => {
    const messages: Array<unknown> = []
    const logger = Logger.layer([Logger.make(({ message }) => void messages.push(message))])
    return Effect.gen(function*() {
      yield* login("wrong", { "x-forwarded-for": "unknown; all is well" })
      assert.match(String(messages[0]), /^A wrong token came from 127\.0\.0\.1;/)
    }).pipe(Effect.provide(withToken), Effect.provide(logger))
  })

  it.effect("cannot log in where no token is set", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* login("undefined")).status, 401)
    }).pipe(Effect.provide(server())))
})

describe("somebody with the token", () => {
  it.effect("is let in by bearer", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* request("/api/bus", { headers: bearer(token) })).status, 200)
      assert.strictEqual((yield* request("/metrics", { headers: bearer(token) })).status, 200)
    }).pipe(Effect.provide(withToken)))

  it.effect("gets a cookie that no script reads and no other site sends, and that does not hold the token", () =>
    Effect.gen(function*() {
      const answer = yield* login(token)
      assert.strictEqual(answer.status, 204)
      const [cookie] = answer.headers["set-cookie"]!
      const [pair, ...attributes] = cookie!.split("; ")
      assert.includeMembers(attributes, ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"])
      assert.notInclude(attributes, "Secure")
      assert.notInclude(decodeURIComponent(pair!), token)
      assert.strictEqual((yield* request("/api/bus", { headers: { cookie: pair! } })).status, 200)
    }).pipe(Effect.provide(withToken)))

  it.effect("gets a cookie for https alone where the page came by https", () =>
    Effect.gen(function*() {
      const answer = yield* login(token, { origin: "https://watch.example", host: "watch.example" })
      assert.include(answer.headers["set-cookie"]![0]!.split("; "), "Secure")
    }).pipe(Effect.provide(withToken)))

  it.effect("ends the session by logging out, for whoever has the cookie, and no other session", () =>
    Effect.gen(function*() {
      const signIn = Effect.map(login(token), ({ headers }) => ({ cookie: headers["set-cookie"]![0]!.split("; ")[0]! }))
      const first = yield* signIn
      const second = yield* signIn
      const answer = yield* request("/api/session", { method: "DELETE", headers: first })
      assert.match(answer.headers["set-cookie"]![0]!, /^inspector-session=; Max-Age=0/)
      assert.strictEqual((yield* request("/api/bus", { headers: first })).status, 401)
      assert.strictEqual((yield* request("/api/bus", { headers: second })).status, 200)
    }).pipe(Effect.provide(withToken)))

  it("has a session for a week, and not one day more", () => {
    const tokens = [{ name: "ada", token: Redacted.make(token) }, {
      name: "grace",
      token: Redacted.make("g".repeat(16))
    }]
    const access = credentials(tokens)!
    assert.deepStrictEqual([token, "g".repeat(16), "wrong"].map(access.nameOf), ["ada", "grace", undefined])
    const session = access.begin("ada", 0)
    const day = 24 * 3_600_000
    assert.strictEqual(access.sessionOf(session, 7 * day - 1), "ada")
    assert.isUndefined(access.sessionOf(session, 7 * day))
    // When it ends, and whose it is, is signed as well.
    const [id, end, name, signature] = session.split(".")
    assert.isUndefined(access.sessionOf(`${id}.${Number(end) + day}.${name}.${signature}`, 0))
    assert.isUndefined(
      access.sessionOf(`${id}.${end}.${Buffer.from("grace").toString("base64url")}.${signature}`, 0)
    )
    // Another process knows nothing of it.
    assert.isUndefined(credentials(tokens)!.sessionOf(session, 0))
  })
})

describe("somebody on the network", () => {
  const address = Object.values(networkInterfaces()).flat().find((one) => one?.family === "IPv4" && !one.internal)
    ?.address
  if (address === undefined) {
    console.log("skipped: attacks from the network need an address of this machine beside the loopback")
  }

  it.effect.skipIf(address === undefined)(
    "is served nothing without a token, whatever the server listens on",
    () =>
      Effect.gen(function*() {
        const own = yield* port
        const answer = yield* request("/api/bus", { host: address!, headers: { host: `${address}:${own}` } })
        assert.strictEqual(answer.status, 403)
        assert.include(answer.text, "token")
        // `Host` is the sender's to choose, the address is not.
        assert.strictEqual((yield* request("/api/bus", { host: address!, headers: { host: "localhost" } })).status, 403)
        const forwarded = { "x-forwarded-for": "127.0.0.1", host: "localhost" }
        assert.strictEqual((yield* request("/api/bus", { host: address!, headers: forwarded })).status, 403)
      }).pipe(Effect.provide(server({}, { host: "0.0.0.0" })))
  )

  it.effect.skipIf(address === undefined)("is served with the token", () =>
    Effect.gen(function*() {
      const headers = { host: `${address}:${yield* port}`, ...bearer(token) }
      assert.strictEqual((yield* request("/api/bus", { host: address!, headers })).status, 200)
    }).pipe(Effect.provide(server({ token: Redacted.make(token) }, { host: "0.0.0.0" }))))
})

describe("somebody who sends too much", () => {
  it.effect("in the body, said or unsaid, is refused", () =>
    Effect.gen(function*() {
      const json = { "content-type": "application/json" }
      const large = JSON.stringify({ token: "x".repeat(40_000) })
      const said = yield* request("/api/session", { method: "POST", headers: json, body: large })
      assert.strictEqual(said.status, 413)
      const chunks = Array.from({ length: 64 }, () => " ".repeat(1024))
      const unsaid = yield* request("/api/session", { method: "POST", headers: json, body: chunks })
      assert.strictEqual(unsaid.status, 413)
    }).pipe(Effect.provide(withToken)))

  it.effect("in the headers, in one or in many, is refused", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* request("/health", { headers: { "x-large": "x".repeat(9000) } })).status, 431)
      const many = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x-header-${n}`, "some value"]))
      assert.strictEqual((yield* request("/health", { headers: many })).status, 431)
    }).pipe(Effect.provide(server())))

  it.effect("in the URL is refused", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* request(`/health?${"x".repeat(3000)}`)).status, 414)
    }).pipe(Effect.provide(server())))

  it.effect("in the body, but no more than the API takes, is not refused for its size", () =>
    Effect.gen(function*() {
      const post = (path: string, body: object) =>
        request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
      const ids = Array.from({ length: 50 }, (_, n) => `${n}`.padStart(64, "0"))
      const change = yield* post("/api/fleet/alerts/change", { ids, action: "ack", why: "火".repeat(1000) })
      assert.include(change.text, "No alerts can be changed here")
      const name = "火".repeat(1024)
      const letter = { outbox: name, consumer: name, letter: { kind: name, id: name } }
      const discard = yield* post("/api/dead-letters/discard", { ...letter, diedUntil: "2026-01-01T00:00:00Z" })
      assert.include(discard.text, "No outbox has the name")
    }).pipe(Effect.provide(server())))

  it.effect("as JSON that is none, or is something else, is told so", () =>
    Effect.gen(function*() {
      const json = { "content-type": "application/json" }
      for (const body of ["{", "[]", `{"token":1}`, `{"__proto__":{"token":"x"}}`]) {
        assert.strictEqual((yield* request("/api/session", { method: "POST", headers: json, body })).status, 400, body)
      }
    }).pipe(Effect.provide(withToken)))
})

describe("somebody who looks for other files", () => {
  it.effect("by a URL that is none is not met with a fault of the server", () =>
    Effect.gen(function*() {
      const status = (path: string) => Effect.map(request(path), ({ status }) => status)
      assert.isBelow(yield* status("http://[bad/"), 500)
      assert.isBelow(yield* status("http://[bad"), 500)
    }).pipe(Effect.provide(server())))

  it.effect("finds none", () =>
    Effect.gen(function*() {
      for (
        const path of [
          "/../package.json",
          "/..%2f..%2fpackage.json",
          "/assets/../../../package.json",
          "/%2e%2e/%2e%2e/package.json",
          "/index.html%00.js",
          "//etc/passwd"
        ]
      ) {
        const answer = yield* request(path)
        assert.notStrictEqual(answer.status, 200, path)
        assert.notInclude(answer.text, "@openwatch/inspector", path)
      }
    }).pipe(Effect.provide(server())))
})
