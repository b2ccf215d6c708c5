/**
 * Storing in groups: what comes while a transaction runs shares the next one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Scope, Semaphore } from "effect"
import { inGroups } from "../../src/storage/inGroups.ts"

/** Stores numbers, a transaction at a time, each as long as the latch is closed. */
const make = Effect.gen(function*() {
  const transactions: Array<ReadonlyArray<number>> = []
  const stored: Array<number> = []
  const latch = yield* Latch.make(true)
  const turn = yield* Semaphore.make(1)
  const store = inGroups(yield* Effect.scope, turn, (items: ReadonlyArray<number>) =>
    Effect.gen(function*() {
      transactions.push(items)
      yield* latch.await
      if (items.includes(13)) return yield* Effect.fail("unlucky")
      stored.push(...items)
      return undefined
    }))
  const all = (items: ReadonlyArray<number>) =>
    Effect.forEach(items, (item) => Effect.exit(store(item)), { concurrency: "unbounded" })
  return { transactions, stored, latch, store, all }
})

const turns = Effect.repeat(Effect.yieldNow, { times: 10 })

describe("storing in groups", () => {
  it.effect("one alone is stored without waiting for others", () =>
    Effect.gen(function*() {
      const { store, transactions } = yield* make
      yield* store(1)
      assert.deepStrictEqual(transactions, [[1]])
    }))

  it.effect("what comes at once is stored together", () =>
    Effect.gen(function*() {
      const { all, transactions } = yield* make
      yield* all([1, 2, 3])
      assert.deepStrictEqual(transactions, [[1, 2, 3]])
    }))

  it.effect("what comes while a transaction runs is stored together in the next one", () =>
    Effect.gen(function*() {
      const { all, latch, store, transactions } = yield* make
      yield* latch.close
      const fibers = [yield* Effect.forkChild(store(1))]
      yield* turns
      for (const item of [2, 3, 4]) {
        fibers.push(yield* Effect.forkChild(store(item)))
        yield* turns
      }
      assert.deepStrictEqual(transactions, [[1]])
      yield* latch.open
      yield* Fiber.joinAll(fibers)
      yield* all([5, 6])
      assert.deepStrictEqual(transactions, [[1], [2, 3, 4], [5, 6]])
    }))

  it.effect("a group has a hundred at most", () =>
    Effect.gen(function*() {
      const { all, transactions } = yield* make
      yield* all(Array.from({ length: 250 }, (_, n) => n + 100))
      assert.deepStrictEqual(transactions.map(({ length }) => length), [100, 100, 50])
    }))

  it.effect("one that cannot be stored keeps no other from it", () =>
    Effect.gen(function*() {
      const { all, stored } = yield* make
      const exits = yield* all([12, 13, 14])
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      assert.sameMembers(stored, [12, 14])
    }))

  it.effect("one alone that cannot be stored is not tried again", () =>
    Effect.gen(function*() {
      const { store, transactions } = yield* make
      assert.strictEqual(yield* Effect.flip(store(13)), "unlucky")
      assert.deepStrictEqual(transactions, [[13]])
    }))

  it.effect("an interruption ends the wait, and not what is being stored for it and others", () =>
    Effect.gen(function*() {
      const { latch, store, stored } = yield* make
      yield* latch.close
      const first = yield* Effect.forkChild(store(1))
      const second = yield* Effect.forkChild(store(2))
      yield* turns
      yield* Fiber.interrupt(first)
      yield* latch.open
      yield* Fiber.join(second)
      assert.deepStrictEqual(stored, [1, 2])
    }))

  it.effect("the end of the scope ends the transaction, and every wait for it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { latch, store, stored } = yield* Effect.provideService(make, Scope.Scope, scope)
      yield* latch.close
      const fibers = [yield* Effect.forkChild(store(1))]
      yield* turns
      fibers.push(yield* Effect.forkChild(store(2)), yield* Effect.forkChild(store(3)))
      yield* turns
      yield* Scope.close(scope, Exit.void)
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      assert.deepStrictEqual(exits.map(Exit.hasInterrupts), [true, true, true])
      assert.deepStrictEqual(stored, [])
    }))
})
