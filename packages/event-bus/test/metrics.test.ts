import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Effect, Exit, Layer, Metric, Scope } from "effect"
import { FetchHttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { OtlpExporter, OtlpMetrics, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

const makeBus = (options: EventBus.Options = {}) => EventBus.make({ name: "house", events: [Ping, Pong], ...options })

/** A registry of the test's own, so that tests do not see each other's series. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const listen = NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })

const address = Effect.map(HttpServer.HttpServer, (server) => HttpServer.formatAddress(server.address))

/** The samples of a scrape, one line each, without the comments. */
const scrape = Effect.gen(function*() {
  const url = yield* address
  const text = yield* Effect.promise(() => fetch(`${url}/metrics`).then((response) => response.text()))
  return text.split("\n").filter((line) => line.startsWith("event_bus")).toSorted()
})

const served = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  isolated(Effect.scoped(Effect.flatMap(
    Layer.build(
      HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true })
        .pipe(Layer.provideMerge(listen))
    ),
    (context) => Effect.provideContext(effect, context)
  )))

describe("metrics, scraped by Prometheus", () => {
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
        readonly sum?: { readonly dataPoints: ReadonlyArray<Point> }
        readonly gauge?: { readonly dataPoints: ReadonlyArray<Point> }
      }
      const exported: ReadonlyArray<Exported> = JSON.parse(bodies[0]!).resourceMetrics[0].scopeMetrics[0].metrics
      const value = (name: string, key: string, is: string) => {
        const metric = exported.find((metric) => metric.name === name)
        return (metric?.sum ?? metric?.gauge)?.dataPoints.find((point) =>
          point.attributes.some((attribute) => attribute.key === key && attribute.value.stringValue === is)
        )?.asDouble
      }
      assert.strictEqual(value("event_bus_published_total", "kind", "Ping"), 3)
      assert.strictEqual(value("event_bus_dropped_total", "bus", "house"), 1)
      assert.strictEqual(value("event_bus_subscription_pending", "subscription", "stuck"), 2)
      assert.strictEqual(value("event_bus_subscription_dropped_total", "subscription", "stuck"), 1)
    }))))
})
