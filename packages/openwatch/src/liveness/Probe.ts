/**
 * One look at one host: does an SSH server answer there?
 *
 * A TCP connection is opened, up to 256 bytes are read, and the connection is closed again. Nothing is sent, no
 * credentials are needed, and what comes is judged by its first bytes: an SSH server begins with its identification
 * string (RFC 4253 section 4.2), `SSH-2.0-` or, where it also speaks the old protocol, `SSH-1.99-` (section 5.1).
 * The RFC lets other lines come first; a server that begins with one is not taken for SSH here.
 */
import { Context, Data, Duration, Effect, Layer, Match } from "effect"
import * as Net from "node:net"

/** Where a host is probed. */
export interface Target {
  /** An IPv4 or IPv6 address, or a name. */
  readonly address: string
  readonly port: number
}

/** The name has no address, or asking for it failed. */
export class NameNotResolved extends Data.TaggedClass("NameNotResolved")<{ readonly code: string }> {}

/** The host is there and has no listener on the port, or a firewall says so. */
export class ConnectionRefused extends Data.TaggedClass("ConnectionRefused") {}

/** The network says that it has no way to the host. */
export class NoRoute extends Data.TaggedClass("NoRoute")<{ readonly code: string }> {}

/** The time for connecting and reading, both together, was over. */
export class TimedOut extends Data.TaggedClass("TimedOut")<{
  readonly waitingFor: "connection" | "banner"
  readonly after: Duration.Duration
}> {}

/** The host reset a connection that was open. */
export class ConnectionReset extends Data.TaggedClass("ConnectionReset") {}

/** The host closed the connection before it had said who it is. */
export class ConnectionClosed extends Data.TaggedClass("ConnectionClosed") {}

/** Something listens there, but it is no SSH server. */
export class NotSsh extends Data.TaggedClass("NotSsh")<{
  /** What it said: at most 256 bytes, one character each. */
  readonly banner: string
}> {}

/**
 * This machine could not probe: it has no file descriptor, memory, port or network left, or forbids it. That says nothing
 * about the host.
 */
export class LocalFault extends Data.TaggedClass("LocalFault")<{ readonly code: string }> {}

/** Connecting failed in any other way. */
export class ConnectionFailed extends Data.TaggedClass("ConnectionFailed")<{ readonly code: string }> {}

/** Why a host did not answer. */
export type Reason =
  | NameNotResolved
  | ConnectionRefused
  | NoRoute
  | TimedOut
  | ConnectionReset
  | ConnectionClosed
  | NotSsh
  | LocalFault
  | ConnectionFailed

// A stranger wrote it: what could steer a terminal is not passed on.
const printable = (banner: string): string => banner.trimEnd().replace(/[^\x20-\x7e]/g, "?")

const describe: (reason: Reason) => string = Match.typeTags<Reason>()({
  NameNotResolved: ({ code }) => `the name could not be resolved (${code})`,
  ConnectionRefused: () => "connection refused",
  NoRoute: ({ code }) => `no route to the host (${code})`,
  TimedOut: ({ after, waitingFor }) =>
    waitingFor === "connection"
      ? `no connection within ${Duration.format(after)}`
      : `connected, but no SSH banner within ${Duration.format(after)}`,
  ConnectionReset: () => "connection reset",
  ConnectionClosed: () => "connection closed before an SSH banner",
  NotSsh: ({ banner }) => `not an SSH server; it said "${printable(banner.slice(0, 60))}"`,
  LocalFault: ({ code }) => `this machine could not probe it (${code})`,
  ConnectionFailed: ({ code }) => `connecting failed (${code})`
})

/** The host did not answer as an SSH server. */
export class ProbeError extends Data.TaggedError("ProbeError")<{ readonly reason: Reason }> {
  override get message(): string {
    return describe(this.reason)
  }
}

