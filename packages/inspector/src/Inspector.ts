/**
 * A live view of an event bus: a page for people, and an HTTP API for programs.
 *
 * **When to use**
 *
 * To see now which subscription is slow, what is dropped and what is published. The inspector is one more subscription
 * of the bus, and costs publishers nothing else. The bus does not notice how many browsers look on.
 *
 * **Example** (On a server of its own)
 *
 * ```ts no-run: it listens until it is stopped
 * import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
 * import { EventBus } from "@openwatch/event-bus"
 * import { Inspector } from "@openwatch/inspector"
 * import { Layer, Schema } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * const server = HttpRouter.serve(Inspector.layer(HouseBus, { prefix: "/bus" })).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 7420, gracefulShutdownTimeout: "1 second" })),
 *   Layer.provide(HouseBus.layer)
 * )
 *
 * NodeRuntime.runMain(Layer.launch(server))
 * ```
 *
 * **Gotchas**
 *
 * Without a token only requests from the same machine are served, whatever address the server listens on. Requests that
 * a proxy on this machine passes on count as such: set a token there.
 *
 * A server listens before the routes are there. `NodeHttpServer` leaves a request that comes in between without a response. Where
 * that matters, for example behind a load balancer, send nobody there before `/ready` responds.
 *
 * An open page keeps a request open. A server that stops waits for it: 20 seconds, unless `gracefulShutdownTimeout`
 * says otherwise.
 */
