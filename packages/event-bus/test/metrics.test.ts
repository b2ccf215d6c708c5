import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Clock, Effect, Exit, Layer, Logger, Metric, Schedule, Scope } from "effect"
import { FetchHttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import { createServer } from "node:http"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

/** Ten seconds after the first events. */
const stopped: Clock.Clock = Object.create(Clock.Clock.defaultValue(), {
  currentTimeMillisUnsafe: { value: () => 10_000 }
})

const makeBus = (options: EventBus.Options & { readonly name?: string } = {}) =>
  Effect.provideService(EventBus.make({ name: "house", events: [Ping, Pong], ...options }), Clock.Clock, stopped)

/** A registry of the test's own, so that tests do not see each other's series. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const listen = NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })

const address = Effect.map(HttpServer.HttpServer, (server) => HttpServer.formatAddress(server.address))

const scrapeLines = Effect.gen(function*() {
  const url = yield* address
  const text = yield* Effect.promise(() => fetch(`${url}/metrics`).then((response) => response.text()))
  return text.split("\n")
})

/** The samples of a scrape, one line each, without the comments. */
const scrape = Effect.map(scrapeLines, (lines) => lines.filter((line) => line.startsWith("event_bus")).toSorted())

const served = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  isolated(Effect.scoped(Effect.flatMap(
    Layer.build(
      HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true })
        .pipe(Layer.provideMerge(listen))
    ),
    (context) => Effect.provideContext(effect, context)
  )))

