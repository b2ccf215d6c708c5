/**
 * The bridge of `openwatch run` to other processes: see `NatsConfiguration`.
 */
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Console, Effect, FileSystem, Layer, Redacted } from "effect"
import * as AlertRouter from "../alert-router/AlertRouter.ts"
import * as Configuration from "../configuration/Configuration.ts"
import type * as NatsConfiguration from "../configuration/NatsConfiguration.ts"
import { eventIdOf } from "../events/EventId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import * as Outbox from "../storage/Outbox.ts"

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

const describe = ({ export: out, import: into }: NatsBridge.Health, areKept: boolean): string => {
  const left = out.dropped + out.rejected + out.lost
  return `NATS: ${out.exported} sent, ${left} not sent${areKept && left > 0 ? " (the next run sends them)" : ""}; ` +
    `${into.imported} taken in, ${into.rejected} rejected`
}

/**
 * Sends and takes in events while it is built, and prints a last line of counters. Without `nats` in the configuration it
 * does nothing.
 *
 * With JetStream, an event that is taken in is acknowledged when the alert router has stored what follows from it. Where
 * this process raises no alerts, its outbox keeps each event until the server has it.
 */
export const layer = (configuration: Configuration.Configuration) => {
  const { file, nats, routesAlerts } = configuration
  if (nats === undefined) return Layer.empty
  return Layer.effectDiscard(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const outbox = yield* Outbox.Outbox
    const { credentials, mode, ...options } = nats
    let bridge: NatsBridge.NatsBridge | undefined
    yield* Effect.addFinalizer(() =>
      bridge === undefined
        ? Effect.void
        : Effect.flatMap(bridge.health, (health) => Console.log(describe(health, !routesAlerts)))
    )
    bridge = yield* NatsBridge.make(SystemEventBus, {
      ...options,
      mode,
      credentials: credentials === undefined ? undefined : credentialsOf(credentials, fs),
      // As much as is published again at the start.
      bufferSize: AlertRouter.defaultBufferSize,
      idOf: eventIdOf,
      onExported: routesAlerts ?
        undefined :
        (events) =>
          Effect.catch(outbox.acknowledge(events), (error) =>
            Effect.logWarning(
              `${events.length} events that NATS has will be sent once more by the next run: ${describeSqlError(error)}`
            )),
      handledBy: routesAlerts && mode === "jetstream" && nats.import.length > 0
        ? AlertRouter.subscriptionName
        : undefined,
      // What the router was at when it was killed comes again after this. One that is only slow says that it is at it.
      ackWait: mode === "jetstream" ? "10 seconds" : undefined
    })
  })).pipe(
    Layer.catchTag("NatsBridgeError", ({ message }) =>
      Layer.effectDiscard(
        Effect.fail(new Configuration.ConfigurationError({ file, problems: [`nats: ${message}`] }))
      )),
    Layer.provide(Outbox.layer)
  )
}