import type { EventBus } from "@openwatch/event-bus"
import { Clock, DateTime, Effect, type FileSystem, Layer, type Path, Redacted, Schema } from "effect"
import { type Etag, HttpMiddleware, HttpPlatform, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import type { FleetView } from "./FleetView.ts"
import {
  AlertNotFound,
  Authorization,
  type DeadLetterChoice,
  HostNotFound,
  InspectorApi,
  NotReady,
  sessionCookie,
  TooManyAttempts,
  Unauthorized,
  Who
} from "./InspectorApi.ts"
import * as Attempts from "./internal/attempts.ts"
import * as EventLog from "./internal/eventLog.ts"
import { clientOf, credentials, gate } from "./internal/gate.ts"
import * as Outboxes from "./internal/outboxes.ts"
import * as Page from "./internal/page.ts"
import { unlessKnown } from "./internal/unchanged.ts"
import type { OutboxView } from "./OutboxView.ts"

/** The headers of every response. For a server that responds before the routes of the inspector are there. */
export { securityHeaders } from "./internal/gate.ts"

/** The options of the inspector. One that is left out has the default given here. */
export interface Options<Event extends EventBus.AnyEvent = any> {
  /** The path of the inspector, such as `/bus`, without a slash at the end. Default: the root of the server. */
  readonly prefix?: `/${string}` | undefined
  /**
   * The heading of the page. Whoever is asked for a token sees it, too. Default: the bus's name, and "Inspector" for those
   * who have not signed in.
   */
  readonly title?: string | undefined
  /**
   * The token of those who may look. They send it as a bearer token, or by the login form of the page. At least 16
   * characters. Default: no token, and only this machine is served.
   */
  readonly token?: Redacted.Redacted | undefined
  /**
   * Tokens with the names of those who have them. Each works as `token` does, and what somebody changes is done in
   * their name. Default: none.
   */
  readonly tokens?: ReadonlyArray<{ readonly name: string; readonly token: Redacted.Redacted }> | undefined
  /**
   * The host names under which browsers ask for the page, without port. Addresses and `localhost` always work. Any
   * other name is refused, so that nobody can make a name of theirs lead to this server.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
  /**
   * Whether the router has no other routes. Then requests for unknown paths pass the same checks, and get the same
   * headers. Default: false.
   */
  readonly isAlone?: boolean | undefined
  /** The fleet to show beside the bus. Default: none. */
  readonly fleet?: FleetView["Service"] | undefined
  /**
   * The outboxes whose durable consumers and dead letters are shown, and whose dead letters can be requeued and discarded by
   * whoever may look: those of `@openwatch/event-bus-sql`, as they are. Default: none.
   */
  readonly outboxes?: ReadonlyArray<OutboxView> | undefined
  /**
   * Returns a sentence for people that says what an event tells. The page shows it in place of the event's fields.
   * `api/events` has it as `sentence`, beside them. Default: none.
   */
  readonly describe?: ((event: Event) => string) | undefined
  /**
   * Events from before the start that are to be shown, oldest first: for example those that `last` of an outbox reads.
   * If reading them dies, or takes more than 10 seconds, the log says so, and none are shown. Default: none.
   */
  readonly past?: Effect.Effect<ReadonlyArray<Event>> | undefined
  /**
   * Further series in Prometheus's text format, made when somebody asks for `/metrics`. They follow those of the
   * process. Default: none.
   */
  readonly metrics?: Effect.Effect<string> | undefined
  /**
   * The parts of the application by their names, for `/ready`. The value is `null` for a part that works, and otherwise
   * says what is wrong. Everybody who reaches the server can see it, also without a token. Default: no parts, which is
   * ready.
   */
  readonly readiness?: Effect.Effect<Readonly<Record<string, string | null>>> | undefined
}

const shortestToken = 16

/** Who it is if no token is set. Then only this machine is served. */
const thisMachine = "this machine"

const invalid = (option: string, is: string, expected: string): never => {
  throw new TypeError(`Inspector: ${option} is ${is}, expected ${expected}`)
}

/** A wrong option is a defect, as a wrong option of a bus is. */
const validated = (options: Options) => {
  const prefix: string = options.prefix ?? ""
  if (!/^(\/[\w.~-]+)*$/.test(prefix)) {
    invalid("prefix", JSON.stringify(prefix), "path segments such as \"/bus\", without a slash at the end")
  }
  for (
    const token of [
      ...(options.token === undefined ? [] : [options.token]),
      ...(options.tokens ?? []).map(({ token }) => token)
    ]
  ) {
    const { length } = Redacted.value(token)
    if (length < shortestToken) invalid("token", `${length} characters long`, `at least ${shortestToken}`)
  }
  const hosts = (options.hosts ?? []).map((host) => host.toLowerCase())
  for (const host of hosts) {
    if (!/^[a-z0-9_.-]+$/.test(host)) {
      invalid("a host", JSON.stringify(host), "a name such as \"watch.example.org\", without scheme or port")
    }
  }
  const names = new Set<string>()
  for (const { name } of options.outboxes ?? []) {
    if (names.has(name)) invalid("an outbox", JSON.stringify(name), "no two of one name")
    names.add(name)
  }
  return { prefix, hosts }
}

/**
 * The routes of the inspector, for an `HttpRouter`.
 *
 * **Details**
 *
 * Under the prefix there are the page at `/`, its API under `/api`, the description of the API at `/api/openapi.json`,
 * `/metrics` for Prometheus, `/health` and `/ready`. The last 1,000 events are kept for pages that are opened later or come
 * back.
 */
export const layer = <Self, const Id extends string, const Events extends EventBus.EventSchemas>(
  Bus: EventBus.ServiceClass<Self, Id, Events>,
  options: Options<EventBus.EventOf<Events>> = {}
): Layer.Layer<
  never,
  never,
  Self | HttpRouter.HttpRouter | FileSystem.FileSystem | Path.Path | HttpPlatform.HttpPlatform | Etag.Generator
> =>
  Layer.unwrap(Effect.gen(function*() {
    const { hosts, prefix } = validated(options)
    const bus = yield* Bus
    const encode = Schema.encodeSync(Bus.EventJson)
    const log = yield* EventLog.make<EventBus.EventOf<Events>>(bus, {
      encode,
      describe: options.describe,
      past: options.past ?? Effect.succeed([])
    })
    const access = credentials([
      ...(options.token === undefined ? [] : [{ name: "token", token: options.token }]),
      ...(options.tokens ?? [])
    ])
    const { fleet, metrics = Effect.succeed(""), readiness = Effect.succeed({}) } = options
    const outboxes = yield* Outboxes.make(options.outboxes ?? [])
    // The type of a prefixed API names every prefixed path; the handlers are the same.
    const api = prefix === ""
      ? InspectorApi
      : InspectorApi.prefix(prefix as `/${string}`) as unknown as typeof InspectorApi

    const gated = gate({ hosts, hasToken: access !== undefined })
    // What is streamed is not compressed: each event would wait for more.
    const compressed = HttpMiddleware.compression({ compressible: (type) => !type.startsWith("text/event-stream") })
    const platform = yield* HttpPlatform.HttpPlatform
    const served = <E, R>(httpEffect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
      Effect.provideService(compressed(unlessKnown(gated(httpEffect))), HttpPlatform.HttpPlatform, platform)
    const attempts = Attempts.make()
    const unauthorized = new Unauthorized({ message: "The token is missing or wrong" })
    const tooMany = new TooManyAttempts({
      message: "Too many wrong tokens came from this address: this one was not looked at, try again later"
    })
    /** Succeeds with the name of those whose token it is. */
    const checkToken = Effect.fnUntraced(function*(given: string) {
      let name: string | undefined
      const attempt = yield* attempts.check(clientOf(yield* HttpServerRequest.HttpServerRequest), () => {
        name = access?.nameOf(given)
        return name !== undefined
      })
      return attempt === "right" && name !== undefined ? name : yield* (attempt === "wrong" ? unauthorized : tooMany)
    })

    const isSlowedDown = Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      (request) => attempts.isSlowedDown(clientOf(request))
    )

    // A bearer is looked at first; if it was one too many, the response says so, and not that there is no cookie either.
    const authorization = Layer.succeed(
      Authorization,
      Authorization.of({
        bearer: (httpEffect, { credential }) => {
          if (access === undefined) return Effect.provideService(httpEffect, Who, thisMachine)
          const given = Redacted.value(credential)
          if (given === "") return unauthorized
          return Effect.flatMap(checkToken(given), (name) => Effect.provideService(httpEffect, Who, name))
        },
        session: (httpEffect, { credential }) =>
          Effect.gen(function*() {
            const given = Redacted.value(credential)
            const name = access === undefined
              ? thisMachine
              : access.sessionOf(given, yield* Clock.currentTimeMillis)
            if (name !== undefined) return yield* Effect.provideService(httpEffect, Who, name)
            const { headers } = yield* HttpServerRequest.HttpServerRequest
            const isBearer = given === "" && headers["authorization"] !== undefined
            return yield* (isBearer && (yield* isSlowedDown) ? tooMany : unauthorized)
          })
      })
    )

    const busHandlers = HttpApiBuilder.group(api, "bus", (handlers) =>
      handlers.handleAll({
        state: Effect.fnUntraced(function*() {
          const { deliveredCount, droppedCount, noSubscribersCount, publishedByKind, publishedCount } = yield* bus
            .metrics
          return {
            name: bus.name,
            title: options.title ?? bus.name,
            kinds: bus.kinds,
            start: log.start,
            startedAt: log.startedAt,
            at: yield* DateTime.now,
            published: publishedCount,
            publishedByKind,
            delivered: deliveredCount,
            dropped: droppedCount,
            unmatched: noSubscribersCount,
            clients: yield* log.clients,
            isShutdown: yield* log.isShutdown,
            hasFleet: fleet !== undefined,
            canChangeAlerts: fleet?.changeAlerts !== undefined,
            hasOutboxes: (options.outboxes ?? []).length > 0,
            hasToken: access !== undefined
          }
        }),
        subscriptions: () => bus.subscriptions,
        metrics: () => Effect.zipWith(PrometheusMetrics.format(), metrics, (own, more) => own + more)
      }).handleRaw("events", ({ headers, query }) =>
        // The frames are encoded once for all clients, so they go out as they are.
        Effect.succeed(HttpServerResponse.stream(log.after(headers["last-event-id"] ?? query.lastEventId), {
          contentType: "text/event-stream; charset=utf-8",
          headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
        }))))

    const fleetHandlers = HttpApiBuilder.group(api, "fleet", (handlers) =>
      handlers.handleAll({
        hosts: () => fleet === undefined ? Effect.succeed([]) : fleet.hosts,
        alerts: () => fleet === undefined ? Effect.succeed([]) : fleet.openAlerts,
        maintenance: () => fleet?.maintenance ?? Effect.succeed([]),
        changeAlerts: ({ payload }) =>
          fleet?.changeAlerts === undefined
            ? new AlertNotFound({ message: "No alerts can be changed here" })
            : Effect.flatMap(Who, (who) => fleet.changeAlerts!(Object.assign({ who }, payload))),
        alertHistory: ({ params: { alertId } }) =>
          fleet?.alertHistory === undefined
            ? new AlertNotFound({ message: `No alert has the id ${alertId}` })
            : fleet.alertHistory(alertId),
        scores: ({ params: { hostId } }) =>
          fleet === undefined ? new HostNotFound({ message: `No host has the id ${hostId}` }) : fleet.scores(hostId),
        past: ({ params: { hostId } }) =>
          fleet?.past === undefined
            ? new HostNotFound({ message: `Nothing is kept of a host with the id ${hostId}` })
            : fleet.past(hostId)
      }))

    const change = (what: "requeue" | "discard") =>
    ({ payload: { consumer, diedUntil, letter, outbox } }: {
      readonly payload: typeof DeadLetterChoice.Type
    }) => Effect.map(outboxes.change(what, { outbox, consumer, letter, diedUntil }), (count) => ({ count }))

    const outboxHandlers = HttpApiBuilder.group(api, "outboxes", (handlers) =>
      handlers.handleAll({
        list: () => outboxes.states,
        deadLetters: ({ query: { consumer, outbox } }) => outboxes.deadLetters(outbox, consumer),
        requeue: change("requeue"),
        discard: change("discard")
      }))

    const cookie = (value: string, maxAge: `${number} days`) =>
      Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
        HttpServerResponse.setCookieUnsafe(HttpServerResponse.empty(), sessionCookie, value, {
          httpOnly: true,
          sameSite: "strict",
          secure: request.headers["origin"]?.startsWith("https:") === true,
          path: prefix === "" ? "/" : prefix,
          maxAge
        }))

    const accessHandlers = HttpApiBuilder.group(api, "access", (handlers) =>
      handlers.handleAll({
        health: () =>
          Effect.succeed({ status: "ok" as const }),
        ready: Effect.fnUntraced(function*() {
          const parts = yield* readiness
          const isReady = Object.values(parts).every((problem) =>
            problem === null
          )
          return isReady
            ? { status: "ready" as const, parts }
            : yield* new NotReady({ status: "not ready", parts })
        }),
        login: Effect.fnUntraced(function*({ payload }) {
          if (access === undefined) {
            return yield* new Unauthorized({ message: "No token is set" })
          }
          const name = yield* checkToken(Redacted.value(payload.token))
          return yield* cookie(access.begin(name, yield* Clock.currentTimeMillis), "7 days")
        }),
        logout: Effect.fnUntraced(function*() {
          const { cookies } = yield* HttpServerRequest.HttpServerRequest
          access?.end(cookies[sessionCookie] ?? "", yield* Clock.currentTimeMillis)
          return yield* cookie("", "0 days")
        })
      }))

    return Layer.mergeAll(
      HttpApiBuilder.layer(api, { openapiPath: `${prefix}/api/openapi.json` as `/${string}` }).pipe(
        Layer.provide([busHandlers, fleetHandlers, outboxHandlers, accessHandlers]),
        Layer.provide(authorization)
      ),
      Layer.effectDiscard(Page.addRoutes(prefix, options.title)),
      options.isAlone === true ? HttpRouter.middleware(served, { global: true }) : Layer.empty
    ).pipe(
      options.isAlone === true
        ? (routes) => routes
        : Layer.provide(HttpRouter.middleware(served).layer),
      // A page that asks every second would drown everything else in the log.
      Layer.provide(HttpRouter.disableLogger)
    )
  }))
