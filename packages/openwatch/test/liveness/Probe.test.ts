import { assert, describe, it } from "@effect/vitest"
import { Probe } from "@openwatch/openwatch"
import { Clock, Deferred, Effect, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { freePort } from "../../../../test/servers/freePort.ts"

interface Server {
  readonly port: number
  /** The first connection is open. */
  readonly connected: Deferred.Deferred<void>
  /** The first connection is closed. */
  readonly closed: Deferred.Deferred<void>
}

/** A real TCP server that does this with each connection. */
const listen = (
  onConnection: (socket: Net.Socket) => void,
  host = "127.0.0.1",
  port = 0
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const connected = yield* Deferred.make<void>()
    const closed = yield* Deferred.make<void>()
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
      // Nothing is expected from a probe, but a socket notices its end only while it is read.
      socket.resume()
      Deferred.doneUnsafe(connected, Effect.void)
      onConnection(socket)
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(port, host, () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    return { port: (server.address() as Net.AddressInfo).port, connected, closed }
  })

const probe = (port: number, address = "127.0.0.1") =>
  Effect.flatMap(
    Probe.Probe,
    ({ probe, resolve }) => Effect.flatMap(resolve(address), (addresses) => probe({ addresses, port }))
  ).pipe(Effect.provide(Probe.Probe.layerTcp()))

const reasonOf = (port: number, address?: string) =>
  probe(port, address).pipe(Effect.flip, Effect.map((error) => error.reason))

/** Probes a server that does this, and waits until it has seen the connection end. */
const probeServer = (onConnection: (socket: Net.Socket) => void) =>
  Effect.gen(function*() {
    const server = yield* listen(onConnection)
    const result = yield* Effect.exit(probe(server.port))
    yield* Deferred.await(server.closed)
    return yield* result
  })

const reasonOfServer = (onConnection: (socket: Net.Socket) => void) =>
  probeServer(onConnection).pipe(Effect.flip, Effect.map((error) => error.reason))

describe("a host is reachable when its server", () => {
  it.effect("speaks SSH 2.0", () => probeServer((socket) => socket.write("SSH-2.0-OpenSSH_9.9\r\n")))

  it.effect("speaks SSH 1.99", () => probeServer((socket) => socket.write("SSH-1.99-Cisco-1.25\r\n")))

  it.effect("says so and hangs up", () => probeServer((socket) => socket.end("SSH-2.0-x\r\n")))

  // @spec system-liveness-loop
  // @ac AC-01
  it.effect("[system-liveness-loop/AC-01] says so a byte at a time", () =>
    probeServer((socket) => {
      socket.setNoDelay()
      const send = (rest: string) => {
        if (rest !== "" && !socket.destroyed) socket.write(rest.slice(0, 1), () => setImmediate(send, rest.slice(1)))
      }
      send("SSH-2.0-slow\r\n")
    }))

  it.effect("says other things first", () =>
    probeServer((socket) => socket.write(`Welcome to web-1\r\n\r\n${"*".repeat(4_000)}\r\nSSH-2.0-x\r\n`)))

  it.effect.each(["Exceeded MaxStartups\r\n", "Not allowed at this time\r\n"])(
    "says %j, as only a living sshd does",
    (said) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* probeServer((socket) => socket.end(said))).note, said.trim())
      })
  )

  it.effect("says so, and 10 MB more", () => probeServer((socket) => socket.write(`SSH-2.0-${"x".repeat(10_000_000)}`)))

  // @spec system-liveness-loop
  // @ac AC-05
  it.effect("[system-liveness-loop/AC-05] listens on IPv6", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.write("SSH-2.0-x\r\n"), "::1")
      yield* probe(port, "::1")
    }))

  // @spec system-liveness-loop
  // @ac AC-05
  it.live("[system-liveness-loop/AC-05] listens on the last of its addresses, of which the others are silent", () =>
    Effect.gen(function*() {
      const silent = yield* listen(() => {}, "127.0.0.2", 0)
      const { port } = silent
      yield* listen(() => {}, "127.0.0.3", port)
      yield* listen(() => {}, "127.0.0.4", port)
      yield* listen((socket) => socket.write("SSH-2.0-x\r\n"), "127.0.0.5", port)
      const { probe } = yield* Probe.Probe
      yield* probe({ addresses: ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"], port })
    }).pipe(Effect.provide(Probe.Probe.layerTcp())))

  // @spec system-liveness-loop
  // @ac AC-05
  it.effect("[system-liveness-loop/AC-05] listens on one of the addresses of its name", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.write("SSH-2.0-x\r\n"))
      yield* probe(port, "localhost")
    }))
})

