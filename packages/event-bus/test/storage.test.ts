import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Cursor, type CursorOptions, Storage } from "../src/internal/storage.ts"
import { type PlainCursor, PlainStorage } from "./reference/PlainStorage.ts"

/** `STORAGE_SEQUENCES=1000000` for a longer run; `STORAGE_SEED`, as a failure prints it, for the same sequences again. */
const { STORAGE_SEED, STORAGE_SEQUENCES = "10000" } = process.env

const kinds = ["A", "B", "C"] as const
type Kind = (typeof kinds)[number]

/** The items are numbers; their fields, of several types, are made of them. */
const eventOf = (item: number): object => ({
  parity: item % 2 === 0 ? "even" : "odd",
  third: item % 3 === 0 ? Number.NaN : item % 3,
  isFifth: item % 5 === 0
})

/** Subscriptions and waiters are named by their place among those there are, counted round and round. */
type Step =
  | { readonly type: "subscribe"; readonly isElsewhere: boolean; readonly options: CursorOptions<Kind> }
  | { readonly type: "publish"; readonly kind: Kind; readonly count: number }
  | { readonly type: "turn" | "shutdown" }
  | { readonly type: "poll" | "look" | "closeIntake" | "leave" | "close"; readonly subscription: number }
  | { readonly type: "pollUpTo"; readonly subscription: number; readonly count: number }
  | { readonly type: "wait"; readonly subscription: number; readonly count: number; readonly throws: boolean }
  | { readonly type: "stopWaiting"; readonly waiter: number }

interface Scenario {
  /** Events of each kind that are kept for later subscriptions. */
  readonly replay: number
  /** What most subscriptions are to, so that they share a log. */
  readonly kinds: ReadonlyArray<Kind>
  /** What most of them ask for. */
  readonly where: CursorOptions<Kind>["where"]
  /** Events in that log before the first step: where the ends of its chunks are met. */
  readonly start: number
  readonly steps: ReadonlyArray<Step>
}

/** Small numbers, and those around powers of two: the length of a chunk is one. */
const size = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 3, arbitrary: fc.constantFrom(7, 8, 127, 128, 129) },
  { weight: 2, arbitrary: fc.constantFrom(255, 256, 257) }
)

const step = (
  weight: number,
  types: ReadonlyArray<Step["type"]>,
  properties: Readonly<Record<string, fc.Arbitrary<unknown>>>
) => ({ weight, arbitrary: fc.record({ type: fc.constantFrom(...types), ...properties }) as fc.Arbitrary<Step> })

const subscription = fc.nat(3)

const where = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<CursorOptions<Kind>["where"]>(
      {},
      { parity: "even" },
      { parity: "odd" },
      { parity: "neither" },
      { third: Number.NaN },
      { third: "1" },
      { third: 1, parity: "even" },
      { parity: "even", third: 2 },
      { third: 1, isFifth: false, parity: "odd" }
    )
  }
)

const subscribe = step(12, ["subscribe"], {
  isElsewhere: fc.constantFrom(false, false, false, true),
  options: fc.record({
    kinds: fc.subarray([...kinds]),
    where,
    bufferSize: size,
    overflow: fc.constantFrom("dropping", "sliding"),
    replay: fc.nat(5)
  })
})

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  subscribe,
  step(40, ["publish"], { kind: fc.constantFrom(...kinds), count: size }),
  step(16, ["poll", "look"], { subscription }),
  step(16, ["pollUpTo"], { subscription, count: fc.oneof(size, fc.constantFrom(0, Number.POSITIVE_INFINITY)) }),
  step(16, ["wait"], { subscription, count: size, throws: fc.constantFrom(false, false, false, true) }),
  step(10, ["stopWaiting"], { waiter: fc.nat(3) }),
  step(12, ["turn"], {}),
  step(6, ["closeIntake", "leave", "close"], { subscription }),
  step(1, ["shutdown"], {})
)

