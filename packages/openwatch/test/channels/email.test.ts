import { assert, describe, it, vi } from "@effect/vitest"
import { Alert, type AlertChannel, AlertEnded, AlertRaised, EmailChannel, hostIdFromName } from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Fiber, Option, Queue, Redacted, type Scope } from "effect"
import * as Dns from "node:dns"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { SMTPServerOptions } from "smtp-server"
import { certificate, mailServer } from "./MailServer.ts"

const web = hostIdFromName("web")

const down = new Alert.Alert({
  id: "01936b0e-0000-7000-8000-000000000001",
  type: "host_unreachable",
  severity: "high",
  hostId: web,
  host: { name: "wéb", address: "192.0.2.7:22" },
  title: "wéb (192.0.2.7:22) is unreachable: timed out",
  dedupKey: `host_unreachable|${web}|`,
  reason: { code: "TimedOut", text: "timed out" },
  link: "https://watch.example.org/#/hosts/x",
  tags: { host: "wéb" },
  occurredAt: DateTime.makeUnsafe("2026-11-23T22:00:00Z")
})

const alertWith = (more: Partial<Alert.Alert>) => new Alert.Alert(Object.assign({}, down, more))

const up = alertWith({
  id: "01936b0e-0000-7000-8000-000000000002",
  type: "host_recovered",
  severity: "info",
  title: "wéb is reachable again",
  resolves: down.id
})

const credentials = { username: "ada", password: Redacted.make("pa55word") }

const mail = (port: number, more: Partial<EmailChannel.Options> = {}) =>
  Effect.provide(
    EmailChannel.make({
      name: "mail",
      requiredTags: {},
      host: "localhost",
      port,
      security: "starttls",
      credentials,
      from: "openwatch@example.org",
      to: ["ops@example.org"],
      ...more
    }),
    DateTime.layerCurrentZoneNamed("Europe/Berlin")
  )

/** The certificate of the tests is believed while the scope is open. */
const trusting = (cert: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Tls.getCACertificates("default")
      Tls.setDefaultCACertificates([...before, cert])
      return before
    }),
    (before) => Effect.sync(() => Tls.setDefaultCACertificates(before))
  )

/** A server whose certificate is believed. */
const server = Effect.fnUntraced(function*(options: SMTPServerOptions = {}) {
  const { cert, key } = yield* certificate
  yield* trusting(cert)
  return yield* mailServer({ cert, key, ...options })
})