/** Looks whether a host answers. */
export class Probe extends Context.Service<Probe, {
  /** Succeeds when an SSH server answers. When interrupted, its connection is closed before the interruption ends. */
  readonly probe: (target: Target) => Effect.Effect<void, ProbeError>
}>()("@openwatch/openwatch/liveness/Probe") {
  /** Probes over TCP. `timeout` is for connecting and reading together, 5 seconds by default. */
  static readonly layerTcp = (options?: { readonly timeout?: Duration.Input }): Layer.Layer<Probe> =>
    Layer.succeed(Probe, {
      probe: (target) => probeTcp(target, Duration.fromInputUnsafe(options?.timeout ?? "5 seconds"))
    })
}

const bannerLimit = 256

const sshPrefixes = ["SSH-2.0-", "SSH-1.99-"]

/** Whether these first bytes are an SSH server's; `undefined` while they are too few to tell. */
const isSsh = (banner: string): boolean | undefined => {
  if (sshPrefixes.some((prefix) => banner.startsWith(prefix))) return true
  return sshPrefixes.some((prefix) => prefix.startsWith(banner)) ? undefined : false
}

const localCodes = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EADDRINUSE",
  "EADDRNOTAVAIL",
  "EACCES",
  "EPERM",
  "EAGAIN",
  "ENETDOWN"
])

/** Of what several addresses of a name gave, that counts which the host itself has said. */
const decisive = (error: NodeJS.ErrnoException): NodeJS.ErrnoException => {
  if (!(error instanceof AggregateError)) return error
  const errors = error.errors as ReadonlyArray<NodeJS.ErrnoException>
  return errors.find(({ code }) => code === "ECONNREFUSED" || code === "ECONNRESET") ??
    errors.find(({ code }) => code !== undefined && localCodes.has(code)) ?? errors[0] ?? error
}

const reasonOf = (failure: NodeJS.ErrnoException): Reason => {
  const error = decisive(failure)
  const code = error.code ?? error.message
  if (localCodes.has(code)) return new LocalFault({ code })
  if (error.syscall === "getaddrinfo") return new NameNotResolved({ code })
  switch (code) {
    case "ECONNREFUSED":
      return new ConnectionRefused()
    case "ECONNRESET":
    case "EPIPE":
      return new ConnectionReset()
    case "EHOSTUNREACH":
    case "EHOSTDOWN":
    case "ENETUNREACH":
      return new NoRoute({ code })
    default:
      return new ConnectionFailed({ code })
  }
}

const probeTcp = (target: Target, timeout: Duration.Duration): Effect.Effect<void, ProbeError> =>
  Effect.suspend(() => {
    let isConnected = false

    const connection = Effect.callback<void, ProbeError>((resume) => {
      let banner = ""
      const socket = Net.connect({
        host: target.address,
        port: target.port,
        // Of a name's addresses each but the last gets this long; Node's own quarter of a second is less than a far
        // host takes.
        autoSelectFamilyAttemptTimeout: 1_000,
        // Read into a buffer of this size, so that a host which sends without end costs no more than this.
        onread: {
          buffer: Buffer.allocUnsafe(bannerLimit),
          callback: (length, bytes) => {
            banner += Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1")
            const verdict = isSsh(banner)
            if (verdict === true) end(Effect.void)
            if (verdict === false) fail(new NotSsh({ banner }))
            return true
          }
        }
      })
      const end = (result: Effect.Effect<void, ProbeError>) => {
        socket.destroy()
        resume(result)
      }
      const fail = (reason: Reason) => end(Effect.fail(new ProbeError({ reason })))

      socket.on("connect", () => {
        isConnected = true
      })
      socket.on("error", (error) => fail(reasonOf(error)))
      socket.on("end", () => fail(new ConnectionClosed()))
      return Effect.sync(() => socket.destroy())
    })

    return Effect.timeoutOrElse(connection, {
      duration: timeout,
      orElse: () =>
        Effect.fail(
          new ProbeError({
            reason: new TimedOut({ waitingFor: isConnected ? "banner" : "connection", after: timeout })
          })
        )
    })
  })
