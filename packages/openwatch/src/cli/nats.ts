/**
 * The bridge of `openwatch run` to other processes: see `NatsConfiguration`.
 */
import { EventBus } from "@openwatch/event-bus"
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Outage, Outbox } from "@openwatch/event-bus-sql"
import { Console, Effect, FileSystem, Layer, Redacted, Stream } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import * as Configuration from "../configuration/Configuration.ts"
import type * as NatsConfiguration from "../configuration/NatsConfiguration.ts"
import { DriftDetected } from "../events/DriftDetected.ts"
import { HeartbeatPulse } from "../events/HeartbeatPulse.ts"
import { AllEventKinds, type SystemEventBus } from "../events/SystemEventBus.ts"
import { isForeignId, storeIn, SystemOutbox } from "../events/SystemOutbox.ts"
import * as Outboxes from "../storage/Outboxes.ts"

const credentialsOf = (
  credentials: NatsConfiguration.NatsCredentials,
  fs: FileSystem.FileSystem
): NatsBridge.Options["credentials"] => {
  if (credentials.type === "token") return { token: credentials.token }
  if (credentials.type === "user") return { user: credentials.user, password: credentials.password }
  if (credentials.type === "nkey") return { nkeySeed: credentials.seed }
  // Read before each attempt to connect: such files expire and are renewed.
  return Effect.map(fs.readFileString(credentials.file), (creds) => ({ creds: Redacted.make(creds) }))
}

const describe = ({ export: out, import: into }: NatsBridge.Health, waiting: number): string =>
  `NATS: ${out.exported} sent, ${waiting} not sent${waiting > 0 ? " (the next run sends them)" : ""}; ` +
  `${into.imported} taken in, ${into.rejected} rejected`

/**
 * The bus of the events that come from the server. They are stored first. `SystemEventBus` carries only stored events.
 */
class NatsBus extends EventBus.Service<NatsBus>()("@openwatch/NatsBus", { events: [HeartbeatPulse, DriftDetected] }) {}

type Event = typeof SystemEventBus.Event.Type

/** The name of the consumer. Under it the outbox knows which events the server has. */
const consumerName = "nats"

/** The name of the subscription that stores the events that come in. */
const subscriptionName = "outbox"

/** How many events that have come in may wait for the database. */
const bufferSize = 512

/** How many events the server does not have yet. 0 if the database cannot be read. */
const waiting = (outbox: SystemOutbox["Service"]): Effect.Effect<number> =>
  outbox.consumers.pipe(
    Effect.timeout("1 second"),
    Effect.map((consumers) => consumers.find(({ name }) => name === consumerName)?.lag.events ?? 0),
    Effect.orElseSucceed(() => 0)
  )

/** The outbox, without what came from another process. */
const noticedHere = (outbox: SystemOutbox["Service"], from: "beginning" | "now"): NatsBridge.ExportOutbox<Event> => ({
  on: (kinds, handler, options) =>
    outbox.on(kinds, (event, delivery) => isForeignId(delivery.id) ? Effect.void : handler(event, delivery), {
      ...options,
      consumer: consumerName,
      // Who has alerts of its own does not send what it was told before.
      from,
      retires: AllEventKinds.filter((kind) => !kinds.includes(kind))
    })
})

/**
 * Exports and imports events for as long as it is there, and prints a last line of counters. Without `nats` in the
 * configuration it does nothing.
 *
 * An event that comes in is stored. With JetStream it is acknowledged only then. From there it is handled like one that
 * was noticed here, but it is not sent on. An event that was noticed here is sent until the server has it, if need be
 * by the next run.
 */
export const layer = (configuration: Configuration.Configuration) => {
  const { file, nats, routesAlerts } = configuration
  if (nats === undefined) return Layer.empty
  return Layer.effectDiscard(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const bus = yield* NatsBus
    const outbox = yield* SystemOutbox
    const { credentials, mode, ...options } = nats

    const transaction = Outage.inTransaction(yield* SqlClient.SqlClient)
    const store = storeIn(outbox)
    // As many at a time as there are: a disk takes so many commits a second.
    yield* bus.consume(
      AllEventKinds,
      Stream.runForEachArray((events) => {
        const stored = Effect.forEach(events, (event) => store(event, { isForeign: true }), { discard: true })
        return Outage.untilItPasses(transaction(stored))
      }),
      { name: subscriptionName, bufferSize, drain: "5 seconds" }
    )

    const { export: kinds } = nats
    if (kinds.length === 0) yield* Effect.ignore(outbox.removeConsumer(consumerName))
    let bridge: NatsBridge.NatsBridge | undefined
    yield* Effect.addFinalizer(() =>
      bridge === undefined
        ? Effect.void
        : Effect.flatMap(Effect.all([bridge.health, waiting(outbox)]), (last) => Console.log(describe(...last)))
    )
    bridge = yield* NatsBridge.make(NatsBus, {
      ...options,
      mode,
      credentials: credentials === undefined ? undefined : credentialsOf(credentials, fs),
      handledBy: mode === "jetstream" && nats.import.length > 0 ? subscriptionName : undefined,
      // What was at hand when this process was killed comes again after this. One that is only slow says that it is at it.
      ackWait: mode === "jetstream" ? "10 seconds" : undefined,
      ...(kinds.length > 0 && { outbox: noticedHere(outbox, routesAlerts ? "now" : "beginning"), exportOrder: "key" })
    })
  })).pipe(
    Layer.catchTag("NatsBridgeError", ({ cause, message }) =>
      Layer.effectDiscard(Effect.fail(
        cause instanceof Outbox.OutboxError
          ? Outboxes.toStorageError(cause)
          : new Configuration.ConfigurationError({ file, problems: [`nats: ${message}`] })
      ))),
    Layer.provide(NatsBus.layer)
  )
}