describe("metrics, scraped by Prometheus", () => {
  it.live("are counters where they only grow, and gauges where they do not", () =>
    served(Effect.gen(function*() {
      const bus = yield* makeBus()
      yield* bus.on("Ping", () => Effect.void, { name: "router" })
      const types = (yield* scrapeLines).flatMap((line) =>
        /^# TYPE (event_bus\w+) (\w+)$/.exec(line)?.slice(1).join(" ") ?? []
      )
      assert.isAtLeast(types.length, 10)
      const grows = (name: string): boolean => name.endsWith("_total")
      assert.deepStrictEqual(
        types,
        types.map((type) => {
          const [name] = type.split(" ")
          return `${name} ${grows(name!) ? "counter" : "gauge"}`
        })
      )
    })))

  it.live("are what the bus and its subscriptions count at that moment", () =>
    served(Effect.gen(function*() {
      const bus = yield* makeBus()
      yield* bus.on("Ping", (event) => event.n === 1 ? Effect.fail("no") : Effect.void, { name: "router" })
      yield* bus.subscribe({ kinds: ["Ping"], name: "stuck", bufferSize: 2 })
      yield* bus.publishAll([ping(1), ping(2), ping(3), pong(4)])
      yield* settle
      assert.deepStrictEqual(yield* scrape, [
        `event_bus_delivered_total{bus="house"} 5`,
        `event_bus_discarded_total{bus="house"} 0`,
        `event_bus_dropped_total{bus="house"} 1`,
        `event_bus_handler_failures_total{bus="house"} 1`,
        `event_bus_no_subscribers_total{bus="house",kind="Ping"} 0`,
        `event_bus_no_subscribers_total{bus="house",kind="Pong"} 1`,
        `event_bus_pending{bus="house"} 2`,
        `event_bus_published_total{bus="house",kind="Ping"} 3`,
        `event_bus_published_total{bus="house",kind="Pong"} 1`,
        `event_bus_subscription_delivered_total{bus="house",subscription="router"} 3`,
        `event_bus_subscription_delivered_total{bus="house",subscription="stuck"} 2`,
        `event_bus_subscription_discarded_total{bus="house",subscription="router"} 0`,
        `event_bus_subscription_discarded_total{bus="house",subscription="stuck"} 0`,
        `event_bus_subscription_dropped_total{bus="house",subscription="router"} 0`,
        `event_bus_subscription_dropped_total{bus="house",subscription="stuck"} 1`,
        `event_bus_subscription_handler_failures_total{bus="house",subscription="router"} 1`,
        `event_bus_subscription_handler_failures_total{bus="house",subscription="stuck"} 0`,
        `event_bus_subscription_lag_seconds{bus="house",subscription="router"} 0`,
        `event_bus_subscription_lag_seconds{bus="house",subscription="stuck"} 9.999`,
        `event_bus_subscription_pending{bus="house",subscription="router"} 0`,
        `event_bus_subscription_pending{bus="house",subscription="stuck"} 2`,
        `event_bus_subscriptions{bus="house"} 2`
      ])
      yield* bus.publish(ping(5))
      assert.include(yield* scrape, `event_bus_published_total{bus="house",kind="Ping"} 4`)
    })))

  it.live("subscriptions of one name share a series that ends with the last of them", () =>
    served(Effect.gen(function*() {
      const bus = yield* makeBus()
      const pages = yield* Effect.forEach(
        [1, 2, 3],
        () => bus.subscribe({ kinds: ["Ping"], name: "page", bufferSize: 2 })
      )
      const series = Effect.map(scrape, (lines) => lines.filter((line) => line.includes(`subscription="page"`)))
      yield* bus.publishAll([ping(1), ping(2), ping(3)])
      yield* pages[0]!.take
      assert.deepStrictEqual(yield* series, [
        `event_bus_subscription_delivered_total{bus="house",subscription="page"} 6`,
        `event_bus_subscription_discarded_total{bus="house",subscription="page"} 0`,
        `event_bus_subscription_dropped_total{bus="house",subscription="page"} 3`,
        `event_bus_subscription_handler_failures_total{bus="house",subscription="page"} 0`,
        `event_bus_subscription_lag_seconds{bus="house",subscription="page"} 9.999`,
        `event_bus_subscription_pending{bus="house",subscription="page"} 5`
      ])
      // The newest goes first, then the oldest: neither takes the series of the other away, nor what it counted.
      yield* pages[2]!.unsubscribe
      yield* pages[0]!.unsubscribe
      assert.deepStrictEqual(yield* series, [
        `event_bus_subscription_delivered_total{bus="house",subscription="page"} 6`,
        `event_bus_subscription_discarded_total{bus="house",subscription="page"} 3`,
        `event_bus_subscription_dropped_total{bus="house",subscription="page"} 3`,
        `event_bus_subscription_handler_failures_total{bus="house",subscription="page"} 0`,
        `event_bus_subscription_lag_seconds{bus="house",subscription="page"} 9.999`,
        `event_bus_subscription_pending{bus="house",subscription="page"} 2`
      ])
      yield* pages[1]!.unsubscribe
      assert.deepStrictEqual(yield* series, [])
      assert.include(yield* scrape, `event_bus_delivered_total{bus="house"} 6`)
      yield* bus.subscribe({ kinds: ["Ping"], name: "page" })
      assert.include(yield* series, `event_bus_subscription_delivered_total{bus="house",subscription="page"} 0`)
    })))

  it.live("two buses of one name report their sum; the series end with the last of their scopes", () =>
    served(Effect.gen(function*() {
      const scopes = [yield* Scope.make(), yield* Scope.make()] as const
      const first = yield* Scope.provide(makeBus(), scopes[0])
      const second = yield* Scope.provide(makeBus(), scopes[1])
      yield* first.publish(ping(1))
      yield* second.publish(ping(2))
      assert.include(yield* scrape, `event_bus_published_total{bus="house",kind="Ping"} 2`)
      yield* Scope.close(scopes[1], Exit.void)
      assert.include(yield* scrape, `event_bus_published_total{bus="house",kind="Ping"} 2`)
      yield* Scope.close(scopes[0], Exit.void)
      assert.deepStrictEqual(yield* scrape, [])
    })))
})

