import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import {
  Alert,
  type AlertChannel,
  AlertChannels,
  AlertRouter,
  AlertStore,
  ChannelError,
  ConsoleChannel,
  HeartbeatPulse,
  hostIdFromName,
  ReceiverClient,
  SlackChannel,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  SystemOutbox,
  WebhookChannel
} from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Fiber, FileSystem, Layer, Logger, Queue, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as Template from "../../src/channels/Template.ts"
import { storeIn } from "../../src/events/SystemOutbox.ts"
import { outboxes } from "../storage/Database.ts"
import { type Answer, closing, receiver, stalling, status } from "./Receiver.ts"

const web = hostIdFromName("web")

const alert = new Alert.Alert({
  id: "01936b0e-0000-7000-8000-000000000001",
  type: "host_unreachable",
  severity: "high",
  hostId: web,
  dedupKey: `host_unreachable|${web}|`,
  title: "wéb <1> & co is unreachable",
  tags: { severity: "high", alert_type: "host_unreachable", host_id: web },
  occurredAt: DateTime.makeUnsafe("2026-11-23T22:00:00Z")
})

const alertWith = (more: Partial<Alert.Alert>) => new Alert.Alert(Object.assign({}, alert, more))

const secret = Redacted.make("s3cr3t")

const webhook = (url: string, secret?: Redacted.Redacted) =>
  Effect.flatMap(
    Layer.build(ReceiverClient.layer),
    (client) =>
      WebhookChannel.make({ name: "ops", requiredTags: {}, url: Redacted.make(url), secret }).pipe(
        Effect.provide(client)
      )
  )

