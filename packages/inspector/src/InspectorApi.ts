/**
 * The HTTP API of the inspector, as schemas. The page reads it. A program may read it too, with
 * `HttpApiClient.make(InspectorApi)` or by the OpenAPI document at `api/openapi.json`.
 *
 * All times are ISO 8601 in UTC. All counters start at 0 when the bus is made.
 */
import { Context, Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"

const Time = Schema.DateTimeUtcFromString

// -----------------------------------------------------------------------------
// The bus
// -----------------------------------------------------------------------------

/** The bus as a whole, at one moment. */
export const BusState = Schema.Struct({
  name: Schema.String,
  /** The heading of the page. */
  title: Schema.String,
  kinds: Schema.Array(Schema.String),
  /** The first half of the id of every event. If it changes, the inspector was restarted and counts anew. */
  start: Schema.String,
  /** When the inspector was started. */
  startedAt: Time,
  /** When this was read. */
  at: Time,
  published: Schema.Int,
  publishedByKind: Schema.Record(Schema.String, Schema.Int),
  delivered: Schema.Int,
  dropped: Schema.Int,
  /** Events that had no subscriber. The inspector does not count as one. */
  unmatched: Schema.Int,
  /** How many clients read `api/events` now. */
  clients: Schema.Int,
  /** Whether the bus has shut down, so that nothing more will come. `api/events` ends then. */
  isShutdown: Schema.Boolean,
  /** Whether the inspector has a fleet, so that `api/fleet` has data. */
  hasFleet: Schema.Boolean,
  /** Whether the fleet's alerts can be changed here. */
  canChangeAlerts: Schema.Boolean,
  /** Whether `api/outboxes` has anything to say. */
  hasOutboxes: Schema.Boolean,
  /** Whether a token is needed, so that one can sign out. */
  hasToken: Schema.Boolean
})

/** The counters of one subscription. `SubscriptionSnapshot` of `@openwatch/event-bus` says what they mean. */
export const SubscriptionState = Schema.Struct({
  name: Schema.String,
  kinds: Schema.Array(Schema.String),
  bufferSize: Schema.Int,
  overflow: Schema.Literals(["dropping", "sliding"]),
  state: Schema.Literals(["open", "draining", "closed"]),
  offered: Schema.Int,
  delivered: Schema.Int,
  dropped: Schema.Int,
  taken: Schema.Int,
  pending: Schema.Int,
  discarded: Schema.Int,
  running: Schema.Int,
  failures: Schema.Int,
  where: Schema.optionalKey(Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Number, Schema.Boolean]))),
  handled: Schema.optionalKey(Schema.Int),
  interrupted: Schema.optionalKey(Schema.Int),
  settled: Schema.optionalKey(Schema.Int),
  restarts: Schema.optionalKey(Schema.Int)
})

/**
 * What `api/events` sends.
 *
 * - `bus-event`, with an id: one event of the bus, as the bus's own JSON codec writes it. If the inspector was told how to
 *   describe events, `sentence` beside the fields of the event says for people what it tells.
 * - `gap`, with an id: the client came back with an id that is no longer kept, or is of another start. The events that
 *   are kept follow. `missed` is how many events are gone, or `null` if that is not known.
 * - `lost`, without an id: `missed` events were lost at this place. Either this client read too slowly, and only it
 *   lost them. Or more was published at once than the inspector could follow, and every client is told.
 */
export const EventFrame = Schema.Struct({
  id: Schema.optional(Schema.String),
  event: Schema.Literals(["bus-event", "gap", "lost"]),
  data: Schema.String
})

/** The data of a `gap`. */
export const Gap = Schema.Struct({ missed: Schema.NullOr(Schema.Int) })

/** The data of a `lost`. */
export const Lost = Schema.Struct({ missed: Schema.Int })

// -----------------------------------------------------------------------------
// The fleet
// -----------------------------------------------------------------------------

/** A watched host, and what is known of it. */
export const HostState = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  /** Where it is probed. */
  endpoint: Schema.String,
  /** `unjudged`: the machine that probes has not been able to look at it for too long. */
  state: Schema.Literals(["unknown", "unjudged", "reachable", "unreachable"]),
  /** Since when it is in this state. `null` if it is unknown. For `unjudged`: when it was last judged. */
  since: Schema.NullOr(Time),
  /** Why it is unreachable or unjudged. `null` if it is reachable, or if the reason is not known. */
  reason: Schema.NullOr(Schema.String),
  /** The response time of the probe that found it reachable, in milliseconds. `null` if it is not reachable. */
  responseTimeMs: Schema.NullOr(Schema.Finite),
  /** The score of the last scan, in percent. `null` before the first scan. */
  score: Schema.NullOr(Schema.Finite),
  /** Its tags in the inventory. */
  tags: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
})