describe("a host is not reachable when", () => {
  // @spec system-liveness-loop
  // @ac AC-04
  it.effect("[system-liveness-loop/AC-04] it refuses, resets, or is not found: each is a reason of its own", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(listen(() => {}))
      const reasons = [
        yield* reasonOf(port),
        yield* reasonOfServer((socket) => socket.resetAndDestroy()),
        yield* reasonOf(22, "no..such.host")
      ]
      assert.deepStrictEqual(reasons.map(({ _tag }) => _tag), [
        "ConnectionRefused",
        "ConnectionReset",
        "NameNotResolved"
      ])
    }))

  it.effect("nothing listens", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(listen(() => {}))
      assert.deepStrictEqual(yield* reasonOf(port), new Probe.ConnectionRefused())
    }))

  it.effect("nothing listens on any address of its name", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(listen(() => {}))
      assert.deepStrictEqual(yield* reasonOf(port, "localhost"), new Probe.ConnectionRefused())
    }))

  it.effect("its name has no address", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* reasonOf(22, "no..such.host"), new Probe.NameNotResolved({ code: "ENOTFOUND" }))
    }))

  it.effect("the server resets the connection", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOfServer((socket) => socket.resetAndDestroy())
      assert.deepStrictEqual(reason, new Probe.ConnectionReset())
    }))

  it.effect("the server hangs up without a word", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* reasonOfServer((socket) => socket.end()), new Probe.ConnectionClosed())
    }))

  it.effect("the server hangs up in the middle of its first word", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* reasonOfServer((socket) => socket.end("SSH-2.")), new Probe.ConnectionClosed())
    }))

  it.effect.each([
    "220 mail.example.org ESMTP\r\n",
    "SSH-1.5-old\r\n",
    "ssh-2.0-x\r\n",
    " SSH-2.0-x\r\n",
    "SSH-2.1-x\r\n"
  ])(
    "the server says %j",
    (banner) =>
      Effect.gen(function*() {
        const reason = yield* reasonOfServer((socket) => socket.end(banner))
        assert.deepStrictEqual(reason, new Probe.NotSsh({ banner }))
      })
  )

  it.effect("the server sends binary", () =>
    Effect.gen(function*() {
      const bytes = Uint8Array.from({ length: 256 }, (_, n) => 255 - n)
      const reason = yield* reasonOfServer((socket) => socket.end(bytes))
      assert.deepStrictEqual(reason, new Probe.NotSsh({ banner: String.fromCharCode(...bytes) }))
    }))

  // @spec system-liveness-loop
  // @ac AC-02
  it.effect("[system-liveness-loop/AC-02] the server sends 10 MB, of which 8 KiB are read", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOfServer((socket) => socket.write("x".repeat(10_000_000)))
      assert.deepStrictEqual(reason, new Probe.NotSsh({ banner: "x".repeat(8_192) }))
    }))

  // The kernel tells both ends of a connection, but in no given order.
  const turnOfTheEventLoop = Effect.callback<void>((resume) => {
    setImmediate(() => setImmediate(() => resume(Effect.void)))
  })

  const whileConnected = (onConnection: (socket: Net.Socket) => void) =>
    Effect.gen(function*() {
      const server = yield* listen(onConnection)
      const fiber = yield* Effect.forkChild(probe(server.port))
      yield* Deferred.await(server.connected)
      yield* turnOfTheEventLoop
      return { server, fiber }
    })

  // @spec system-liveness-loop
  // @ac AC-03
  it.effect.each([["says nothing", ""], ["stops in the middle of its first word", "SSH-2.0"]] as const)(
    "[system-liveness-loop/AC-03] the server %s for 5 seconds, connecting included",
    ([_, said]) =>
      Effect.gen(function*() {
        const { fiber, server } = yield* whileConnected((socket) => socket.write(said))
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const { reason } = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(reason._tag, "TimedOut")
        yield* Deferred.await(server.closed)
      })
  )

  it.effect("its time is over, and the reason says what it was waited for", () =>
    Effect.gen(function*() {
      const { fiber } = yield* whileConnected(() => {})
      yield* TestClock.adjust("5 seconds")
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.message, "connected, but no SSH banner within 5s")
    }))

  // @spec system-liveness-loop
  // @ac AC-15
  it.effect("[system-liveness-loop/AC-15] an interrupted probe closes its connection", () =>
    Effect.gen(function*() {
      const { fiber, server } = yield* whileConnected(() => {})
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(server.closed)
    }))
})

