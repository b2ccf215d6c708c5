/**
 * A disk that is really full: a small file system in memory, with a file that takes what is left of it.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import { HeartbeatPulse, hostIdFromName, HostStates, Storage } from "@openwatch/openwatch"
import { DateTime, Effect, Fiber, FileSystem, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { spawnSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { outboxes } from "./Database.ts"

const mount = (path: string): boolean =>
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", path]).status === 0
const unmount = (path: string) => void spawnSync("umount", ["--lazy", path])

const isSkipped = (() => {
  const path = mkdtempSync(`${tmpdir()}/openwatch-mount-`)
  const isMounted = mount(path)
  if (isMounted) unmount(path)
  rmdirSync(path)
  return !isMounted && (process.env["CI"] ?? "") === ""
})()
if (isSkipped) {
  // oxlint-disable-next-line no-console
  console.log("No file system can be mounted: the test with a full disk is skipped (as root, on Linux)")
}

/** A file system of 2 MB, until the scope closes. */
const smallDisk = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(`${tmpdir()}/openwatch-disk-`)
    assert.isTrue(mount(path))
    return path
  }),
  (path) =>
    Effect.sync(() => {
      unmount(path)
      rmdirSync(path)
    })
)

/** Writes until there is no room. */
const fill = (file: string) =>
  Effect.sync(() => {
    const descriptor = openSync(file, "w")
    try {
      // The file system is 2 MB large: this ends with an error.
      for (let blocks = 0; blocks < 10_000; blocks++) writeSync(descriptor, Buffer.alloc(4_096))
      return "never full"
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    } finally {
      closeSync(descriptor)
    }
  })

const pulse = (name: string) =>
  new HeartbeatPulse({
    hostId: hostIdFromName(name),
    reachable: true,
    priorReachable: null,
    responseTimeMs: 5,
    occurredAt: DateTime.makeUnsafe(1_000)
  })

describe.skipIf(isSkipped)("a full disk", () => {
  it.effect("is an outage: what is to be stored waits, two lines tell of it, and nothing is lost", () => {
    const messages: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void messages.push(String(message)))])
    return Effect.gen(function*() {
      const path = yield* smallDisk
      const database = HostStates.layer.pipe(
        Layer.provideMerge(outboxes),
        Layer.provideMerge(Storage.layer({ _tag: "DataFolder", path })),
        Layer.fresh
      )
      yield* Effect.gen(function*() {
        const states = yield* HostStates.HostStates
        yield* states.record(pulse("before"))
        const ballast = `${path}/ballast`
        assert.strictEqual(yield* fill(ballast), "ENOSPC")

        const hosts = Array.from({ length: 40 }, (_, n) => `host-${n}`)
        const storing = yield* Effect.forkChild(Effect.forEach(
          hosts,
          (name) => Outage.untilItPasses(states.record(pulse(name))),
          { concurrency: "unbounded", discard: true }
        ))
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(messages.length, 1, messages.join("\n"))
        assert.match(messages[0]!, /^The database is away: .*(full|disk)/)
        assert.isUndefined(storing.pollUnsafe())
        // What was stored can be read all the same.
        assert.isTrue((yield* states.verdicts).has(hostIdFromName("before")))

        yield* Effect.sync(() => rmSync(ballast))
        yield* TestClock.adjust("5 minutes")
        yield* Fiber.join(storing)
        yield* Outage.noted(states.verdicts)
        assert.deepStrictEqual(messages.slice(1), ["The database works again"])
        assert.strictEqual((yield* states.verdicts).size, 1 + hosts.length)
      }).pipe(Effect.provide(database))

      // Who comes later finds it whole.
      const kept = yield* Effect.flatMap(HostStates.HostStates, ({ verdicts }) => verdicts).pipe(
        Effect.provide(database)
      )
      assert.strictEqual(kept.size, 41)
      assert.isTrue(yield* (yield* FileSystem.FileSystem).exists(`${path}/openwatch.sqlite`))
    }).pipe(
      Effect.scoped,
      Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none),
      Effect.provide([logger, NodeServices.layer])
    )
  }, 60_000)
})