/** Many who wait, and little to wait for. */
const waitingStep: fc.Arbitrary<Step> = fc.oneof(
  subscribe,
  step(20, ["publish"], { kind: fc.constantFrom(...kinds), count: fc.constant(1) }),
  step(40, ["wait"], { subscription, count: fc.integer({ min: 1, max: 3 }), throws: fc.boolean() }),
  step(20, ["stopWaiting"], { waiter: fc.nat(3) }),
  step(20, ["turn"], {}),
  step(4, ["poll", "closeIntake", "leave", "close"], { subscription })
)

const scenario: fc.Arbitrary<Scenario> = fc.record({
  replay: fc.nat(5),
  kinds: fc.subarray([...kinds], { minLength: 1 }),
  where,
  start: fc.tuple(fc.constantFrom(8, 40, 168, 424, 680), fc.integer({ min: -8, max: 1 })).map(([a, b]) => a + b),
  steps: fc.oneof(
    { weight: 3, arbitrary: fc.array(anyStep, { maxLength: 30, size: "max" }) },
    { weight: 1, arbitrary: fc.array(waitingStep, { maxLength: 30, size: "max" }) }
  )
})

const offer = <K extends string, A>(storage: Storage<K, A>, kind: K, item: A): void => {
  const route = storage.route(kind)!
  storage.publish(route, item, storage.match(route, item))
}

/** What is thrown by a taker, not by an assertion. */
const takerFailure = new Error("The taker failed")

type Counters = Pick<
  Cursor<number>,
  "delivered" | "discarded" | "dropped" | "isEnded" | "isOpen" | "offered" | "pending" | "taken"
>

const counters = ({ delivered, discarded, dropped, isEnded, isOpen, offered, pending, taken }: Counters): Counters => ({
  delivered,
  discarded,
  dropped,
  isEnded,
  isOpen,
  offered,
  pending,
  taken
})

/** One subscription, in both storages. */
class Subscription {
  readonly fast: Cursor<number>
  readonly plain: PlainCursor<Kind, number>
  readonly waiters: Array<{ readonly name: number; readonly count: number; readonly stop: () => void }> = []
  readonly served: Array<readonly [waiter: number, items: ReadonlyArray<number>]> = []

  constructor(fast: Cursor<number>, plain: PlainCursor<Kind, number>) {
    this.fast = fast
    this.plain = plain
  }

  /** Those who wait are served, in the order of waiting, as far as there is something for them. */
  assertServed(): void {
    const due: typeof this.served = []
    for (const { count, name } of this.waiters) {
      if (this.plain.isOpen && this.plain.pending < count) break
      due.push([name, this.plain.pollUpTo(count)])
    }
    this.waiters.splice(0, due.length)
    assert.deepStrictEqual(this.served.splice(0), due)
  }

  assertCounters(): void {
    assert.deepStrictEqual(counters(this.fast), counters(this.plain))
    assert.deepStrictEqual(this.fast.collectLosses(), this.plain.collectLosses())
  }
}