/** An alert that is not resolved yet. */
export const OpenAlert = Schema.Struct({
  id: Schema.String,
  type: Schema.String,
  severity: Schema.Literals(["critical", "high", "medium", "low", "info"]),
  hostId: Schema.String,
  /** What people call the host. A host that another process watches is not among the hosts. */
  host: Schema.optionalKey(Schema.Struct({ name: Schema.String })),
  /** One line for people. */
  title: Schema.String,
  /** Default: `active`. */
  state: Schema.optionalKey(Schema.Literals(["active", "acknowledged", "silenced"])),
  /** Until when it is silenced. Absent if it is not, or if the silence lasts until somebody ends it. */
  silencedUntil: Schema.optionalKey(Time),
  occurredAt: Time
})

/** Maintenance of some hosts, now or planned. Nobody is told of their alerts meanwhile. */
export const Maintenance = Schema.Struct({
  /** What it is of, in words: hosts by their names, or all that have a tag. */
  subjects: Schema.Array(Schema.String),
  /** Which of the watched hosts these are. */
  hostIds: Schema.Array(Schema.String),
  /** Whether it has begun. */
  isOn: Schema.Boolean,
  since: Time,
  until: Time,
  /** Who has begun it; `null` where the application plans it. */
  who: Schema.NullOr(Schema.String),
  why: Schema.String
})

/** What somebody does with alerts: with all of them, or with none. */
export const AlertChange = Schema.Struct({
  ids: Schema.Array(Schema.String.check(Schema.isMaxLength(64))).check(Schema.isMinLength(1), Schema.isMaxLength(50)),
  action: Schema.Literals(["ack", "silence", "unsilence", "resolve", "dismiss"]),
  why: Schema.String.check(Schema.isMaxLength(1000)),
  /** How long a silence lasts. Default: until somebody ends it. */
  seconds: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 31_536_000 })))
})

/** The alerts that were changed: what they were, and what they are. */
export const AlertsChanged = Schema.Array(
  Schema.Struct({ id: Schema.String, from: Schema.String, to: Schema.String })
)

/** One change of an alert. */
export const AlertTransition = Schema.Struct({
  from: Schema.String,
  to: Schema.String,
  at: Time,
  who: Schema.String,
  why: Schema.String,
  /** Until when it was silenced. `null` if it was not, or if nobody said until when. */
  until: Schema.NullOr(Time)
})

/** Which of the alerts that were named are the reason for a refusal. The others could have been changed. */
const refusedIds = { ids: Schema.optionalKey(Schema.Array(Schema.String)) }

/** No alert has this id. */
export class AlertNotFound extends Schema.TaggedError<AlertNotFound>()("AlertNotFound", {
  message: Schema.String,
  ...refusedIds
}, { httpApiStatus: 404 }) {}

/** The alerts are not in a state in which this can be done with them. Nothing was changed. */
export class AlertsNotChanged extends Schema.TaggedError<AlertsNotChanged>()("AlertsNotChanged", {
  message: Schema.String,
  ...refusedIds
}, { httpApiStatus: 409 }) {}

/** The alerts cannot be read or changed now. */
export class AlertsUnavailable extends Schema.TaggedError<AlertsUnavailable>()("AlertsUnavailable", {
  message: Schema.String
}, { httpApiStatus: 503 }) {}

/** The score of one scan of a host. */
export const Score = Schema.Struct({
  scanId: Schema.String,
  profile: Schema.String,
  /** In percent of the rules that counted. */
  score: Schema.Finite,
  at: Time
})

/** For how much of some time a host was reachable. Time in which nobody could judge it does not count. */
export const Uptime = Schema.Struct({
  /** The last so many hours. */
  hours: Schema.Int,
  /** In percent of the time in which it was judged. `null` if it was not judged. */
  percent: Schema.NullOr(Schema.Finite),
  /** For how long it was judged, in seconds. */
  judgedSeconds: Schema.Int,
  /** For how long it was unreachable, in seconds. */
  unreachableSeconds: Schema.Int
})

