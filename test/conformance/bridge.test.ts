/**
 * Two buses joined by a channel that carries text, as a bridge between processes does: what is published to the near one
 * reaches the subscribers of the far one later.
 */
import { describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Conformance } from "@openwatch/event-bus-conformance"
import { Effect, Schema, Stream } from "effect"
import { MessageChannel } from "node:worker_threads"

const EventText = Schema.fromJsonString(Schema.toCodecJson(Schema.Union(Conformance.events)))
const encode = Schema.encodeSync(EventText)
const decode = Schema.decodeSync(EventText)

/** Messages that were sent and have not arrived, over all bridges. */
let inFlight = 0
const waiting: Array<() => void> = []

const makeBridge = (options: Conformance.BusOptions) =>
  Effect.gen(function*() {
    const near = yield* EventBus.make({ name: "near", events: Conformance.events })
    const far = yield* EventBus.make({ ...options, name: "far", events: Conformance.events })
    const { port1, port2 } = new MessageChannel()
    yield* Effect.addFinalizer(() => Effect.sync(() => port1.close()))
    const send = (message: string | null): void => {
      inFlight++
      port1.postMessage(message)
    }
    port2.on("message", (message: string | null) => {
      if (message === null) Effect.runFork(far.shutdown)
      else far.publishUnsafe(decode(message))
      if (--inFlight === 0) { for (const arrived of waiting.splice(0)) arrived() }
    })
    const crossing = yield* near.subscribe({ kinds: ["Red", "Green", "Blue"], bufferSize: 1_000_000 })
    yield* Stream.runForEach(crossing.stream, (event) => Effect.sync(() => send(encode(event)))).pipe(
      Effect.andThen(Effect.sync(() => send(null))),
      Effect.forkScoped
    )
    return {
      publish: near.publish,
      publishAll: near.publishAll,
      publishUnsafe: near.publishUnsafe,
      shutdown: near.shutdown,
      awaitShutdown: far.awaitShutdown,
      subscribe: far.subscribe,
      on: far.on
    }
  })

const harness: Conformance.Harness = {
  make: makeBridge,
  offers: Conformance.capabilities.filter((capability) => capability !== "synchronous" && capability !== "metrics"),
  settle: Effect.callback((resume) => {
    if (inFlight === 0) resume(Effect.void)
    else waiting.push(() => resume(Effect.void))
  }),
  // The channel is what takes the time here: the bus itself is put through more.
  seeds: [1, 2, 3, 4]
}

describe("a bridge", () => {
  for (const { name, run } of Conformance.situationsFor(harness)) it.effect(name, () => run(harness), 60_000)
})
