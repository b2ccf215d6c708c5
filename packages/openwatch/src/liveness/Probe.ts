/**
 * One look at one host: does an SSH server answer there?
 *
 * A TCP connection is opened, at most 8 KiB are read, and the connection is closed. Nothing is sent, and no credentials
 * are needed. An SSH server sends a line that begins with its identification string (RFC 4253 section 4.2): `SSH-2.0-`
 * or, if it also speaks the old protocol, `SSH-1.99-` (section 5.1). Other lines may come first. A server that refuses
 * to talk for now counts as there. OpenSSH does so when too many connections are waiting to log in.
 *
 * The addresses of a name are tried a quarter of a second after one another (RFC 8305 section 5). The first that
 * answers decides.
 */
import { Context, Data, Duration, Effect, Layer, Match } from "effect"
import * as Dgram from "node:dgram"
import * as Net from "node:net"
import { clean } from "../events/PlainText.ts"
import { localFaultCodes } from "./LocalFaults.ts"
import * as NameResolver from "./NameResolver.ts"
import * as Pauses from "./Pauses.ts"

/** Where a host is probed. */
export interface Target {
  /** IPv4 or IPv6 addresses, at least one, in the order in which they are to be tried. */
  readonly addresses: ReadonlyArray<string>
  readonly port: number
}

/** The name has no address, or asking for it failed while other names were found. */
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
  /** What it said, one character a byte. */
  readonly banner: string
}> {}

/**
 * This machine could not probe. It has no file descriptor, memory, port, network or resolver, does not allow it, or was
 * paused meanwhile. This says nothing about the host.
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

// A stranger wrote it. What is not ASCII may be of any encoding.
const printable = (banner: string): string => clean(banner.trimEnd().replace(/[^\0-\x7e]/g, "?"))

const describe: (reason: Reason) => string = Match.typeTags<Reason>()({
  NameNotResolved: ({ code }) =>
    code === "SLOW" ? "resolving the name took too long" : `the name could not be resolved (${code})`,
  ConnectionRefused: () => "connection refused",
  NoRoute: ({ code }) => `no route to the host (${code})`,
  TimedOut: ({ after, waitingFor }) =>
    waitingFor === "connection"
      ? `no connection within ${Duration.format(after)}`
      : `connected, but no SSH banner within ${Duration.format(after)}`,
  ConnectionReset: () => "connection reset",
  ConnectionClosed: () => "connection closed before an SSH banner",
  NotSsh: ({ banner }) => `not an SSH server; it said "${printable(banner.slice(0, 60))}"`,
  LocalFault: ({ code }) =>
    code === "PAUSED" ? "this process was paused meanwhile" : `this machine could not probe it (${code})`,
  ConnectionFailed: ({ code }) => `connecting failed (${code})`
})

/** The host did not answer as an SSH server. */
export class ProbeError extends Data.TaggedError("ProbeError")<{ readonly reason: Reason }> {
  override get message(): string {
    return describe(this.reason)
  }
}

/** A server answered. */
export interface Answer {
  /** What it said, if it refused to talk. Then the host is up, and may have trouble. */
  readonly note: string | undefined
}

/** Looks whether a host answers. */
export class Probe extends Context.Service<Probe, {
  /** The addresses at which a host is to be probed, at least one. Resolving a name may take longer than a probe. */
  readonly resolve: (name: string) => Effect.Effect<ReadonlyArray<string>, ProbeError>
  /**
   * Succeeds if an SSH server answers at one of the addresses. If it is interrupted, its connections are closed before
   * the interruption ends.
   */
  readonly probe: (target: Target) => Effect.Effect<Answer, ProbeError>
}>()("@openwatch/openwatch/liveness/Probe") {
  /** Probes over TCP. `timeout` is for connecting and reading together, 5 seconds by default. */
  static readonly layerTcp = (options?: { readonly timeout?: Duration.Input }): Layer.Layer<Probe> =>
    Layer.effect(
      Probe,
      Effect.gen(function*() {
        const { resolve } = yield* NameResolver.NameResolver
        const pauses = yield* Pauses.make
        const timeout = Duration.fromInputUnsafe(options?.timeout ?? "5 seconds")
        return Probe.of({
          resolve: (name) => {
            const resolved = Effect.mapError(resolve(name), ({ _tag, code }) =>
              new ProbeError({
                reason: _tag === "NameNotResolved" ? new NameNotResolved({ code }) : new LocalFault({ code })
              }))
            return voidWhenPaused(resolved, pauses)
          },
          probe: (target) => voidWhenPaused(probeAll(target, timeout), pauses)
        })
      })
    ).pipe(Layer.provide(NameResolver.layer))
}