/** The lines of a mail, unfolded and decoded. */
const decoded = (text: string): string => {
  const quoted = (part: string) =>
    Buffer.from(
      part.replace(/=\r\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
      "latin1"
    ).toString("utf8")
  const [head = "", ...body] = text.split("\r\n\r\n")
  const headers = head.replace(/\r\n[ \t]+/g, " ").replace(/\?= =\?UTF-8\?Q\?/gi, "").replace(
    /=\?UTF-8\?Q\?(.*?)\?=/gi,
    (_, word: string) => quoted(word.replace(/_/g, " "))
  )
  return `${headers}\n\n${quoted(body.join("\r\n\r\n")).replace(/\r\n/g, "\n")}`
}

const live = <A, E>(name: string, test: Effect.Effect<A, E, Scope.Scope>) => it.live(name, () => Effect.scoped(test))

/** What a channel fails with. */
const failure = (channel: AlertChannel) => Effect.flip(channel.send(down))

describe("email", () => {
  live(
    "is sent by STARTTLS, with all that is known, and what ends an alert answers its mail",
    Effect.gen(function*() {
      const { port, received } = yield* server()
      const channel = yield* mail(port, { to: ["ops@example.org", "boss@example.org"] })
      yield* channel.send(down)
      yield* channel.send(up)
      const first = yield* Queue.take(received)
      assert.deepInclude(first, {
        from: "openwatch@example.org",
        to: ["ops@example.org", "boss@example.org"],
        isEncrypted: true,
        user: "ada"
      })
      const text = decoded(first.text)
      assert.include(text, "Subject: [high] wéb (192.0.2.7:22) is unreachable: timed out")
      assert.include(text, `Message-ID: <${down.id}@example.org>`)
      assert.include(text, "Auto-Submitted: auto-generated")
      assert.include(
        text,
        [
          "wéb (192.0.2.7:22) is unreachable: timed out",
          "",
          "Host: wéb",
          "Address: 192.0.2.7:22",
          "Reason: timed out",
          "Time: 2026-11-23 23:00:00+01:00",
          `Alert: ${down.id}`,
          `Key: ${down.dedupKey}`,
          "Look: https://watch.example.org/#/hosts/x"
        ].join("\n")
      )
      const second = decoded((yield* Queue.take(received)).text)
      assert.include(second, `In-Reply-To: <${down.id}@example.org>`)
      assert.include(second, `Ends: ${down.id}`)
    })
  )

  live(
    "that somebody has ended an alert is a reply to the mail of the alert",
    Effect.gen(function*() {
      const { port, received } = yield* server()
      const channel = yield* mail(port)
      const ending = new AlertEnded({
        alert: down,
        how: "dismissed",
        who: "ada",
        why: "",
        channels: ["mail"],
        occurredAt: DateTime.makeUnsafe("2026-11-23T23:00:00Z")
      })
      yield* channel.sendEnding!(ending)
      const text = decoded((yield* Queue.take(received)).text)
      assert.include(text, `Message-ID: <${down.id}.end@example.org>`)
      assert.include(text, `In-Reply-To: <${down.id}@example.org>`)
    })
  )

  live(
    "has an id of its own each time, and belongs to the first mail of its alert",
    Effect.gen(function*() {
      const { port, received } = yield* server()
      const channel = yield* mail(port, { groupWait: Duration.seconds(10), groupInterval: Duration.minutes(5) })
      const headers = Effect.map(Queue.take(received), ({ text }) => {
        const lines = decoded(text).split("\n\n")[0]!.split(/\r?\n/)
        const of = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
        return { id: of("Message-ID"), reply: of("In-Reply-To"), references: of("References") }
      })
      const first = `<${down.id}@example.org>`
      const reminder = (hour: number) =>
        Alert.again(down, "reminder", DateTime.makeUnsafe(`2026-11-24T0${hour}:00:00Z`))
      const ids: Array<string | undefined> = []
      for (const alert of [reminder(1), reminder(2)]) {
        yield* channel.send(alert)
        const { id, references, reply } = yield* headers
        ids.push(id)
        assert.deepStrictEqual([reply, references], [first, first])
      }
      const other = alertWith({ id: "01936b0e-0000-7000-8000-000000000003" })
      const raised = (...alerts: ReadonlyArray<Alert.Alert>) =>
        alerts.map((alert) => new AlertRaised({ alert, channels: [], occurredAt: alert.occurredAt }))
      const again = [raised(down, other), raised(reminder(1), other), raised(reminder(2), other)]
      for (const told of again) {
        yield* channel.grouping!.send(told)
        const { id, references } = yield* headers
        ids.push(id)
        assert.strictEqual(references, `${first} <${other.id}@example.org>`)
      }
      assert.strictEqual(new Set([first, ...ids]).size, 6)
      // A second copy is known by its id.
      yield* channel.send(reminder(1))
      yield* channel.grouping!.send(again[1]!)
      assert.deepStrictEqual([(yield* headers).id, (yield* headers).id], [ids[0], ids[3]])
    })
  )

  live(
    "is sent by TLS at once, and a test says what the server said",
    Effect.gen(function*() {
      const { port, received } = yield* server({ secure: true })
      const channel = yield* mail(port, { security: "tls" })
      assert.strictEqual(yield* channel.test(up), "the mail server answered: 250 kept as number 7")
      assert.isTrue((yield* Queue.take(received)).isEncrypted)
    })
  )

  live(
    "of many is one, which names the first twenty",
    Effect.gen(function*() {
      const { port, received } = yield* server()
      const channel = yield* mail(port, { groupWait: Duration.seconds(10), groupInterval: Duration.minutes(5) })
      const told = Array.from({ length: 300 }, (_, n) => {
        const hostId = hostIdFromName(`host-${n}`)
        const alert = alertWith({
          id: `01936b0e-0000-7000-8000-${String(n).padStart(12, "0")}`,
          hostId,
          host: { name: `host-${n}` },
          title: `host-${n} is unreachable: timed out`,
          dedupKey: `host_unreachable|${hostId}|`
        })
        return new AlertRaised({ alert, channels: [], occurredAt: alert.occurredAt })
      })
      yield* channel.grouping!.send(told)
      const text = decoded((yield* Queue.take(received)).text)
      assert.include(text, "Subject: [high] 300 hosts are unreachable")
      assert.include(text, "host-18, host-19 and 280 more")
      assert.include(
        text,
        `- 2026-11-23 23:00:00+01:00 host-19 is unreachable: timed out (alert ${told[19]!.alert.id})`
      )
      assert.include(text, "- and 280 more")
      assert.notInclude(text, "host-20 is")
    })
  )

  live(
    "is not sent to a server that nobody vouches for, nor without encryption, and may be sent later",
    Effect.gen(function*() {
      const unknown = yield* mailServer(yield* certificate)
      const stranger = yield* failure(yield* mail(unknown.port))
      assert.deepInclude(stranger, { isRetryable: true })
      assert.match(stranger.message, /^the mail server cannot be reached: /)
      const plain = yield* mailServer({ disabledCommands: ["STARTTLS"] })
      const bare = yield* failure(yield* mail(plain.port, { credentials: undefined }))
      assert.deepInclude(bare, { isRetryable: true })
      assert.strictEqual(Queue.sizeUnsafe(plain.received), 0)
      // Where somebody says so, as on the same machine, it is.
      yield* (yield* mail(plain.port, { credentials: undefined, security: "none" })).send(down)
      assert.isFalse((yield* Queue.take(plain.received)).isEncrypted)
    })
  )

  live(
    "that the server has read and refused is final; a password or a receiver that is wrong may be set right",
    Effect.gen(function*() {
      const refusing = (code: number) =>
        server({
          onData: (stream, _, done) => {
            stream.resume()
            stream.on("end", () => done(Object.assign(new Error("no such thing"), { responseCode: code })))
          }
        })
      assert.deepInclude(yield* failure(yield* mail((yield* refusing(554)).port)), {
        message: "the mail server answered: 554 no such thing",
        isRetryable: false
      })
      assert.deepInclude(yield* failure(yield* mail((yield* refusing(451)).port)), {
        message: "the mail server answered: 451 no such thing",
        isRetryable: true
      })
      const { port } = yield* server({
        onRcptTo: ({ address }, _, done) =>
          done(address.startsWith("no") ? Object.assign(new Error("unknown"), { responseCode: 550 }) : null)
      })
      const wrong = yield* failure(yield* mail(port, { to: ["nobody@example.org"] }))
      assert.deepInclude(wrong, { message: "the mail server answered: 550 unknown", isRetryable: true })
      const stranger = { username: "ada", password: Redacted.make("guess-w0rd") }
      const denied = yield* failure(yield* mail(port, { credentials: stranger }))
      assert.isTrue(denied.isRetryable)
      assert.match(denied.message, /^the mail server answered: 535 /)
      assert.notInclude(denied.message, "guess-w0rd")
      // Those who can be reached are.
      const { test } = yield* mail(port, { to: ["ops@example.org", "nobody@example.org"] })
      assert.match(yield* test(down), /^the mail server answered: 250 .*; it takes no mail for nobody@example.org$/)
    })
  )

  live(
    "finds its server as the system finds names, whatever DNS says",
    Effect.gen(function*() {
      // No mail server is there.
      const byDns = vi.spyOn(Dns.Resolver.prototype, "resolve4").mockImplementation((_, done: unknown) =>
        (done as (error: null, addresses: ReadonlyArray<string>) => void)(null, ["127.0.0.2"])
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => byDns.mockRestore()))
      const { port, received } = yield* server()
      yield* (yield* mail(port)).send(down)
      assert.strictEqual((yield* Queue.take(received)).user, "ada")
    })
  )

  live(
    "gives the connection back, from a server that is silent as well as from one that is away",
    Effect.gen(function*() {
      const sockets = new Set<Net.Socket>()
      const opened = yield* Queue.unbounded<void>()
      const silent = Net.createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
        socket.resume()
        Queue.offerUnsafe(opened, undefined)
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void silent.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => silent.close())
      )
      const { port } = silent.address() as Net.AddressInfo
      const sending = yield* Effect.forkChild((yield* mail(port, { host: "127.0.0.1" })).send(down))
      yield* Queue.take(opened)
      // What takes too long is interrupted.
      yield* Fiber.interrupt(sending)
      // By itself, the connection would be patient for nine seconds.
      const closed = Effect.repeat(Effect.sleep("10 millis"), { while: () => sockets.size > 0 })
      assert.isTrue(Option.isSome(yield* Effect.timeoutOption(closed, "6 seconds")))
      yield* Effect.callback<void>((resume) => void silent.close(() => resume(Effect.void)))
      const away = yield* failure(yield* mail(port, { host: "127.0.0.1" }))
      assert.deepInclude(away, { message: "the mail server cannot be reached: ECONNREFUSED", isRetryable: true })
    })
  )
})