/** The response times of a host. A percentile such as `p95` says, in milliseconds, that so many percent were no longer. */
export const ResponseTimes = Schema.Struct({
  answered: Schema.Int,
  failed: Schema.Int,
  p50: Schema.NullOr(Schema.Finite),
  p95: Schema.NullOr(Schema.Finite),
  p99: Schema.NullOr(Schema.Finite)
})

/** A rule that fails. */
export const FailingRule = Schema.Struct({
  id: Schema.String,
  title: Schema.NullOr(Schema.String),
  severity: Schema.Literals(["critical", "high", "medium", "low"])
})

/** The newest scan of a host with one profile. */
export const NewestScan = Schema.Struct({
  scanId: Schema.String,
  profile: Schema.String,
  at: Time,
  score: Schema.Finite,
  /** The most severe first. `null` if it is not known which rules fail. */
  failing: Schema.NullOr(Schema.Array(FailingRule))
})

/** An alert of a host, open or not. */
export const HostAlert = Schema.Struct({
  id: Schema.String,
  type: Schema.String,
  severity: Schema.Literals(["critical", "high", "medium", "low", "info"]),
  title: Schema.String,
  occurredAt: Time,
  /** Its state, such as `active` or `resolved`. */
  state: Schema.String,
  /** Since when it is over. `null` if it is not. */
  endedAt: Schema.NullOr(Time)
})

/** The past of a host. */
export const HostPast = Schema.Struct({
  /** The uptime of the last day, week, month and quarter. */
  uptimes: Schema.Array(Uptime),
  /** The response times of all days that are kept. */
  responseTimes: ResponseTimes,
  /** The same for each day in UTC on which it was probed, oldest first. */
  days: Schema.Array(Schema.Struct({ ...ResponseTimes.fields, day: Schema.String })),
  /** The last probes, oldest first. The response time is in milliseconds. It is `null` if the host did not answer. */
  probes: Schema.Array(Schema.Struct({ at: Time, responseTimeMs: Schema.NullOr(Schema.Finite) })),
  /** The newest scan with each profile, newest first. */
  scans: Schema.Array(NewestScan),
  /** The last alerts, newest first. */
  alerts: Schema.Array(HostAlert)
})

/** No host has this id, or no fleet is watched here. */
export class HostNotFound extends Schema.TaggedError<HostNotFound>()("HostNotFound", {
  message: Schema.String
}, { httpApiStatus: 404 }) {}

// -----------------------------------------------------------------------------
// Durable events
// -----------------------------------------------------------------------------

/** A durable consumer, as `ConsumerSnapshot` of `@openwatch/event-bus-sql` means it. */
export const ConsumerState = Schema.Struct({
  name: Schema.String,
  kinds: Schema.Array(Schema.String),
  order: Schema.Literals(["all", "key", "none"]),
  partitions: Schema.Int,
  /** Events that it has not moved past, and the age of the oldest of them. */
  lag: Schema.Struct({ events: Schema.Int, seconds: Schema.Finite }),
  /** Events that failed, and are tried again. */
  retrying: Schema.Int,
  /** Events that wait behind one that failed or died. */
  held: Schema.Int,
  /** Dead letters. */
  dead: Schema.Int,
  /** How many partitions each process has; its id changes with every start. */
  owners: Schema.Record(Schema.String, Schema.Int),
  /** When a process last served it, accurate to some minutes. */
  lastSeenAt: Time
})

/** An outbox and its durable consumers. */
export const OutboxState = Schema.Struct({
  name: Schema.String,
  /** When this was read: up to two seconds ago. */
  at: Time,
  /** Why its consumers are not known. `null` if they are. */
  problem: Schema.NullOr(Schema.String),
  consumers: Schema.Array(ConsumerState)
})

/** An event that a consumer has given up. Texts longer than 10,000 characters are cut off. */
export const DeadLetterState = Schema.Struct({
  consumer: Schema.String,
  kind: Schema.String,
  id: Schema.String,
  /** The event as it is stored. */
  json: Schema.String,
  /** What the last attempt failed with. */
  cause: Schema.String,
  attempts: Schema.Int,
  publishedAt: Time,
  diedAt: Time
})