/** A look that fails because this process was paused says nothing about its host. */
const voidWhenPaused = <A>(look: Effect.Effect<A, ProbeError>, pauses: Pauses.Pauses) =>
  Effect.flatMap(
    pauses.now,
    (began) =>
      Effect.catch(look, (error) =>
        Effect.flatMap(pauses.since(began), (isVoid) =>
          Effect.fail(isVoid ? new ProbeError({ reason: new LocalFault({ code: "PAUSED" }) }) : error)))
  )

/** How long after one address of a name the next one is tried. */
const attemptDelay = Duration.millis(250)

const bannerLimit = 8 * 1024

const identification = /^SSH-(2\.0|1\.99)-/m

/** Whether this may still become an identification string. */
const isBeginning = (said: string): boolean => "SSH-2.0-".startsWith(said) || "SSH-1.99-".startsWith(said)

/** What only an SSH server says: OpenSSH's `sshd`, with too many connections, or with one that it wants to calm down. */
const refusals = /^(Exceeded MaxStartups|Not allowed at this time)\r?$/m

/** This machine has no route to such an address. Another address of the same name may do. */
const noWayCodes = new Set(["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"])

const reasonOf = (error: NodeJS.ErrnoException): Reason => {
  const code = error.code ?? error.message
  if (localFaultCodes.has(code)) return new LocalFault({ code })
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

/**
 * Whether this machine itself has no route to an address. Connecting by UDP sends nothing, and fails only if there is
 * no route here. With TCP, a router on the way may have said so of its own network.
 */
const hasNoWay = (address: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Dgram.createSocket(Net.isIPv6(address) ? "udp6" : "udp4")
    const end = (isLocal: boolean) => {
      socket.close()
      resume(Effect.succeed(isLocal))
    }
    socket.on("error", () => end(true))
    socket.connect(9, address, (error?: Error) => end(error !== undefined))
  })

/** Which of the reasons that the addresses of a host gave says most about the host: the one with the lowest rank. */
const rank = (reason: Reason): number => {
  switch (reason._tag) {
    case "ConnectionRefused":
    case "ConnectionReset":
    case "ConnectionClosed":
    case "NotSsh":
      return 0
    case "LocalFault":
      return noWayCodes.has(reason.code) ? 3 : 1
    default:
      return 2
  }
}

/** Probes all addresses, the later ones later, until one answers. */
const probeAll = ({ addresses, port }: Target, timeout: Duration.Duration): Effect.Effect<Answer, ProbeError> => {
  const attempts = addresses.map((address, index) => {
    const attempt = probeAddress(address, port, Duration.subtract(timeout, Duration.times(attemptDelay, index)))
    return index === 0 ? attempt : Effect.delay(attempt, Duration.times(attemptDelay, index))
  })
  // Turned over, an answer is what ends all of them.
  return Effect.flip(Effect.all(attempts.map(Effect.flip), { concurrency: "unbounded" })).pipe(
    Effect.mapError((errors) => errors.toSorted((a, b) => rank(a.reason) - rank(b.reason))[0]!)
  )
}

const probeAddress = (address: string, port: number, timeout: Duration.Duration): Effect.Effect<Answer, ProbeError> =>
  Effect.suspend(() => {
    let isConnected = false
    let said = ""

    const connection = Effect.callback<Answer, ProbeError>((resume) => {
      const socket = Net.connect({
        host: address,
        port,
        // Read into a buffer of this size, so that a host which sends without end costs no more than this.
        onread: {
          buffer: Buffer.allocUnsafe(1_024),
          callback: (length, bytes) => {
            said += Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1")
            if (identification.test(said)) end(Effect.succeed({ note: undefined }))
            else if (said.length >= bannerLimit) fail(new NotSsh({ banner: said }))
            return true
          }
        }
      })
      const end = (result: Effect.Effect<Answer, ProbeError>) => {
        socket.destroy()
        resume(result)
      }
      const fail = (reason: Reason) => end(Effect.fail(new ProbeError({ reason })))

      socket.on("connect", () => {
        isConnected = true
      })
      socket.on("error", (error) => fail(reasonOf(error)))
      socket.on("end", () => {
        const refusal = refusals.exec(said)?.[1]
        if (refusal !== undefined) end(Effect.succeed({ note: refusal }))
        else fail(isBeginning(said) ? new ConnectionClosed() : new NotSsh({ banner: said }))
      })
      return Effect.sync(() => socket.destroy())
    })

    return connection.pipe(
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.fail(
            new ProbeError({
              reason: isBeginning(said)
                ? new TimedOut({ waitingFor: isConnected ? "banner" : "connection", after: timeout })
                : new NotSsh({ banner: said })
            })
          )
      }),
      Effect.catch((error) =>
        error.reason._tag === "NoRoute" && error.reason.code === "ENETUNREACH"
          ? Effect.flatMap(hasNoWay(address), (isLocal) =>
            Effect.fail(isLocal ? new ProbeError({ reason: new LocalFault({ code: "ENETUNREACH" }) }) : error))
          : Effect.fail(error)
      )
    )
  })
