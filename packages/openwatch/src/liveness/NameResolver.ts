/**
 * Finds the addresses of a name as `getent` does: through `/etc/hosts`, search domains and all else that the system is
 * set up with.
 *
 * The system's resolver keeps a thread of the process busy while it waits, and Node has two for all names. So if a name
 * is not resolved within a quarter of a second, a process of its own asks for it as well. A name that was slow before
 * is asked for in such a process alone. So slow names take neither time nor threads from others.
 *
 * If the resolver wants for a descriptor, it may say that there is no such name. A process has descriptors of its own, so
 * what the resolver did not find is looked for there too.
 *
 * If a name has no address, that is a matter of its host. If nobody can be asked, that is a fault of this machine. Then
 * the last known addresses are used.
 */
import { Clock, Context, Data, Duration, Effect, Exit, Fiber, Layer, Semaphore } from "effect"
import { execFile } from "node:child_process"
import * as Dns from "node:dns"
import { readFileSync } from "node:fs"
import * as Net from "node:net"
import { localFaultCodes } from "./LocalFaults.ts"

/** The name has no address, or asking for it took too long while others were found. */
export class NameNotResolved extends Data.TaggedError("NameNotResolved")<{
  /** The resolver's code, or `SLOW`. */
  readonly code: string
}> {}

/** Nobody could be asked: this machine has no network, resolver, descriptor or memory for it. */
export class ResolverFault extends Data.TaggedError("ResolverFault")<{ readonly code: string }> {}

/** Finds addresses. */
export class NameResolver extends Context.Service<NameResolver, {
  /**
   * The addresses of a name, at least one, in the order in which they are to be tried. For an address it is that
   * address.
   */
  readonly resolve: (name: string) => Effect.Effect<ReadonlyArray<string>, NameNotResolved | ResolverFault>
}>()("@openwatch/openwatch/liveness/NameResolver") {}

/** A name that takes longer than this is asked for in a process of its own. */
const patience = Duration.millis(250)

/** A name may take this long. The system's resolver asks each server twice, 5 seconds each. */
const longestWait = Duration.seconds(15)

/** How many processes ask at a time. */
const processesAtMost = 32

/** For so long, in milliseconds, another name that was resolved is evidence that names can be resolved. */
const evidenceLasts = 60_000

/** So many addresses of a name are tried. */
const addressesAtMost = 16

interface LookupError {
  readonly code: string
}

/** The codes that say that there is no such name, or none with an address. All others say that nobody could tell. */
const notFound = new Set(["ENOTFOUND", "ENODATA", "EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"])

/** The addresses of a name. None if there is no such name. */
const lookup = (name: string): Effect.Effect<ReadonlyArray<string>, LookupError> =>
  Effect.callback((resume) => {
    Dns.lookup(name, { all: true }, (error, found) => {
      if (error === null) return resume(Effect.succeed(found.map(({ address }) => address)))
      const code = error.code ?? error.message
      resume(notFound.has(code) ? Effect.succeed([]) : Effect.fail({ code }))
    })
  })

/** `getent` does not distinguish a name that does not exist from one that it could not ask for. So both fail here. */
const getent = (name: string): Effect.Effect<ReadonlyArray<string>, LookupError> =>
  Effect.callback((resume) => {
    const child = execFile("getent", ["ahosts", "--", name], (error, stdout) => {
      const found = [...new Set(stdout.split("\n").flatMap((line) => line.split(/\s/, 1)))]
        .filter((address) => Net.isIP(address) !== 0)
      if (found.length > 0) return resume(Effect.succeed(found))
      // A number is `getent`'s own, a text why it could not be run.
      const code = typeof error?.code === "string" && error.code !== "ENOENT" ? error.code : "EAI_AGAIN"
      resume(Effect.fail({ code }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Names in `/etc/hosts` are found without asking anybody. So they are no evidence. */
const isInHostsFile = (name: string): boolean => {
  try {
    return readFileSync("/etc/hosts", "utf8").toLowerCase().split(/\s+/).includes(name.toLowerCase())
  } catch {
    return false
  }
}

/** The system's resolver. */
export const layer: Layer.Layer<NameResolver> = Layer.effect(
  NameResolver,
  Effect.gen(function*() {
    const processes = yield* Semaphore.make(processesAtMost)
    const slow = new Set<string>()
    const known = new Map<string, ReadonlyArray<string>>()
    /** When names were last resolved, in milliseconds of a clock that cannot be set back. */
    const resolvedAt = new Map<string, number>()
    const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

    /** Here a name waits for no other. So one that takes long is slow. */
    const inProcess = (name: string) =>
      processes.withPermit(Effect.suspend(() => {
        slow.add(name)
        return Effect.timed(Effect.result(getent(name)))
      })).pipe(
        Effect.flatMap(([took, result]) => {
          if (Duration.isLessThan(took, patience)) slow.delete(name)
          return Effect.fromResult(result)
        })
      )

    /**
     * Asks the resolver and, once that has found nothing or is slow, a process as well. What one of them finds is right.
     * If neither finds anything, the resolver says more precisely why.
     */
    const inTurn = Effect.fnUntraced(function*(name: string) {
      const resolver = yield* Effect.forkChild(lookup(name))
      const found = Effect.flatMap(
        Fiber.await(resolver),
        (exit) => Exit.isSuccess(exit) && exit.value.length > 0 ? exit : Effect.never
      )
      const fromProcess = Effect.timeoutOption(Fiber.await(resolver), patience).pipe(
        Effect.andThen(inProcess(name)),
        Effect.catch((error) =>
          localFaultCodes.has(error.code)
            ? Effect.fail(error)
            // It may not have had a thread yet.
            : Effect.timeoutOrElse(Fiber.join(resolver), { duration: "2 seconds", orElse: () => Effect.fail(error) })
        )
      )
      return yield* Effect.raceFirst(found, fromProcess)
    })

    const ask = (name: string) =>
      Effect.suspend(() => slow.has(name) ? inProcess(name) : inTurn(name)).pipe(
        Effect.timeoutOrElse({ duration: longestWait, orElse: () => Effect.fail({ code: "SLOW" }) })
      )

    /** Whether names can be resolved, as far as others have shown. */
    const doOthersResolve = Effect.fnUntraced(function*(name: string) {
      const now = yield* millis
      for (const [other, at] of resolvedAt) {
        if (other !== name && now - at < evidenceLasts && !isInHostsFile(other)) return true
      }
      return false
    })

    const resolve = Effect.fnUntraced(function*(name: string) {
      if (Net.isIP(name) !== 0) return [name]
      return yield* ask(name).pipe(
        Effect.tap((addresses) =>
          Effect.map(millis, (now) => {
            known.set(name, addresses)
            resolvedAt.set(name, now)
          })
        ),
        Effect.catch(Effect.fnUntraced(function*({ code }) {
          if (!localFaultCodes.has(code) && (yield* doOthersResolve(name))) {
            return yield* Effect.fail(new NameNotResolved({ code }))
          }
          return known.get(name) ?? (yield* Effect.fail(new ResolverFault({ code })))
        })),
        Effect.flatMap((addresses) =>
          addresses.length === 0
            ? Effect.fail(new NameNotResolved({ code: "ENOTFOUND" }))
            : Effect.succeed(addresses.slice(0, addressesAtMost))
        )
      )
    })

    return NameResolver.of({ resolve })
  })
)
