/**
 * Two buses joined by the bridge to a real NATS server: what is published to the near one reaches the subscribers of the far
 * one later.
 */
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Conformance } from "@openwatch/event-bus-conformance"
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import * as NatsServer from "../../packages/event-bus-nats/test/NatsServer.ts"

class Near extends EventBus.Service<Near>()("near", { events: Conformance.events }) {}
class Far extends EventBus.Service<Far>()("far", { events: Conformance.events }) {}

interface Pair {
  readonly near: Near["Service"]
  readonly out: NatsBridge.NatsBridge
  readonly into: NatsBridge.NatsBridge
  /** Between the near bus's shutdown and the far one's. */
  state: "open" | "ending" | "ended"
}

let server: NatsServer.NatsServer
const scope = Scope.makeUnsafe()
const pairs = new Set<Pair>()
let made = 0

/** True once everything that the near bus took is at the far one. */
const hasArrived = ({ into, near, out }: Pair): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const { publishedCount } = yield* near.metrics
    const { export: sent } = yield* out.health
    const { import: received } = yield* into.health
    return sent.offered === publishedCount && sent.buffered === 0 && received.imported === sent.exported
  })

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const untilArrived = (pair: Pair): Effect.Effect<void> =>
  Effect.flatMap(
    hasArrived(pair),
    (isThere) => isThere || !pairs.has(pair) ? Effect.void : Effect.andThen(turn, untilArrived(pair))
  )

const makePair = (mode: "core" | "jetstream") => (options: Conformance.BusOptions) =>
  Effect.gen(function*() {
    const id = made++
    const nearContext = yield* Layer.build(Near.layerWith({}))
    const farContext = yield* Layer.build(Far.layerWith(options))
    const near = Context.get(nearContext, Near)
    const far = Context.get(farContext, Far)
    const common = { servers: server.url, subject: `pair${id}`, mode } as const
    const kinds = ["Red", "Green", "Blue"] as const
    const into = yield* Effect.provideService(
      NatsBridge.make(Far, { ...common, source: `far${id}`, import: kinds }),
      Far,
      far
    )
    const out = yield* Effect.provideService(
      NatsBridge.make(Near, { ...common, source: `near${id}`, export: kinds, bufferSize: 100_000 }),
      Near,
      near
    )
    const pair: Pair = { near, out, into, state: "open" }
    yield* Effect.acquireRelease(Effect.sync(() => pairs.add(pair)), () => Effect.sync(() => pairs.delete(pair)))
    yield* near.awaitShutdown.pipe(
      Effect.andThen(untilArrived(pair)),
      Effect.andThen(far.shutdown),
      Effect.andThen(Effect.sync(() => {
        pair.state = "ended"
      })),
      Effect.forkScoped
    )
    return {
      publish: near.publish,
      publishAll: near.publishAll,
      publishUnsafe: near.publishUnsafe,
      shutdown: Effect.suspend(() => {
        if (pair.state === "open") pair.state = "ending"
        return near.shutdown
      }),
      awaitShutdown: far.awaitShutdown,
      subscribe: far.subscribe,
      on: far.on
    }
  }).pipe(Effect.orDie, Effect.provide(Logger.layer([])))

const harness = (mode: "core" | "jetstream"): Conformance.Harness => ({
  make: makePair(mode),
  // Counters of the two buses are apart, and events arrive later.
  offers: Conformance.capabilities.filter((capability) => capability !== "synchronous" && capability !== "metrics"),
  // A round trip for each step takes its time. A failure names its seed.
  seeds: Array.from({ length: 3 }, () => Math.trunc(Math.random() * 2 ** 31)),
  settle: Effect.suspend(() =>
    Effect.forEach(
      Array.from(pairs),
      (pair) =>
        untilArrived(pair).pipe(Effect.andThen(Effect.whileLoop({
          while: () => pair.state === "ending" && pairs.has(pair),
          body: () => turn,
          step: () => {}
        }))),
      { discard: true }
    )
  )
})

describe.skipIf(!NatsServer.isInstalled)("a bridge over NATS", () => {
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(NatsServer.make(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  for (const mode of ["core", "jetstream"] as const) {
    for (const { name, run } of Conformance.situationsFor(harness(mode))) {
      it.effect(`${mode}: ${name}`, () => run(harness(mode)))
    }
  }
})