/** The first 100 dead letters of an outbox, or of a consumer, and when they were read. */
export const DeadLetters = Schema.Struct({ at: Time, letters: Schema.Array(DeadLetterState) })

const Name = Schema.String.check(Schema.isMaxLength(1024))

/**
 * Which dead letters are to be requeued or discarded: one, or all of a consumer. Those that have died since the list
 * was read are left alone, since nobody has seen them.
 */
export const DeadLetterChoice = Schema.Struct({
  outbox: Name,
  consumer: Name,
  /** The letter. Default: all of the consumer. */
  letter: Schema.optionalKey(Schema.Struct({ kind: Name, id: Name })),
  /** The `at` of the list that was looked at. */
  diedUntil: Time
})

/** How many of the dead letters there were. */
export const Changed = Schema.Struct({ count: Schema.Int })

/** No outbox that is shown here has this name. */
export class OutboxNotFound extends Schema.TaggedError<OutboxNotFound>()("OutboxNotFound", {
  message: Schema.String
}, { httpApiStatus: 404 }) {}

/** The database of an outbox cannot be asked now. */
export class OutboxUnavailable extends Schema.TaggedError<OutboxUnavailable>()("OutboxUnavailable", {
  message: Schema.String
}, { httpApiStatus: 503 }) {}

// -----------------------------------------------------------------------------
// Access
// -----------------------------------------------------------------------------

/** The name of the cookie that a login sets. */
export const sessionCookie = "inspector-session"

/** The token is missing or wrong. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  message: Schema.String
}, { httpApiStatus: 401 }) {}

/** Too many wrong tokens came from this address. This one was not checked. */
export class TooManyAttempts extends Schema.TaggedError<TooManyAttempts>()("TooManyAttempts", {
  message: Schema.String
}, { httpApiStatus: 429 }) {}

/** Who asks: the name of their token. */
export class Who extends Context.Service<Who, string>()("@openwatch/inspector/Who") {}

/**
 * Lets a request in that has the token, as a bearer token or by the cookie of a login. Lets every request in if no
 * token is set.
 */
export class Authorization
  extends HttpApiMiddleware.Service<Authorization, { provides: Who }>()("@openwatch/inspector/Authorization", {
    security: {
      bearer: HttpApiSecurity.bearer,
      session: HttpApiSecurity.apiKey({ key: sessionCookie, in: "cookie" })
    },
    error: [Unauthorized, TooManyAttempts]
  })
{}

// -----------------------------------------------------------------------------
// Readiness
// -----------------------------------------------------------------------------

/** The parts of an application by their names: `null` for one that works, and for another what is wrong, in a few words. */
export const Parts = Schema.Record(Schema.String, Schema.NullOr(Schema.String))

/** All parts of the application work. */
export const Ready = Schema.Struct({ status: Schema.Literal("ready"), parts: Parts })

/** A part of the application does not work now. */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", {
  status: Schema.Literal("not ready"),
  parts: Parts
}, { httpApiStatus: 503 }) {}

// -----------------------------------------------------------------------------
// The API
// -----------------------------------------------------------------------------

const bus = HttpApiGroup.make("bus").add(
  HttpApiEndpoint.get("state", "/api/bus", { success: BusState })
    .annotate(OpenApi.Summary, "The bus as a whole"),
  HttpApiEndpoint.get("subscriptions", "/api/subscriptions", { success: Schema.Array(SubscriptionState) })
    .annotate(OpenApi.Summary, "The subscriptions that are not closed"),
  HttpApiEndpoint.get("events", "/api/events", {
    headers: { "last-event-id": Schema.optional(Schema.String) },
    // A browser's `EventSource` cannot set the header on a connection that it did not lose itself.
    query: { lastEventId: Schema.optional(Schema.String) },
    success: HttpApiSchema.StreamSse({ events: EventFrame })
  }).annotate(OpenApi.Summary, "The last 1,000 events, or those after Last-Event-ID, and then each as it is published"),
  HttpApiEndpoint.get("metrics", "/metrics", {
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
  }).annotate(OpenApi.Summary, "Every metric of the process, in Prometheus's text format")
).middleware(Authorization)