describe("webhook", () => {
  it.effect("posts the alert as JSON, with its id and the signature of the time and the body's exact bytes", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-11-23T22:00:01.9Z"))
      const { received, url } = yield* receiver(status(204))
      const channel = yield* webhook(`${url}/alerts?team=a`, secret)
      yield* channel.send(alert)
      const { body, headers, method, path } = yield* Queue.take(received)
      assert.deepStrictEqual([method, path, headers["content-type"]], ["POST", "/alerts?team=a", "application/json"])
      assert.strictEqual(headers["x-openwatch-alert-id"], alert.id)
      const timestamp = String(Date.parse("2026-11-23T22:00:01Z") / 1_000)
      assert.strictEqual(headers["x-openwatch-timestamp"], timestamp)
      const signed = Buffer.concat([Buffer.from(`${timestamp}.`), Buffer.from(body, "utf8")])
      assert.strictEqual(
        headers["x-openwatch-signature"],
        `v2=${createHmac("sha256", "s3cr3t").update(signed).digest("hex")}`
      )
      assert.deepStrictEqual(JSON.parse(body), {
        id: alert.id,
        type: "host_unreachable",
        severity: "high",
        hostId: web,
        dedupKey: `host_unreachable|${web}|`,
        title: "wéb <1> & co is unreachable",
        tags: { severity: "high", alert_type: "host_unreachable", host_id: web },
        occurredAt: "2026-11-23T22:00:00.000Z"
      })
      assert.deepStrictEqual(yield* Schema.decodeEffect(WebhookChannel.AlertText)(body), alert)
    }).pipe(Effect.scoped))

  it.effect("the signature is that of a timestamp and a body, which other tools compute as well", () =>
    Effect.sync(() =>
      // printf '1795471200.{"a":1}' | openssl dgst -sha256 -hmac Jefe
      assert.strictEqual(
        WebhookChannel.signatureOf(1_795_471_200, `{"a":1}`, Redacted.make("Jefe")),
        "v2=9775c11e6d0a84505d518848101e1c44e03aa62c90821b04d58034e87f81f0de"
      )
    ))

  it.effect("without a secret there is no signature", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(status(200))
      yield* (yield* webhook(url)).send(alert)
      const { headers } = yield* Queue.take(received)
      assert.notProperty(headers, "x-openwatch-signature")
      assert.notProperty(headers, "x-openwatch-timestamp")
    }).pipe(Effect.scoped))

  for (
    const [code, isRetryable] of [
      [301, true],
      [400, false],
      [401, true],
      [404, true],
      [413, false],
      [422, false],
      [429, true],
      [500, true],
      [
        503,
        true
      ]
    ] as const
  ) {
    it.effect(`status ${code} is a failure that ${isRetryable ? "may pass" : "is final"}`, () =>
      Effect.gen(function*() {
        const { url } = yield* receiver(status(code, { location: "/elsewhere" }))
        const error = yield* Effect.flip((yield* webhook(url)).send(alert))
        assert.deepStrictEqual(
          error,
          new ChannelError({
            message: `the receiver answered with status ${code}`,
            isRetryable,
            retryAfter: undefined
          })
        )
      }).pipe(Effect.scoped))
  }

  it.live("a receiver whose answers never end gives each connection back", () =>
    Effect.gen(function*() {
      const sockets = new Set<Net.Socket>()
      let most = 0
      const dripping: Answer = (response, request) => {
        sockets.add(request.socket)
        most = Math.max(most, sockets.size)
        request.socket.on("close", () => sockets.delete(request.socket))
        response.writeHead(200)
        const drip = setInterval(() => response.write("."), 50)
        response.on("close", () => clearInterval(drip))
      }
      const { count, url } = yield* receiver(dripping)
      const channel = yield* webhook(url)
      for (let n = 0; n < 50; n++) yield* channel.send(alert)
      assert.strictEqual(count(), 50)
      // The server notices a little later that one is closed.
      assert.isBelow(most, 25)
      while (sockets.size > 0) yield* Effect.sleep("10 millis")
    }).pipe(Effect.scoped))

  it.effect("sends what it is told to, by the method and with the headers that it is told", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(status(200))
      const channel = yield* WebhookChannel.make({
        name: "ops",
        requiredTags: {},
        url: Redacted.make(url),
        secret,
        method: "PUT",
        headers: { authorization: Redacted.make("Bearer T0K3N") },
        body: {
          text:
            `{"summary": "{{severity}}: {{ title }}", "site": "{{tags.site}}", "open": "{{state}}", "all": {{alert}}}`,
          format: "json"
        }
      })
      const told = alertWith({ title: `"web" \\ is down`, tags: { site: "köln" } })
      yield* channel.send(told)
      const { body, headers, method } = yield* Queue.take(received)
      assert.deepStrictEqual([method, headers["authorization"]], ["PUT", "Bearer T0K3N"])
      const { all, ...own } = JSON.parse(body)
      assert.deepStrictEqual(own, { summary: `high: "web" \\ is down`, site: "köln", open: "firing" })
      assert.deepStrictEqual(yield* Schema.decodeEffect(WebhookChannel.AlertText)(JSON.stringify(all)), told)
      const timestamp = Number(headers["x-openwatch-timestamp"])
      assert.strictEqual(headers["x-openwatch-signature"], WebhookChannel.signatureOf(timestamp, body, secret))
    }).pipe(Effect.scoped, Effect.provide(ReceiverClient.layer)))

  it.effect("a body that is no JSON is filled in as it is", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(status(200))
      const channel = yield* WebhookChannel.make({
        name: "ntfy",
        requiredTags: {},
        url: Redacted.make(url),
        headers: { "content-type": Redacted.make("text/plain"), title: Redacted.make("OpenWatch") },
        body: { text: `{{title}} {{reason}}{{link}}`, format: "text" }
      })
      yield* channel.send(alertWith({ title: `"web" is down` }))
      const { body, headers } = yield* Queue.take(received)
      assert.deepStrictEqual([body, headers["content-type"], headers["title"]], [
        `"web" is down `,
        "text/plain",
        "OpenWatch"
      ])
    }).pipe(Effect.scoped, Effect.provide(ReceiverClient.layer)))

  it.effect("a body is written as its content type wants it", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(status(200), status(200))
      const bodyOf = Effect.fnUntraced(function*(contentType: string, text: string) {
        const channel = yield* WebhookChannel.make({
          name: "ops",
          requiredTags: {},
          url: Redacted.make(url),
          headers: { "content-type": Redacted.make(contentType) },
          body: { text, format: Template.formatOf(contentType) }
        })
        yield* channel.send(alertWith({ title: `"web" & <db> + 1\ud800` }))
        return (yield* Queue.take(received)).body
      })
      const form = yield* bodyOf(
        "application/x-www-form-urlencoded; charset=utf-8",
        "priority=1&message={{title}}&all={{alert}}"
      )
      const values = new URLSearchParams(form)
      assert.strictEqual(values.get("message"), `"web" & <db> + 1\ufffd`)
      assert.strictEqual(JSON.parse(values.get("all")!).severity, "high")
      const xml = yield* bodyOf("application/xml", "<alert title='{{title}}'/>")
      assert.include(xml, "<alert title='&quot;web&quot; &amp; &lt;db&gt; + 1")
    }).pipe(Effect.scoped, Effect.provide(ReceiverClient.layer)))

  it.live("a test says what came back, whatever the answer's body does", () =>
    Effect.gen(function*() {
      const endless: Answer = (response) => {
        response.writeHead(202)
        const drip = setInterval(() => response.write("so \n far "), 20)
        response.on("close", () => clearInterval(drip))
      }
      const huge: Answer = (response) => void response.writeHead(403).end("no".repeat(10_000_000))
      const { url } = yield* receiver(status(200), endless, huge)
      const { test } = yield* webhook(url)
      assert.strictEqual(yield* test(alert), "the receiver answered with status 200: ok")
      assert.match(yield* test(alert), /^the receiver answered with status 202: so far so far /)
      const error = yield* Effect.flip(test(alert))
      assert.match(error.message, /^the receiver answered with status 403: (no){150}$/)
    }).pipe(Effect.scoped))

  it.effect("what the URL says of a user is sent as basic authentication", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(status(200))
      yield* (yield* webhook(url.replace("http://", "http://ops:pa%40ss@"))).send(alert)
      const { headers } = yield* Queue.take(received)
      assert.strictEqual(headers["authorization"], `Basic ${Buffer.from("ops:pa@ss").toString("base64")}`)
    }).pipe(Effect.scoped))

  it.effect("a proxy is used, and not for what NO_PROXY has", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const proxy = Http.createServer((request, response) => {
        asked.push(request.url ?? "")
        request.resume()
        response.end()
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () =>
          Effect.sync(() => {
            proxy.closeAllConnections()
            proxy.close()
          })
      )
      const address = `http://127.0.0.1:${(proxy.address() as Net.AddressInfo).port}`
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          Object.assign(process.env, { HTTP_PROXY: address, HTTPS_PROXY: address, NO_PROXY: "127.0.0.1" })
        ),
        () =>
          Effect.sync(() => {
            for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"]) delete process.env[name]
          })
      )
      const { received, url } = yield* receiver(status(200))
      yield* (yield* webhook("http://receiver.test/far")).send(alert)
      yield* (yield* webhook(`${url}/near`)).send(alert)
      assert.strictEqual((yield* Queue.take(received)).path, "/near")
      assert.deepStrictEqual(asked, ["http://receiver.test/far"])
    }).pipe(Effect.scoped))

  it.effect("a proxy that is none is an error that names the variable, and not its value", () =>
    Effect.gen(function*() {
      for (
        const [variable, value] of [["HTTPS_PROXY", "proxy:3128"], ["http_proxy", "http://ops:pa%ss@proxy"]] as const
      ) {
        process.env[variable] = value
        const error = yield* Effect.flip(Effect.scoped(Layer.build(ReceiverClient.layer))).pipe(
          Effect.ensuring(Effect.sync(() => delete process.env[variable]))
        )
        assert.strictEqual(
          error.message,
          `the environment variable ${variable} names no proxy that can be used; expected a URL that begins with http:// ` +
            "or https://, or nothing"
        )
      }
    }))

  it.effect("Retry-After is a number of seconds or a date", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-11-23T22:00:00Z"))
      const { url } = yield* receiver(
        status(429, { "retry-after": "120" }),
        status(503, { "retry-after": "Mon, 23 Nov 2026 22:00:30 GMT" }),
        status(503, { "retry-after": "soon" })
      )
      const channel = yield* webhook(url)
      const asked = () => Effect.map(Effect.flip(channel.send(alert)), ({ retryAfter }) => retryAfter)
      assert.deepStrictEqual(yield* asked(), Duration.seconds(120))
      assert.deepStrictEqual(yield* asked(), Duration.seconds(30))
      assert.deepStrictEqual(yield* asked(), undefined)
    }).pipe(Effect.scoped))

  it.effect("a closed connection and a port where nobody listens may pass, and the URL is not told", () =>
    Effect.gen(function*() {
      const { url } = yield* receiver(closing)
      const gone = yield* Effect.scoped(Effect.map(receiver(closing), ({ url }) => url))
      for (const at of [url, gone]) {
        const error = yield* Effect.flip((yield* webhook(`${at}/T0K3N`, secret)).send(alert))
        assert.isTrue(error.isRetryable)
        assert.match(error.message, /^the receiver cannot be reached: (UND_ERR_SOCKET|ECONNRESET|ECONNREFUSED)$/)
        assert.notInclude(JSON.stringify(error) + String(error.stack), "T0K3N")
      }
    }).pipe(Effect.scoped))
})

