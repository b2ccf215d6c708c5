import { assert, describe, it } from "@effect/vitest"
import { Reachability } from "@openwatch/openwatch"
import { Effect, Schema } from "effect"

const minute = 60_000
const hour = 60 * minute

/** Some day: what is right only at the beginning of time is wrong. */
const start = Date.UTC(2026, 10, 26)

/** The transitions that a sequence of probes, an hour apart, causes: each with the number of the probe, from 0. */
const transitions = (answers: ReadonlyArray<boolean>, failureThreshold = 2) => {
  let reachability = Reachability.unknown
  return answers.flatMap((answered, probe) => {
    const judgement = { failureThreshold, changesPerHour: 4 }
    const [next, transition] = Reachability.afterProbe(reachability, answered, probe * hour, judgement)
    reachability = next
    if (transition === undefined) return []
    const { priorReachable, reachable } = transition
    return [{ probe, reachable, priorReachable }]
  })
}

/** The changes of a host that answers at the first of these minutes, not at the next, and so on. */
const changesAt = (...minutes: ReadonlyArray<number>) => {
  let reachability = Reachability.unknown
  return minutes.map((at, i) => {
    const judgement = { failureThreshold: 1, changesPerHour: 4 }
    const [next, transition] = Reachability.afterProbe(reachability, i % 2 === 0, start + at * minute, judgement)
    reachability = next
    return transition?.change
  })
}

const yes = true
const no = false

describe("Reachability", () => {
  it("the first success is a first sighting", () => {
    assert.deepStrictEqual(transitions([yes]), [{ probe: 0, reachable: true, priorReachable: null }])
  })

  it("one failure settles nothing", () => {
    assert.deepStrictEqual(transitions([no]), [])
  })

  it("two failures of a host never seen are a first sighting", () => {
    assert.deepStrictEqual(transitions([no, no]), [{ probe: 1, reachable: false, priorReachable: null }])
  })

  it("a success after one failure is a first sighting", () => {
    assert.deepStrictEqual(transitions([no, yes]), [{ probe: 1, reachable: true, priorReachable: null }])
  })

  it("what confirms the verdict is no transition", () => {
    assert.deepStrictEqual(transitions([yes, yes, yes]).length, 1)
    assert.deepStrictEqual(transitions([no, no, no, no, no]).length, 1)
  })

  it("one failure between successes changes nothing", () => {
    assert.deepStrictEqual(transitions([yes, no, yes, no, yes]).length, 1)
  })

  it("two failures in a row lose a reachable host", () => {
    assert.deepStrictEqual(transitions([yes, no, no]), [
      { probe: 0, reachable: true, priorReachable: null },
      { probe: 2, reachable: false, priorReachable: true }
    ])
  })

  it("one success recovers it", () => {
    assert.deepStrictEqual(transitions([no, no, yes]), [
      { probe: 1, reachable: false, priorReachable: null },
      { probe: 2, reachable: true, priorReachable: false }
    ])
  })

  it("the threshold is what it is set to", () => {
    assert.deepStrictEqual(transitions([yes, no], 1).at(-1), { probe: 1, reachable: false, priorReachable: true })
    assert.deepStrictEqual(transitions([yes, no, no, no], 4).length, 1)
    assert.deepStrictEqual(transitions([yes, no, no, no, no], 4).at(-1), {
      probe: 4,
      reachable: false,
      priorReachable: true
    })
  })

  it("more changes within an hour than are allowed are flapping", () => {
    assert.deepStrictEqual(changesAt(0, 1, 2, 3, 4, 60.9), [
      "reachable",
      "unreachable",
      "reachable",
      "unreachable",
      "reachable",
      "flapping"
    ])
  })

  it("a change counts for an hour", () => {
    assert.strictEqual(changesAt(0, 1, 2, 3, 4, 61).at(-1), "unreachable")
  })

  it("a host that keeps its state for half an hour is steady", () => {
    const flapping = { ...Reachability.unknown, verdict: "reachable", since: start, isFlapping: true } as const
    const after = (minutes: number) => Reachability.afterProbe(flapping, yes, start + minutes * minute)[1]?.change
    assert.strictEqual(after(29.9), undefined)
    assert.strictEqual(after(30), "steady")
  })

  it("is settled when the last probes agree with the verdict", () => {
    const after = (answers: ReadonlyArray<boolean>) =>
      answers.reduce((prior, answered) => Reachability.afterProbe(prior, answered, 0)[0], Reachability.unknown)
    assert.isFalse(Reachability.isSettled(after([])))
    assert.isFalse(Reachability.isSettled(after([no])))
    assert.isTrue(Reachability.isSettled(after([yes])))
    assert.isTrue(Reachability.isSettled(after([no, no])))
    assert.isFalse(Reachability.isSettled(after([yes, no])))
    assert.isTrue(Reachability.isSettled(after([yes, no, yes])))
  })

  // Read off the whole history instead of step by step: the verdict is that of the last probe which alone, or as the end
  // of a row of failures, could give one.
  it.effect.prop(
    "any history: the verdict follows the rule, and transitions are its changes",
    [Schema.Array(Schema.Boolean), Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))],
    ([answers, failureThreshold]) =>
      Effect.sync(() => {
        const verdictAfter = (count: number): boolean | null => {
          for (let end = count; end > 0; end--) {
            if (answers[end - 1]) return true
            if (end >= failureThreshold && !answers.slice(end - failureThreshold, end).includes(true)) return false
          }
          return null
        }
        const expected = answers.flatMap((_, probe) => {
          const [before, after] = [verdictAfter(probe), verdictAfter(probe + 1)]
          return before === after ? [] : [{ probe, reachable: after === true, priorReachable: before }]
        })
        assert.deepStrictEqual(transitions(answers, failureThreshold), expected)
      })
  )
})
