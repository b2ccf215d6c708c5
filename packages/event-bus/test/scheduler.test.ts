import { assert, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Effect, Fiber, Scheduler, Scope } from "effect"
import { makeSchedule } from "../src/internal/scheduler.ts"
import { Ping, ping } from "./fixture.ts"

it("a task that throws takes nothing from those after it, nor from those that they schedule", () => {
  const turns: Array<() => void> = []
  const schedule = makeSchedule({
    scheduleTask: (task, priority) => {
      // That of fibers, which it takes turns with.
      assert.strictEqual(priority, 0)
      turns.push(task)
    },
    flush: () => {}
  })
  const log: Array<string> = []
  const logging = (what: string) => (): void => void log.push(what)
  schedule(() => {
    schedule(logging("scheduled meanwhile"))
    throw new Error("first")
  })
  schedule(logging("second"))
  schedule(() => {
    throw new Error("third")
  })
  schedule(logging("fourth"))
  assert.strictEqual(turns.length, 1)
  for (const turn of turns) {
    try {
      turn()
    } catch (error) {
      log.push(`thrown: ${(error as Error).message}`)
    }
  }
  assert.deepStrictEqual(log, ["thrown: first", "second", "thrown: third", "fourth", "scheduled meanwhile"])
})

it("a bus that was made synchronously leaves turns to the rest of the process", async () => {
  const last = 100_000
  let handled = 0
  const bus = Effect.runSync(
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ name: "test", events: [Ping] })
      yield* bus.on("Ping", ({ n }) => {
        handled = n
        return n < last ? bus.publish(ping(n + 1)) : Effect.void
      })
      return bus
    }).pipe(Scope.provide(Scope.makeUnsafe()))
  )
  bus.publishUnsafe(ping(1))
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  assert.isBelow(handled, last)
  Effect.runSync(bus.shutdown)
})

it.effect("wake-ups are tasks of the scheduler that was current when the bus was made", () =>
  Effect.gen(function*() {
    const inner = new Scheduler.MixedScheduler()
    let tasks = 0
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => inner.shouldYield(fiber),
      makeDispatcher: () => {
        const dispatcher = inner.makeDispatcher()
        return {
          scheduleTask: (task, priority) => {
            tasks++
            dispatcher.scheduleTask(task, priority)
          },
          flush: () => dispatcher.flush()
        }
      }
    }
    const bus = yield* Effect.provideService(
      EventBus.make({ name: "test", events: [Ping] }),
      Scheduler.Scheduler,
      scheduler
    )
    const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
    const taker = yield* Effect.forkChild(subscription.take, { startImmediately: true })
    const before = tasks
    yield* bus.publish(ping(1))
    assert.strictEqual(tasks, before + 1)
    yield* Fiber.join(taker)
  }))
