/**
 * A bridge: the connection, the way out, the way in, and what is told about them.
 */
import type { EventBus } from "@openwatch/event-bus"
import { DateTime, Deferred, Effect, type Scope } from "effect"
import type { Health } from "../Health.ts"
import type { NatsBridgeError } from "../NatsBridgeError.ts"
import type { Options } from "../Options.ts"
import { CloudEvents } from "./cloudEvent.ts"
import { Connection } from "./connection.ts"
import { Exporting } from "./exporting.ts"
import { Handling } from "./handling.ts"
import { Importing } from "./importing.ts"
import { Intake } from "./intake.ts"
import { requireSettings } from "./settings.ts"
import { registerMetrics, Tally } from "./tally.ts"

/** What a bridge needs of a bus made with `EventBus.Service`. */
export interface Bus {
  readonly key: string
  readonly kinds: ReadonlyArray<string>
  readonly Event: { readonly members: EventBus.EventSchemas }
}

export const makeBridge = (
  declared: Bus,
  bus: EventBus.EventBus<EventBus.AnyEvent>,
  options: Options
): Effect.Effect<{ readonly health: Effect.Effect<Health> }, NatsBridgeError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = requireSettings(declared.key, declared.kinds, options)
    const context = yield* Effect.context()
    const tally = new Tally()
    const cloudEvents = new CloudEvents({
      source: settings.source,
      kinds: declared.kinds,
      events: declared.Event.members,
      imports: settings.import
    })
    const intake = new Intake(settings, cloudEvents, tally, bus, context)
    const connection: Connection = new Connection(
      settings,
      tally,
      (session) => settings.import.length > 0 && handling === undefined ? importing.setup(session) : Promise.resolve(),
      yield* DateTime.now
    )
    const importing = new Importing(settings, connection, intake)
    const exporting = new Exporting(settings, connection, cloudEvents, tally)
    const handling = settings.handledBy === undefined
      ? undefined
      : new Handling(settings, settings.handledBy, connection, intake, tally, bus)
    if (handling !== undefined) yield* handling.check

    // Closing runs upwards: nothing is taken in any more, what waits is sent, then the connection ends.
    const first = Deferred.makeUnsafe<void, NatsBridgeError>()
    yield* Effect.addFinalizer(() => connection.close)
    yield* Effect.forkScoped(connection.keep(first))
    if (settings.export.length > 0) {
      yield* settings.outbox === undefined
        ? exporting.start(bus, declared.Event.members)
        : exporting.startFrom(settings.outbox)
    }
    const stopImporting = handling?.close ?? importing.close
    // Before there is a connection: what is being set up takes in, too. What is handled has not started yet.
    if (handling === undefined) yield* Effect.addFinalizer(() => stopImporting)
    // A bus that is shut down takes nothing in any more: what comes then is for the next one.
    yield* Effect.forkScoped(Effect.andThen(bus.awaitShutdown, stopImporting))
    const outcome = yield* Effect.result(Deferred.await(first))
    if (outcome._tag === "Failure" && (settings.start === "fail" || outcome.failure.reason === "mismatch")) {
      return yield* outcome.failure
    }
    if (handling !== undefined) {
      yield* handling.start
      yield* Effect.addFinalizer(() => stopImporting)
    }

    const health: Effect.Effect<Health> = Effect.map(exporting.counts, ({ buffered, dropped, offered }) => ({
      status: connection.status,
      since: connection.since,
      server: connection.session?.nats.getServer(),
      lastError: connection.lastError,
      reconnects: tally.reconnects,
      export: {
        offered,
        exported: tally.exported,
        rejected: tally.exportRejected,
        lost: tally.lost,
        dropped,
        buffered
      },
      import: {
        received: tally.received,
        imported: tally.imported,
        ignored: tally.ignored,
        rejected: tally.importRejected,
        returned: tally.returned,
        waiting: handling?.waiting ?? 0,
        unhandled: tally.unhandled,
        lag: intake.lag
      }
    }))
    const counts = () => Effect.runSync(exporting.counts)
    const unregister = registerMetrics(context, { bus: declared.key, source: settings.source }, {
      tally,
      dropped: () => counts().dropped,
      buffered: () => counts().buffered,
      lag: () => intake.lag,
      isConnected: () => connection.session !== undefined
    })
    yield* Effect.addFinalizer(() => Effect.sync(unregister))
    return { health }
  })
