/**
 * Prints each event of the bus as a line on standard output, as it comes, and the bus's counters at the end.
 *
 * The lines are for people, or, as JSON, for programs: then each is one object, told apart by its `_tag`, which is an
 * event's kind or, on the last line, `Counters`.
 */
import { Console, DateTime, Effect, Layer, Match, Schema } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { describeDrift, describePulse } from "../events/EventSentence.ts"
import type { HostId } from "../events/HostId.ts"
import { describe as describeHost } from "../events/NamedHost.ts"
import { AllEventKinds, SystemEventBus } from "../events/SystemEventBus.ts"
import type { Host } from "../inventory/Host.ts"
import { jsonLine } from "./jsonLine.ts"

type Event = typeof SystemEventBus.Event.Type
type Counters = Effect.Success<SystemEventBus["Service"]["metrics"]>

/** How events and counters become lines. */
interface Format {
  readonly event: (event: Event) => string
  readonly counters: (counters: Counters) => string
}

const encodeEvent = Schema.encodeSync(SystemEventBus.EventJson)

const json: Format = {
  event: (event) => jsonLine(encodeEvent(event) as object),
  counters: (counters) => jsonLine({ _tag: "Counters", ...counters })
}

const color = (code: number, text: string): string => `\u001b[${code}m${text}\u001b[0m`

const green = 32
const red = 31
const yellow = 33

const driftColors = { major: red, minor: yellow, improvement: green }

const text = (
  hosts: () => ReadonlyArray<Host>,
  zone: DateTime.TimeZone,
  canColor: boolean
): Format => {
  let labelled: ReadonlyArray<Host> = []
  let labels = new Map<HostId, string>()
  const labelOf = (hostId: HostId): string => {
    if (hosts() !== labelled) {
      labelled = hosts()
      labels = new Map(labelled.map((host) => [host.id, `${host.name} (${host.endpoint})`]))
    }
    return labels.get(hostId) ?? hostId
  }
  const paint = (code: number, what: string) => canColor ? color(code, what) : what

  const describe = Match.typeTags<Event>()({
    HeartbeatPulse: (event) => paint(event.reachable ? green : red, describePulse(event)),
    DriftDetected: (event) => paint(driftColors[event.driftType], describeDrift(event))
  })

  return {
    event: (event) => {
      const at = DateTime.formatIsoOffset(DateTime.setZone(event.occurredAt, zone)).slice(0, 19).replace("T", " ")
      const label = event.host === undefined ? labelOf(event.hostId) : describeHost(event.host)
      return `${at}  ${label} ${describe(event)}`
    },
    counters: ({ deliveredCount, droppedCount, noSubscribersCount, publishedByKind, publishedCount }) => {
      const byKind = AllEventKinds.map((kind) => `${kind} ${publishedByKind[kind]}`).join(", ")
      const events = publishedCount === 1 ? "event" : "events"
      return `${publishedCount} ${events} published (${byKind}), ${deliveredCount} delivered, ${droppedCount} dropped, ` +
        `${noSubscribersCount} without a subscriber`
    }
  }
}

/**
 * Subscribes to every kind of event. Once it is built it misses none; when its scope closes it prints what is pending,
 * then the counters.
 *
 * Times are shown in the current zone, hosts by their name. Colors are used where the terminal has them.
 */
export const layer = (options: {
  /** The hosts of now; another array once they have changed. */
  readonly hosts: () => ReadonlyArray<Host>
  readonly json: boolean
}): Layer.Layer<never, never, SystemEventBus | DateTime.CurrentTimeZone> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const zone = yield* DateTime.CurrentTimeZone
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const format = options.json ? json : text(options.hosts, zone, canColor)

    // Finalizers run in reverse: the subscription below drains, as the bus says, before the counters are read.
    yield* Effect.addFinalizer(() => Effect.flatMap(bus.metrics, (counters) => Console.log(format.counters(counters))))
    yield* bus.on(AllEventKinds, (event) => Console.log(format.event(event)), { name: "event-printer" })
  }))
