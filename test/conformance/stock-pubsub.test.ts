import { assert, describe, it } from "@effect/vitest"
import { Conformance } from "@openwatch/event-bus-conformance"
import { Effect, Exit } from "effect"
import { failures, type StockOptions, stockPubSub, withEnd, withLazyStreams } from "./stock-pubsub.ts"

const names = (list: ReadonlyArray<{ readonly situation: string }>): ReadonlyArray<string> =>
  list.map(({ situation }) => situation)

const failing = (policy: "dropping" | "sliding"): ReadonlyArray<string> =>
  names(failures.filter(({ policies }) => policies === undefined || policies.includes(policy)))

/** The names of the situations that a bus fails. */
const failuresOf = (options: StockOptions): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const harness = stockPubSub(options)
    const failed: Array<string> = []
    for (const { name, run } of Conformance.situationsFor(harness)) {
      if (Exit.isFailure(yield* Effect.exit(run(harness)))) failed.push(name)
    }
    return failed
  })

const slow = { timeout: 120_000 }

for (const overflow of ["dropping", "sliding"] as const) {
  describe(`PubSub.${overflow}, shared`, () => {
    const harness = stockPubSub({ overflow, ending: "shutdown", streams: "eager" })
    const expected = failing(overflow)
    const situations = Conformance.situationsFor(harness)

    it("is put in every situation that it is said to fail", () => {
      assert.deepStrictEqual(expected.filter((name) => !situations.some((situation) => situation.name === name)), [])
    })

    for (const { name, run } of situations) {
      if (expected.includes(name)) {
        it.effect(`fails: ${name}`, () =>
          Effect.gen(function*() {
            assert.instanceOf(yield* Effect.flip(run(harness)), Conformance.ConformanceFailure)
          }))
      } else it.effect(name, () => run(harness), 60_000)
    }

    it.effect("with PubSub.end keeps what is buffered at shutdown, and fails the rest", () =>
      Effect.gen(function*() {
        const found = yield* failuresOf({ overflow, ending: "end", streams: "eager" })
        const kept = withEnd.passes(overflow)
        assert.sameMembers([...found], [...expected.filter((name) => !kept.includes(name)), ...names(withEnd.fails)])
      }), slow)

    it.effect("with streams that are subscribed when first read fails more", () =>
      Effect.gen(function*() {
        const found = yield* failuresOf({ overflow, ending: "shutdown", streams: "lazy" })
        assert.sameMembers([...found], [...new Set([...expected, ...names(withLazyStreams)])])
      }), slow)
  })
}