const fleet = HttpApiGroup.make("fleet").add(
  HttpApiEndpoint.get("hosts", "/api/fleet/hosts", { success: Schema.Array(HostState) })
    .annotate(OpenApi.Summary, "The watched hosts"),
  HttpApiEndpoint.get("alerts", "/api/fleet/alerts", { success: Schema.Array(OpenAlert) })
    .annotate(OpenApi.Summary, "The alerts that are open, the most severe first, and the newest among equals"),
  HttpApiEndpoint.get("maintenance", "/api/fleet/maintenance", { success: Schema.Array(Maintenance) })
    .annotate(OpenApi.Summary, "The maintenance of hosts that goes on, by its end, and then what is planned next"),
  HttpApiEndpoint.post("changeAlerts", "/api/fleet/alerts/change", {
    payload: AlertChange,
    success: AlertsChanged,
    error: [AlertNotFound, AlertsNotChanged, AlertsUnavailable]
  }).annotate(OpenApi.Summary, "Acknowledges, silences, resolves or dismisses alerts: all of them, or none"),
  HttpApiEndpoint.get("alertHistory", "/api/fleet/alerts/:alertId/history", {
    params: { alertId: Schema.String.check(Schema.isMaxLength(64)) },
    success: Schema.Array(AlertTransition),
    error: [AlertNotFound, AlertsUnavailable]
  }).annotate(OpenApi.Summary, "Who has changed an alert, when and why, oldest first"),
  HttpApiEndpoint.get("scores", "/api/fleet/hosts/:hostId/scores", {
    params: { hostId: Schema.String.check(Schema.isMaxLength(64)) },
    success: Schema.Array(Score),
    error: HostNotFound
  }).annotate(OpenApi.Summary, "The scores of a host's scans, oldest first"),
  HttpApiEndpoint.get("past", "/api/fleet/hosts/:hostId/past", {
    params: { hostId: Schema.String.check(Schema.isMaxLength(64)) },
    success: HostPast,
    error: HostNotFound
  }).annotate(OpenApi.Summary, "A host's uptime, response times, failing rules and alerts")
).middleware(Authorization)

const outboxes = HttpApiGroup.make("outboxes").add(
  HttpApiEndpoint.get("list", "/api/outboxes", { success: Schema.Array(OutboxState) })
    .annotate(OpenApi.Summary, "The outboxes and their durable consumers"),
  HttpApiEndpoint.get("deadLetters", "/api/dead-letters", {
    query: { outbox: Name, consumer: Schema.optional(Name) },
    success: DeadLetters,
    error: [OutboxNotFound, OutboxUnavailable]
  }).annotate(OpenApi.Summary, "The first 100 dead letters of an outbox, or of one of its consumers"),
  HttpApiEndpoint.post("requeue", "/api/dead-letters/requeue", {
    payload: DeadLetterChoice,
    success: Changed,
    error: [OutboxNotFound, OutboxUnavailable]
  }).annotate(OpenApi.Summary, "Has dead letters tried again, from the first attempt on"),
  HttpApiEndpoint.post("discard", "/api/dead-letters/discard", {
    payload: DeadLetterChoice,
    success: Changed,
    error: [OutboxNotFound, OutboxUnavailable]
  }).annotate(OpenApi.Summary, "Forgets dead letters")
).middleware(Authorization)

const access = HttpApiGroup.make("access").add(
  HttpApiEndpoint.get("health", "/health", { success: Schema.Struct({ status: Schema.Literal("ok") }) })
    .annotate(OpenApi.Summary, "Responds while the server is there; needs no token"),
  HttpApiEndpoint.get("ready", "/ready", { success: Ready, error: NotReady })
    .annotate(OpenApi.Summary, "Which parts of the application work; 503 where one does not; needs no token"),
  HttpApiEndpoint.post("login", "/api/session", {
    payload: Schema.Struct({ token: Schema.RedactedFromValue(Schema.String.check(Schema.isMaxLength(1024))) }),
    success: HttpApiSchema.NoContent,
    error: [Unauthorized, TooManyAttempts]
  }).annotate(OpenApi.Summary, "Trades the token for a cookie that scripts cannot read"),
  HttpApiEndpoint.delete("logout", "/api/session", { success: HttpApiSchema.NoContent })
    .annotate(OpenApi.Summary, "Ends the session, and drops the cookie")
)

/** The API of {@link Inspector.layer}. */
export class InspectorApi extends HttpApi.make("inspector").add(bus).add(fleet).add(outboxes).add(access).annotateMerge(
  OpenApi.annotations({ title: "Inspector", description: "An event bus, seen live", version: "0.1.0" })
) {}