it.live("what a bus of the same name has left behind counts no more, but for what only grows", () =>
  served(Effect.gen(function*() {
    const scope = yield* Scope.make()
    const gone = yield* Scope.provide(makeBus(), scope)
    yield* gone.subscribe({ kinds: ["Ping"], name: "still reading" })
    yield* makeBus()
    yield* gone.publish(ping(1))
    assert.includeMembers(yield* scrape, [
      `event_bus_pending{bus="house"} 1`,
      `event_bus_subscriptions{bus="house"} 1`
    ])
    yield* Scope.close(scope, Exit.void)
    assert.includeMembers(yield* scrape, [
      `event_bus_delivered_total{bus="house"} 1`,
      `event_bus_pending{bus="house"} 0`,
      `event_bus_subscriptions{bus="house"} 0`
    ])
  })))

it.live("buses of one name from two copies of the package report their sum", () =>
  served(Effect.gen(function*() {
    const scope = yield* Scope.make()
    const bus = yield* makeBus()
    vi.resetModules()
    const copy = yield* Effect.promise(() => import("@openwatch/event-bus"))
    assert.notStrictEqual(copy.EventBus, EventBus)
    const other = yield* Scope.provide(copy.EventBus.make({ name: "house", events: [Ping, Pong] }), scope)
    yield* bus.publish(ping(1))
    yield* other.publishAll([ping(2), ping(3)])
    assert.include(yield* scrape, `event_bus_published_total{bus="house",kind="Ping"} 3`)
    yield* Scope.close(scope, Exit.void)
    yield* bus.publish(ping(4))
    assert.include(yield* scrape, `event_bus_published_total{bus="house",kind="Ping"} 4`)
  })))

it.live("buses of one name may have different kinds", () =>
  served(Effect.gen(function*() {
    const scope = yield* Scope.make()
    const both = yield* makeBus()
    const pings = yield* Scope.provide(EventBus.make({ name: "house", events: [Ping] }), scope)
    yield* both.publishAll([ping(1), pong(2)])
    yield* pings.publish(ping(3))
    const published = Effect.map(
      scrape,
      (lines) => lines.filter((line) => line.startsWith("event_bus_published_total"))
    )
    assert.deepStrictEqual(yield* published, [
      `event_bus_published_total{bus="house",kind="Ping"} 2`,
      `event_bus_published_total{bus="house",kind="Pong"} 1`
    ])
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(yield* published, [
      `event_bus_published_total{bus="house",kind="Ping"} 2`,
      `event_bus_published_total{bus="house",kind="Pong"} 1`
    ])
  })))

for (
  const [what, name, first, second] of [
    ["in another order", "house", { zone: "a", host: "b" }, { host: "b", zone: "a" }],
    ["that rename them", "shed", { bus: "renamed" }, { bus: "renamed" }]
  ] as const
) {
  it.effect(`buses whose series are the same by attributes of their context, ${what}, report their sum`, () =>
    isolated(Effect.gen(function*() {
      const one = yield* Effect.provideService(makeBus(), Metric.CurrentMetricAttributes, first)
      const another = yield* Effect.provideService(makeBus({ name }), Metric.CurrentMetricAttributes, second)
      yield* one.publish(ping(1))
      yield* another.publishAll([ping(2), ping(3)])
      const published = (yield* Metric.snapshot).flatMap((metric) =>
        metric.id === "event_bus_published_total" && metric.attributes?.["kind"] === "Ping" ? [metric.state] : []
      )
      assert.deepStrictEqual(published, [{ count: 3, incremental: true }])
    })))
}

