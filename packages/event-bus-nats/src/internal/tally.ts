/**
 * What a bridge counts, and the metrics that show it.
 */
import { type Context, Metric } from "effect"

/** Changed synchronously, by whoever does what is counted. */
export class Tally {
  exported = 0
  exportRejected = 0
  lost = 0
  received = 0
  imported = 0
  ignored = 0
  importRejected = 0
  returned = 0
  unhandled = 0
  reconnects = 0
}

/** Registers metrics that are read when somebody asks for them: keeping them costs nothing. Returns what removes them. */
export const registerMetrics = (
  context: Context.Context<never>,
  attributes: Record<string, string>,
  read: {
    readonly tally: Tally
    readonly dropped: () => number
    readonly buffered: () => number
    readonly lag: () => number
    readonly isConnected: () => boolean
  }
): () => void => {
  const { tally } = read
  const counter = (name: string, description: string, count: () => number) =>
    Metric.registerUnsafe(Metric.counter(name, { description, attributes, incremental: true }), context, {
      get: () => ({ count: count(), incremental: true }),
      update: () => {},
      modify: () => {}
    })
  const gauge = (name: string, description: string, value: () => number) =>
    Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), context, {
      get: () => ({ value: value() }),
      update: () => {},
      modify: () => {}
    })
  const registrations = [
    counter("event_bus_nats_exported_total", "Events that the server has received, or stored", () => tally.exported),
    counter("event_bus_nats_export_rejected_total", "Events that cannot be sent", () => tally.exportRejected),
    counter("event_bus_nats_export_dropped_total", "Events that the full export buffer lost", read.dropped),
    counter(
      "event_bus_nats_export_lost_total",
      "Events lost on their way, or left when the bridge closed",
      () => tally.lost
    ),
    counter("event_bus_nats_imported_total", "Events taken in from the server", () => tally.imported),
    counter(
      "event_bus_nats_import_rejected_total",
      "Messages that are no event of the bus",
      () => tally.importRejected
    ),
    counter("event_bus_nats_reconnects_total", "Connections made after the first one", () => tally.reconnects),
    gauge("event_bus_nats_buffered", "Events that wait to be sent or acknowledged", read.buffered),
    gauge("event_bus_nats_unhandled", "Imported events that are not yet handled", () => tally.unhandled),
    gauge("event_bus_nats_lag", "Events in the stream that were not yet delivered here", read.lag),
    gauge("event_bus_nats_connected", "1 while connected to a server", () => read.isConnected() ? 1 : 0)
  ]
  return () => registrations.forEach((registration) => registration.remove())
}