/** Takes the steps with both storages, and finds no difference. */
const compare = (scenario: Scenario): void => {
  const { replay } = scenario
  const tasks: Array<() => void> = []
  const fast = new Storage<Kind, number>(kinds, replay, (task) => void tasks.push(task), eventOf)
  const plain = new PlainStorage<Kind, number>(replay, eventOf)
  const subscriptions: Array<Subscription> = []
  let items = 0
  let waiting = 0
  let isTurn = false

  const subscribe = (options: CursorOptions<Kind>): void => {
    subscriptions.push(new Subscription(fast.subscribe(options), plain.subscribe(options)))
  }

  const publish = (kind: Kind, count: number): void => {
    for (let i = 0; i < count; i++) {
      const item = ++items
      offer(fast, kind, item)
      plain.publish(kind, item)
    }
  }

  const turn = (): void => {
    isTurn = true
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
      try {
        task()
      } catch (error) {
        if (error !== takerFailure) throw error
      }
    }
    isTurn = false
    for (const subscription of subscriptions) subscription.assertServed()
  }

  const wait = ({ fast, served, waiters }: Subscription, count: number, throws: boolean): void => {
    const name = ++waiting
    const waiter = {
      count,
      run: () => {
        assert.isTrue(isTurn, "A waiter ran before its turn")
        served.push([name, fast.pollUpTo(count)])
        if (throws) throw takerFailure
      }
    }
    fast.wait(waiter)
    waiters.push({ name, count, stop: () => fast.cancel(waiter) })
  }

  subscribe({ kinds: scenario.kinds, where: scenario.where, bufferSize: 1, overflow: "dropping", replay: 0 })
  publish(scenario.kinds[0]!, scenario.start)

  for (const step of scenario.steps) {
    switch (step.type) {
      case "subscribe": {
        subscribe({
          ...step.options,
          kinds: step.isElsewhere ? step.options.kinds : scenario.kinds,
          where: step.isElsewhere ? step.options.where : scenario.where,
          replay: Math.min(step.options.replay, replay, step.options.bufferSize)
        })
        break
      }
      case "publish": {
        publish(step.kind, step.count)
        break
      }
      case "turn": {
        turn()
        break
      }
      case "shutdown": {
        for (const subscription of subscriptions) {
          subscription.fast.closeIntake()
          subscription.plain.closeIntake()
        }
        break
      }
      case "stopWaiting": {
        const all = subscriptions.flatMap(({ waiters }) => waiters.map((waiter) => ({ waiter, waiters })))
        if (all.length === 0) break
        const { waiter, waiters } = all[step.waiter % all.length]!
        waiters.splice(waiters.indexOf(waiter), 1)
        waiter.stop()
        break
      }
      default: {
        const subscription = subscriptions[step.subscription % subscriptions.length]!
        switch (step.type) {
          case "poll": {
            assert.strictEqual(subscription.fast.poll(), subscription.plain.poll())
            break
          }
          case "pollUpTo": {
            assert.deepStrictEqual(subscription.fast.pollUpTo(step.count), subscription.plain.pollUpTo(step.count))
            break
          }
          case "look": {
            subscription.assertCounters()
            break
          }
          case "wait": {
            wait(subscription, Math.min(step.count, subscription.fast.capacity), step.throws)
            break
          }
          case "closeIntake":
          case "leave":
          case "close": {
            subscription.fast[step.type]()
            subscription.plain[step.type]()
          }
        }
      }
    }
  }

  turn()
  for (const subscription of subscriptions) {
    subscription.assertCounters()
    assert.deepStrictEqual(
      subscription.fast.pollUpTo(Number.POSITIVE_INFINITY),
      subscription.plain.pollUpTo(Number.POSITIVE_INFINITY)
    )
    subscription.assertCounters()
  }
  for (const kind of kinds) {
    assert.strictEqual(fast.routes.get(kind)!.published, plain.published(kind))
    assert.strictEqual(fast.routes.get(kind)!.unmatched, plain.unmatched(kind))
  }
}

describe("the storage does what a stock PubSub for each subscription does", () => {
  it(
    `in ${STORAGE_SEQUENCES} random sequences`,
    { timeout: 60_000 + Number(STORAGE_SEQUENCES) * 50 },
    () => {
      const result = fc.check(fc.property(scenario, compare), {
        numRuns: Number(STORAGE_SEQUENCES),
        ...STORAGE_SEED === undefined ? {} : { seed: Number(STORAGE_SEED) }
      })
      assert.isFalse(result.failed, fc.defaultReportMessage(result))
    }
  )

  it("for a crowd that shares a log and that nobody looks at", () => {
    const fast = new Storage<Kind, number>(kinds, 0, () => {}, eventOf)
    const plain = new PlainStorage<Kind, number>(0, eventOf)
    const crowd = Array.from({ length: 600 }, (_, index) => {
      const options: CursorOptions<Kind> = {
        kinds: ["A"],
        bufferSize: 1 + index % 3,
        overflow: index % 2 === 0 ? "sliding" : "dropping",
        replay: 0
      }
      return new Subscription(fast.subscribe(options), plain.subscribe(options))
    })
    for (let item = 1; item <= 700; item++) {
      offer(fast, "A", item)
      plain.publish("A", item)
    }
    for (const subscription of crowd) {
      subscription.assertCounters()
      assert.deepStrictEqual(subscription.fast.pollUpTo(3), subscription.plain.pollUpTo(3))
    }
  })
})