describe("the lag of a subscription", () => {
  const lagOf = (name: string) =>
    Effect.map(Metric.snapshot, (metrics) => {
      const metric = metrics.find(({ attributes, id }) =>
        id === "event_bus_subscription_lag_seconds" && attributes?.["subscription"] === name
      )
      return metric?.type === "Gauge" ? metric.state.value : undefined
    })

  const makeTestBus = EventBus.make({ events: [Ping, Pong] })

  it.effect("is the age of its oldest pending event", () =>
    isolated(Effect.gen(function*() {
      const bus = yield* makeTestBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], name: "slow" })
      assert.strictEqual(yield* lagOf("slow"), 0)
      yield* TestClock.adjust("10 seconds")
      yield* bus.publishAll([ping(4000), ping(9000)])
      assert.strictEqual(yield* lagOf("slow"), 6)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* lagOf("slow"), 7)
      yield* subscription.take
      assert.strictEqual(yield* lagOf("slow"), 2)
      yield* subscription.take
      assert.strictEqual(yield* lagOf("slow"), 0)
      yield* bus.publish(ping(10_999))
      assert.strictEqual(yield* lagOf("slow"), 0.001)
    })))

  it.effect("is that of what a full buffer kept", () =>
    isolated(Effect.gen(function*() {
      const bus = yield* makeTestBus
      for (const overflow of ["dropping", "sliding"] as const) {
        yield* bus.subscribe({ kinds: ["Ping"], name: overflow, bufferSize: 2, overflow })
      }
      yield* TestClock.adjust("10 seconds")
      yield* bus.publishAll([ping(1000), ping(2000), ping(3000), ping(4000)])
      assert.deepStrictEqual([yield* lagOf("dropping"), yield* lagOf("sliding")], [9, 7])
    })))

  it.effect("is the greatest of several of one name", () =>
    isolated(Effect.gen(function*() {
      const bus = yield* makeTestBus
      const pages = yield* Effect.forEach([1, 2], () => bus.subscribe({ kinds: ["Ping"], name: "page" }))
      yield* TestClock.adjust("10 seconds")
      yield* bus.publishAll([ping(1000), ping(8000)])
      yield* pages[0]!.take
      assert.strictEqual(yield* lagOf("page"), 9)
    })))

  it.effect("is 0 for an event of the future, and for one that cannot be read", () =>
    isolated(Effect.gen(function*() {
      const bus = yield* makeTestBus
      yield* bus.subscribe({ kinds: ["Ping"], name: "pings" })
      yield* bus.subscribe({ kinds: ["Pong"], name: "pongs" })
      const { proxy, revoke } = Proxy.revocable(pong(1), {})
      yield* bus.publishAll([ping(5000), proxy])
      revoke()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([yield* lagOf("pings"), yield* lagOf("pongs")], [0, 0])
    })))

  it.effect("is 0 for an event whose time cannot be read, or is no time", () =>
    isolated(Effect.gen(function*() {
      const bus = yield* makeTestBus
      yield* bus.subscribe({ kinds: ["Ping"], name: "pings" })
      yield* bus.subscribe({ kinds: ["Pong"], name: "pongs" })
      const { proxy, revoke } = Proxy.revocable({}, {})
      yield* bus.publishAll([
        { _tag: "Ping", occurredAt: proxy } as never,
        { _tag: "Pong", occurredAt: "yesterday" } as never
      ])
      revoke()
      assert.deepStrictEqual([yield* lagOf("pings"), yield* lagOf("pongs")], [0, 0])
    })))
})