describe("slack", () => {
  it.effect("posts a text that Slack shows as it is", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(status(200))
      const channel = yield* SlackChannel.make({ name: "slack", requiredTags: {}, url: Redacted.make(url) })
      yield* channel.send(alert)
      const { body } = yield* Queue.take(received)
      assert.deepStrictEqual(JSON.parse(body), {
        text: ":red_circle: *high* wéb &lt;1&gt; &amp; co is unreachable " +
          "(<!date^1795471200^{date_short_pretty} {time_secs}|2026-11-23T22:00:00.000Z>)\n" +
          `Alert \`${alert.id}\` · Key \`host_unreachable|${web}|\``
      })
    }).pipe(Effect.scoped, Effect.provide(ReceiverClient.layer)))
})

describe("console", () => {
  /** What is printed from now on until the scope closes. It goes nowhere, and each attempt ends with this. */
  const printing = (error: Error | undefined) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const write = vi.spyOn(process.stdout, "write")
        write.mockImplementation((_text: unknown, done: unknown) => {
          ;(done as (error: Error | undefined) => void)(error)
          return true
        })
        return write.mock
      }),
      () => Effect.sync(() => vi.restoreAllMocks())
    )

  it.effect("prints one line, in the current zone", () =>
    Effect.gen(function*() {
      const { calls } = yield* printing(undefined)
      const channel = yield* ConsoleChannel.make({ name: "console", requiredTags: {} })
      yield* channel.send(alert)
      assert.deepStrictEqual(calls.map(([text]) => text), [
        "2026-11-24 07:00:00  high      wéb <1> & co is unreachable\n"
      ])
    }).pipe(Effect.scoped, Effect.provide(DateTime.layerCurrentZoneNamed("Asia/Tokyo"))))

  it.effect("fails where standard output cannot be written, and may work later", () =>
    Effect.gen(function*() {
      yield* printing(new Error("ENOSPC: no space left on device, write"))
      const channel = yield* ConsoleChannel.make({ name: "console", requiredTags: {} })
      const { isRetryable, message } = yield* Effect.flip(channel.send(alert))
      assert.strictEqual(message, "standard output: ENOSPC: no space left on device, write")
      assert.isTrue(isRetryable)
    }).pipe(Effect.scoped, Effect.provide(DateTime.layerCurrentZoneNamed("UTC"))))

  it.effect("adds nothing to what nobody has read yet: it would be printed once for each attempt", () =>
    Effect.gen(function*() {
      const { calls } = yield* printing(undefined)
      vi.spyOn(process.stdout, "writableLength", "get").mockReturnValue(60)
      const channel = yield* ConsoleChannel.make({ name: "console", requiredTags: {} })
      assert.strictEqual((yield* Effect.flip(channel.send(alert))).message, "standard output: nobody reads it")
      assert.deepStrictEqual(calls, [])
    }).pipe(Effect.scoped, Effect.provide(DateTime.layerCurrentZoneNamed("UTC"))))
})