/** How many events something keeps alive; they are symbols, as nothing else in it is. */
const eventsHeldBy = (root: object): number => {
  const seen = new Set<unknown>([root])
  let items = 0
  for (const value of seen) {
    if (typeof value === "symbol") items++
    else if (value instanceof Map || value instanceof Set) { for (const entry of value) seen.add(entry) }
    else if (typeof value === "object" && value !== null) { for (const field of Object.values(value)) seen.add(field) }
  }
  return items
}

it("events of a thousand chunks are taken at once, in order", () => {
  const storage = new Storage<"A", number>(["A"], 0, () => {}, eventOf)
  const cursor = storage.subscribe({ kinds: ["A"], bufferSize: 300_000, overflow: "dropping", replay: 0 })
  const items = Array.from({ length: 300_000 }, (_, item) => item)
  for (const item of items) offer(storage, "A", item)
  assert.deepStrictEqual(cursor.pollUpTo(Number.POSITIVE_INFINITY), items)
})

it("cursors that join all the time do not keep a stuck one from being settled", () => {
  const storage = new Storage<"A", number>(["A"], 0, () => {}, eventOf)
  const options = { kinds: ["A"], bufferSize: 1, overflow: "dropping", replay: 0 } as const
  const stuck = storage.subscribe(options)
  let losses = 0
  stuck.losses = { onLoss: () => losses++ }
  for (let item = 0; item < 100; item++) {
    offer(storage, "A", item)
    storage.subscribe(options)
  }
  assert.strictEqual(losses, 1)
})

it("the oldest event of a full buffer is one that it still holds, also when nobody has looked for long", () => {
  const storage = new Storage<"A", number>(["A"], 0, () => {}, eventOf)
  const options = { kinds: ["A"], bufferSize: 1, overflow: "sliding", replay: 0 } as const
  const crowd = Array.from({ length: 9 }, () => storage.subscribe(options))
  for (const item of [1, 2, 3]) offer(storage, "A", item)
  assert.deepStrictEqual(crowd.map(({ oldest }) => oldest), crowd.map(() => 3))
})

it("what is pending when a cursor takes no more stays in the log, though its slots would do for what others read", () => {
  const storage = new Storage<"A", number>(["A"], 0, () => {}, eventOf)
  const options = { kinds: ["A"], bufferSize: 100, overflow: "dropping", replay: 0 } as const
  const [closed, fast] = [storage.subscribe(options), storage.subscribe(options)]
  const items = Array.from({ length: 8 }, (_, item) => item)
  for (const item of items) offer(storage, "A", item)
  fast.pollUpTo(8)
  closed.closeIntake()
  for (const item of items) offer(storage, "A", 100 + item)
  assert.deepStrictEqual(closed.pollUpTo(8), items)
})

describe("waiters of a cursor", () => {
  const waiting = () => {
    const tasks: Array<() => void> = []
    const storage = new Storage<"A", number>(["A"], 0, (task) => tasks.push(task), eventOf)
    const cursor = storage.subscribe({ kinds: ["A"], bufferSize: 10, overflow: "dropping", replay: 0 })
    const taken: Array<number> = []
    const run = () => taken.push(cursor.poll() as number)
    const turn = () => tasks.splice(0).forEach((task) => task())
    return { cursor, run, storage, taken, turn }
  }

  it("are served when one before them, which wanted more, is taken back", () => {
    const { cursor, run, storage, taken, turn } = waiting()
    const greedy = { count: 2, run }
    cursor.wait(greedy)
    cursor.wait({ count: 1, run })
    offer(storage, "A", 1)
    turn()
    assert.deepStrictEqual(taken, [])
    cursor.cancel(greedy)
    turn()
    assert.deepStrictEqual(taken, [1])
  })

  it("are served where one before them throws, and its error is thrown in a turn of its own", () => {
    const { cursor, run, storage, taken, turn } = waiting()
    cursor.wait({
      count: 1,
      run: () => {
        throw new Error("a taker's own")
      }
    })
    cursor.wait({ count: 1, run })
    offer(storage, "A", 1)
    turn()
    assert.deepStrictEqual(taken, [1])
    assert.throws(turn, "a taker's own")
  })
})

