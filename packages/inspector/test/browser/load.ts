/**
 * What the page costs whoever has it open: 2,000 hosts, 300 alerts and 100 events a second, in a real browser. Prints for the
 * fleet and for the bus how much of one core the page's thread takes, and how many tasks held it for 50 ms and more.
 * `npm run page:load -w @openwatch/inspector`.
 */
import { NodeRuntime } from "@effect/platform-node"
import type { FleetView } from "@openwatch/inspector"
import { Console, DateTime, Effect, Layer, Schedule } from "effect"
import { ping, port, server, TestBus } from "../fixture.ts"
import { Browser, openPage, see } from "./browser.ts"

const hostCount = 2_000
const alertCount = 300
const eventsEach10th = 10
const seconds = 30
const views = { fleet: "#/", bus: "#/bus" }

const states = ["reachable", "reachable", "reachable", "unreachable"] as const
const hosts = Array.from({ length: hostCount }, (_, n) => ({
  id: `host-${n}`,
  name: `web-${String(n).padStart(4, "0")}.example.org`,
  endpoint: `192.0.2.${n % 250}:22`,
  state: states[n % states.length]!,
  since: DateTime.makeUnsafe(0),
  reason: null,
  responseTimeMs: 4,
  score: 70 + n % 30
}))
/** Every read finds one host changed: a fleet of this size is never at rest. */
let read = 0
const fleet: FleetView["Service"] = {
  hosts: Effect.sync(() => {
    const changed = read++ % hostCount
    return hosts.with(changed, { ...hosts[changed]!, responseTimeMs: read })
  }),
  openAlerts: Effect.succeed(Array.from({ length: alertCount }, (_, n) => ({
    id: String(n),
    type: "host_unreachable",
    severity: "high" as const,
    hostId: `host-${4 * n + 3}`,
    title: "Host is unreachable",
    occurredAt: DateTime.makeUnsafe(0)
  }))),
  scores: () => Effect.succeed([])
}

const program = Effect.gen(function*() {
  const bus = yield* TestBus
  const { page } = yield* openPage(`http://127.0.0.1:${yield* port}/`)
  yield* see(page, ".status", "Live")
  yield* see(page, ".alerts li", "Host is unreachable")
  const session = yield* Effect.promise(() => page.context().newCDPSession(page))
  yield* Effect.promise(() => session.send("Performance.enable", { timeDomain: "threadTicks" }))
  yield* Effect.promise(() =>
    page.evaluate(`
    globalThis.longTasks = 0
    new PerformanceObserver((list) => { globalThis.longTasks += list.getEntries().length }).observe({ type: "longtask" })
  `)
  )
  const busySeconds = Effect.promise(async () => {
    const { metrics } = await session.send("Performance.getMetrics")
    return metrics.find(({ name }) => name === "TaskDuration")!.value
  })
  let n = 0
  yield* Effect.sync(() => {
    for (let i = 0; i < eventsEach10th; i++) bus.publishUnsafe(ping(`event number ${n++} of what is published here`))
  }).pipe(Effect.repeat(Schedule.fixed("100 millis")), Effect.forkScoped)
  for (const [name, address] of Object.entries(views)) {
    yield* Effect.promise(() => page.evaluate(`location.hash = "${address}"`))
    // Until the list is full: after that each event takes another's place.
    yield* Effect.sleep("5 seconds")
    const before = yield* busySeconds
    yield* Effect.promise(() => page.evaluate("globalThis.longTasks = 0"))
    yield* Effect.sleep(`${seconds} seconds`)
    const share = ((yield* busySeconds) - before) / seconds
    const longTasks = yield* Effect.promise(() => page.evaluate<number>("globalThis.longTasks"))
    yield* Console.log(
      `${name}: ${hostCount} hosts, ${alertCount} alerts, ${eventsEach10th * 10} events a second, for ${seconds} s: ` +
        `${(share * 100).toFixed(1)} % of one core, ${longTasks} tasks of 50 ms and more`
    )
  }
})

program.pipe(
  Effect.scoped,
  Effect.provide(Layer.mergeAll(Browser.layer, server({ fleet }))),
  NodeRuntime.runMain
)