describe("the durations of a handler", () => {
  const durationsOf = (name: string) =>
    Effect.map(Metric.snapshot, (metrics) => {
      const metric = metrics.find(({ attributes, id }) =>
        id === "event_bus_subscription_handler_duration_seconds" && attributes?.["subscription"] === name
      )
      return metric?.type === "Histogram" ? metric.state : undefined
    })

  const run = (options: EventBus.Options, handlerOptions: EventBus.HandlerOptions<Ping, "no", never>) =>
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ events: [Ping, Pong], ...options })
      yield* bus.on(
        "Ping",
        ({ n }: Ping) => Effect.andThen(Effect.sleep(n), n === 700 ? Effect.fail("no" as const) : Effect.void),
        {
          name: "slow",
          ...handlerOptions
        }
      )
      yield* bus.publishAll([ping(20), ping(700), ping(2000)])
      for (let i = 0; i < 10; i++) yield* Effect.andThen(TestClock.adjust("1 second"), settle)
      return yield* durationsOf("slow")
    }).pipe(Effect.provide(Logger.layer([])), isolated)

  it.effect("are a histogram, for who asks for it", () =>
    Effect.gen(function*() {
      const state = yield* run({}, { durations: true })
      assert.deepInclude(state, { count: 3, min: 0.02, max: 2 })
      assert.strictEqual(state!.sum.toFixed(3), "2.720")
      assert.deepStrictEqual(
        state!.buckets.map(([boundary]) => boundary),
        // Those that OpenTelemetry's semantic conventions give for `messaging.process.duration`.
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
      )
      assert.deepStrictEqual(state!.buckets.filter(([boundary]) => [0.01, 0.025, 0.5, 0.75, 2.5].includes(boundary)), [
        [0.01, 0],
        [0.025, 1],
        [0.5, 1],
        [0.75, 2],
        [2.5, 3]
      ])
    }))

  it.effect("have all attempts of an event in them, and the pauses between them", () =>
    Effect.gen(function*() {
      const state = yield* run({}, {
        durations: true,
        retry: Schedule.max([Schedule.recurs(1), Schedule.spaced("1 second")])
      })
      assert.deepInclude(state, { count: 3, max: 2.4 })
    }))

  it.effect("may be asked for for the whole bus, and left out for one handler", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* run({ durations: true }, {}))?.count, 3)
      assert.isUndefined(yield* run({ durations: true }, { durations: false }))
    }))

  it.effect("are measured only where they are asked for", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* run({}, {}))
    }))
})

describe("metrics, exported by OTLP", () => {
  it.live("carry the same counters", () =>
    isolated(Effect.scoped(Effect.gen(function*() {
      const bodies: Array<string> = []
      const collector = HttpRouter.serve(
        HttpRouter.add(
          "POST",
          "/v1/metrics",
          Effect.gen(function*() {
            const request = yield* HttpServerRequest.HttpServerRequest
            bodies.push(yield* request.text)
            return HttpServerResponse.empty()
          })
        ),
        { disableLogger: true, disableListenLog: true }
      )
      const server = yield* Layer.build(collector.pipe(Layer.provideMerge(listen)))
      const url = yield* Effect.provideContext(address, server)
      const bus = yield* makeBus()
      yield* bus.subscribe({ kinds: ["Ping"], name: "stuck", bufferSize: 2 })
      yield* bus.publishAll([ping(1), ping(2), ping(3)])
      yield* Effect.gen(function*() {
        const flusher = yield* OtlpExporter.Flusher
        yield* flusher.flush
      }).pipe(Effect.provide(
        OtlpMetrics.layer({ url: `${url}/v1/metrics`, exportInterval: "1 hour", resource: { serviceName: "test" } })
          .pipe(
            Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])
          )
      ))
      interface Point {
        readonly asDouble: number
        readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: { readonly stringValue: string } }>
      }
      interface Exported {
        readonly name: string
        readonly sum?: { readonly isMonotonic: boolean; readonly dataPoints: ReadonlyArray<Point> }
        readonly gauge?: { readonly dataPoints: ReadonlyArray<Point> }
      }
      const exported: ReadonlyArray<Exported> = JSON.parse(bodies[0]!).resourceMetrics[0].scopeMetrics[0].metrics
      const value = (name: string, key: string, is: string) => {
        const metric = exported.find((metric) => metric.name === name)
        return (metric?.sum ?? metric?.gauge)?.dataPoints.find((point) =>
          point.attributes.some((attribute) => attribute.key === key && attribute.value.stringValue === is)
        )?.asDouble
      }
      assert.isTrue(exported.every(({ sum }) => sum?.isMonotonic !== false))
      assert.strictEqual(value("event_bus_published_total", "kind", "Ping"), 3)
      assert.strictEqual(value("event_bus_dropped_total", "bus", "house"), 1)
      assert.strictEqual(value("event_bus_subscription_pending", "subscription", "stuck"), 2)
      assert.strictEqual(value("event_bus_subscription_dropped_total", "subscription", "stuck"), 1)
    }))))
})
