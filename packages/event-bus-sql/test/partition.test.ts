import { assert, describe, it } from "@effect/vitest"
import type { LogRow } from "../src/internal/database.ts"
import { type Host, Partition } from "../src/internal/partition.ts"

describe("a partition of a transactional consumer", () => {
  it("does not move its position past what was parked while a handler has another, before that is written", () => {
    const host: Host = {
      consumer: "mailer",
      order: "key",
      holdsBehindDead: false,
      isTransactional: true,
      onReady: () => {},
      onDirty: () => {},
      after: () => {}
    }
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
    const row: LogRow = {
      seq: 2,
      kind: "OrderPlaced",
      id: "2",
      slot: 0,
      keyHash: "a",
      payload: "{}",
      trace: null,
      publishedAt: 0,
      event: undefined
    }
    partition.offer(row)
    assert.strictEqual(partition.moveOver(entry).pos, 1)
  })
})
