import { assert, describe, it } from "@effect/vitest"
import type { LogRow } from "../src/internal/database.ts"
import { type Host, Partition } from "../src/internal/partition.ts"

const host: Host = {
  consumer: "mailer",
  order: "key",
  holdsBehindDead: false,
  isTransactional: true,
  onReady: () => {},
  onDirty: () => {},
  after: () => {}
}

const rowOf = (seq: number, payload = "{}"): LogRow => ({
  seq,
  kind: "OrderPlaced",
  id: String(seq),
  slot: 0,
  keyHash: "a",
  payload,
  trace: null,
  publishedAt: 0,
  event: undefined
})

describe("a partition", () => {
  it("reads few events ahead where they are large, and goes on once they are handled", () => {
    const position = { consumer: "mailer", part: 0, pos: 0, owner: "me", epoch: 1, isUnclean: false }
    const partition = new Partition({ ...host, isTransactional: false }, { position, parked: [], head: 0 })
    let offered = 0
    while (partition.hasRoom) partition.offer(rowOf(++offered, "x".repeat(1_000_000)))
    assert.strictEqual(offered, 4)
    partition.succeed(partition.next()!, false)
    assert.isTrue(partition.hasRoom)
  })
})

describe("a partition of a transactional consumer", () => {
  it("does not move its position past what was parked while a handler has another, before that is written", () => {
    const position = { consumer: "mailer", part: 0, pos: 1, owner: "me", epoch: 1, isUnclean: false }
    const failed = { seq: 1, part: 0, keyHash: "a", state: "retrying", attempts: 1, dueIn: 0, cause: "no" } as const
    const partition = new Partition(host, { position, parked: [failed], head: 1 })
    const settle = () => {
      const { move, parks } = partition.takeChanges()
      partition.settled(move.pos, parks)
    }
    // Its attempt is written first.
    assert.isUndefined(partition.next())
    settle()
    const entry = partition.next()!
    assert.strictEqual(entry.seq, 1)
    partition.offer(rowOf(2))
    assert.strictEqual(partition.moveOver(entry).pos, 1)
  })
})