// @spec system-liveness-loop
// @ac AC-10
it.effect("[system-liveness-loop/AC-10] a name that is not found is void where the process was paused meanwhile", () =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    let paused = 0n
    const jumping: Clock.Clock = {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + paused,
      monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe() + paused),
      sleep: (duration) => clock.sleep(duration)
    }
    yield* Effect.gen(function*() {
      const { resolve } = yield* Probe.Probe
      const looking = Effect.flip(resolve("no..such.host"))
      assert.strictEqual((yield* looking).reason._tag, "NameNotResolved")
      const fiber = yield* Effect.forkChild(looking, { startImmediately: true })
      paused = 16_000_000_000n
      assert.deepStrictEqual((yield* Fiber.join(fiber)).reason, new Probe.LocalFault({ code: "PAUSED" }))
    }).pipe(Effect.provide(Probe.Probe.layerTcp()), Effect.provideService(Clock.Clock, jumping))
  }))

describe("a reason", () => {
  it.each([
    [new Probe.NameNotResolved({ code: "ENOTFOUND" }), "the name could not be resolved (ENOTFOUND)"],
    [new Probe.ConnectionRefused(), "connection refused"],
    [new Probe.NoRoute({ code: "EHOSTUNREACH" }), "no route to the host (EHOSTUNREACH)"],
    [new Probe.ConnectionReset(), "connection reset"],
    [new Probe.ConnectionClosed(), "connection closed before an SSH banner"],
    [new Probe.NotSsh({ banner: "220 hi\u001b[31m\u009b\r\n" }), "not an SSH server; it said \"220 hi\ufffd[31m?\""],
    [new Probe.NotSsh({ banner: "x".repeat(256) }), `not an SSH server; it said "${"x".repeat(60)}"`],
    [new Probe.ConnectionFailed({ code: "EMFILE" }), "connecting failed (EMFILE)"]
  ])("is said in a few words: $_tag", (reason, message) => {
    assert.strictEqual(new Probe.ProbeError({ reason }).message, message)
  })
})

/** The OpenSSH server, where it is installed. */
const sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find((path) => existsSync(path))
const isCi = (process.env["CI"] ?? "") !== ""
if (sshd === undefined && !isCi) {
  // oxlint-disable-next-line no-console
  console.warn("skipped: the test against OpenSSH needs /usr/sbin/sshd (Debian: openssh-server)")
}

describe("OpenSSH", () => {
  /** A real server, with these options besides; gives its port. */
  const openSsh = (...options: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(`${tmpdir()}/sshd-`)),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const key = `${folder}/host_key`
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key])
      // Where it separates privileges it insists on this folder.
      if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 })
      const port = yield* Effect.promise(freePort)
      const settings = [`ListenAddress=127.0.0.1:${port}`, "PidFile=none", ...options].flatMap((one) => ["-o", one])
      const server = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(sshd ?? "sshd", ["-D", "-e", "-f", "/dev/null", "-h", key, ...settings])),
        (server) => Effect.sync(() => server.kill())
      )
      let said = ""
      yield* Effect.callback<void>((resume) => {
        server.stderr.on("data", (text) => {
          said += String(text)
          if (said.includes("Server listening")) resume(Effect.void)
        })
        server.on("error", (error) => resume(Effect.die(error)))
        server.on("exit", () => resume(Effect.die(new Error(`sshd ended: ${said}`))))
      })
      return port
    })

  // @spec system-liveness-loop
  // @ac AC-06
  it.live.skipIf(sshd === undefined && !isCi)(
    "[system-liveness-loop/AC-06] a real OpenSSH server is reachable",
    () =>
      Effect.gen(function*() {
        const port = yield* openSsh()
        yield* probe(port)
      })
  )

  // @spec system-liveness-loop
  // @ac AC-06
  it.live.skipIf(sshd === undefined && !isCi)(
    "[system-liveness-loop/AC-06] and so is one that has too many connections",
    () =>
      Effect.gen(function*() {
        const port = yield* openSsh("MaxStartups=1")
        // Who has been let in and does not log in keeps the only place.
        yield* Effect.acquireRelease(
          Effect.callback<Net.Socket>((resume) => {
            const socket = Net.connect(port, "127.0.0.1")
            socket.once("data", () => resume(Effect.succeed(socket)))
          }),
          (socket) => Effect.sync(() => socket.destroy())
        )
        assert.strictEqual((yield* probe(port)).note, "Exceeded MaxStartups")
      })
  )
})