it("of keyed subscriptions that have closed nothing stays", () => {
  const storage = new Storage<Kind, number>(kinds, 0, () => {}, eventOf)
  const cursors = Array.from({ length: 100 }, (_, i) =>
    storage.subscribe({
      kinds: i % 2 === 0 ? ["A"] : ["A", "B"],
      // What is looked for is symbols.
      where: { first: Symbol(), second: Symbol() },
      bufferSize: 1,
      overflow: "dropping",
      replay: 0
    }))
  assert.strictEqual(eventsHeldBy(storage), 200)
  for (const cursor of cursors) cursor.close()
  assert.strictEqual(eventsHeldBy(storage), 0)
})

describe("of a million events the storage holds few", () => {
  const setup = (count: number, bufferSize: number, overflow: "dropping" | "sliding") => {
    const storage = new Storage<"A", symbol>(["A"], 0, () => {}, Object)
    const cursors = Array.from(
      { length: count },
      () => storage.subscribe({ kinds: ["A"], bufferSize, overflow, replay: 0 })
    )
    const publish = (times: number, then: () => void = () => {}) => {
      for (let i = 0; i < times; i++) {
        offer(storage, "A", Symbol())
        then()
      }
    }
    return { storage, cursors, publish }
  }

  describe.each(["dropping", "sliding"] as const)("%s", (overflow) => {
    it("where nobody takes any", () => {
      const { publish, storage } = setup(1, 1024, overflow)
      publish(1_000_000)
      assert.isAtMost(eventsHeldBy(storage), 2 * 1024)
    })

    it("where the only one keeps up: no more than the first slots of the log", () => {
      const { cursors: [cursor], publish, storage } = setup(1, 1024, overflow)
      publish(1_000_000, () => cursor!.poll())
      assert.isAtMost(eventsHeldBy(storage), 8)
    })

    it("where one at a time is taken from a full buffer", () => {
      const { cursors: [cursor], publish, storage } = setup(1, 1024, overflow)
      publish(1024)
      publish(1_000_000, () => cursor!.poll())
      assert.isAtMost(eventsHeldBy(storage), 2 * 1024)
    })

    it("where most of a full buffer has been taken", () => {
      const { cursors: [cursor], publish, storage } = setup(1, 1024, overflow)
      publish(1_000_000)
      for (let i = 0; i < 1000; i++) cursor!.poll()
      assert.isAtMost(eventsHeldBy(storage), 24 + 2 * 256)
    })

    it("where one keeps up and another takes none", () => {
      const { cursors: [, fast], publish, storage } = setup(2, 1024, overflow)
      publish(1_000_000, () => fast!.poll())
      assert.isAtMost(eventsHeldBy(storage), 2 * 1024)
    })

    it("where none of a thousand takes any", () => {
      const { publish, storage } = setup(1000, 1, overflow)
      publish(1_000_000)
      assert.isAtMost(eventsHeldBy(storage), 2 * 1024)
    })

    it("in the hands of a subscription that has left", () => {
      const { cursors: [left, closed, fast], publish } = setup(3, 1024, overflow)
      publish(2000, () => fast!.poll())
      left!.leave()
      closed!.close()
      publish(1_000_000, () => fast!.poll())
      // Beside its buffer each has the first and the last event of what was lost, and still sees the last chunk of the log.
      assert.isAtMost(eventsHeldBy(left!), 1024 + 2 + 256)
      assert.isAtMost(eventsHeldBy(closed!), 2 + 256)
      // With the last reader the log goes. What remains is the first and the last event of what was lost.
      fast!.close()
      assert.isAtMost(eventsHeldBy(closed!), 2)
    })
  })
})