describe("channels under the router", () => {
  /** Runs with a router that has this channel; what is logged goes to `logs`. */
  const withRouter = <A, E>(
    channel: AlertChannel,
    logs: Array<string>,
    effect: Effect.Effect<A, E, SystemOutbox | AlertStore.AlertStore | AlertRouter.AlertRouter>
  ) =>
    Effect.gen(function*() {
      const path = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
      return yield* effect.pipe(Effect.provide(
        AlertRouter.layer().pipe(
          Layer.provide(AlertChannels.layer([channel])),
          Layer.provideMerge(Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer)),
          Layer.provideMerge(outboxes),
          Layer.provide(Storage.layer({ _tag: "DataFolder", path })),
          Layer.provide(
            Logger.layer([Logger.make(({ cause, message }) => void logs.push(`${String(message)} ${String(cause)}`))])
          )
        )
      ))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

  const down = new HeartbeatPulse({
    hostId: web,
    reachable: false,
    priorReachable: true,
    responseTimeMs: 0,
    occurredAt: DateTime.makeUnsafe(0)
  })

  const awaitRouted = Effect.flatMap(SystemOutbox, (outbox) => outbox.awaitIdle)

  const deliveries = Effect.map(
    Effect.flatMap(AlertStore.AlertStore, (store) => store.list()),
    ([stored]) => stored!.deliveries
  )

  /** Lets time pass until the delivery has ended; requests and answers travel in real time. */
  const untilEnded = Effect.gen(function*() {
    for (;;) {
      const now = yield* deliveries
      if (now[0]!.state !== "pending") return now
      yield* TestClock.adjust("500 millis")
      yield* TestClock.withLive(Effect.sleep("5 millis"))
    }
  })

  it.effect("a receiver that fails, closes early and asks for patience gets the alert when it recovers, with one id", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(
        status(500),
        closing,
        status(429, { "retry-after": "30" }),
        status(200)
      )
      const logs: Array<string> = []
      const channel = yield* webhook(`${url}/T0K3N`, secret)
      yield* withRouter(
        channel,
        logs,
        Effect.gen(function*() {
          yield* storeIn(yield* SystemOutbox)(down)
          yield* awaitRouted
          const ids = new Set<unknown>()
          for (let n = 0; n < 3; n++) {
            const waiting = yield* Effect.forkChild(Queue.take(received))
            while (waiting.pollUnsafe() === undefined) {
              yield* TestClock.adjust("500 millis")
              yield* TestClock.withLive(Effect.sleep("5 millis"))
            }
            ids.add((yield* Fiber.join(waiting)).headers["x-openwatch-alert-id"])
          }
          // Half a minute was asked for: in the ten seconds that backing off may take at most nothing comes.
          yield* TestClock.adjust("10 seconds")
          assert.deepStrictEqual((yield* deliveries)[0]!.state, "pending")
          assert.deepStrictEqual(yield* untilEnded, [
            { channel: "ops", state: "delivered", attempts: 4, lastError: undefined }
          ])
          ids.add((yield* Queue.take(received)).headers["x-openwatch-alert-id"])
          assert.strictEqual(ids.size, 1)
          assert.isAbove(logs.length, 0)
          assert.notInclude(logs.join("\n"), "T0K3N")
          assert.notInclude(logs.join("\n"), "s3cr3t")
        })
      )
    }).pipe(Effect.scoped))

  it.effect("a receiver that stalls times out", () =>
    Effect.gen(function*() {
      const { received, url } = yield* receiver(stalling, status(200))
      const logs: Array<string> = []
      yield* withRouter(
        yield* webhook(url),
        logs,
        Effect.gen(function*() {
          yield* storeIn(yield* SystemOutbox)(down)
          yield* awaitRouted
          yield* Queue.take(received)
          assert.strictEqual((yield* untilEnded)[0]!.attempts, 2)
          assert.include(logs.join("\n"), "no end after 10s")
        })
      )
    }).pipe(Effect.scoped))

  it.effect("a final refusal is given up at once, and the store says why", () =>
    Effect.gen(function*() {
      const { count, received, url } = yield* receiver(status(400))
      yield* withRouter(
        yield* webhook(url),
        [],
        Effect.gen(function*() {
          yield* storeIn(yield* SystemOutbox)(down)
          yield* awaitRouted
          yield* Queue.take(received)
          assert.deepStrictEqual(yield* untilEnded, [
            { channel: "ops", state: "given_up", attempts: 1, lastError: "the receiver answered with status 400" }
          ])
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(count(), 1)
        })
      )
    }).pipe(Effect.scoped))
})
