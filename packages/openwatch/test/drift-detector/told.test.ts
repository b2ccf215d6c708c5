/**
 * What people are told of the scans of a host: from the files to the alerts that are sent.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  type Alert,
  type AlertChannel,
  AlertChannels,
  AlertRouter,
  AlertStore,
  DriftDetector,
  Scans,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  TargetHosts
} from "@openwatch/openwatch"
import { DateTime, Duration, Effect, FileSystem, Layer } from "effect"
import { TestClock } from "effect/testing"
import { awaitIdle, outboxes } from "../storage/Database.ts"
import { file, rules, testResult } from "./fixture.ts"

/** A scan: its series, and how many of its rules pass and fail. */
type Scan = readonly [benchmark: string, profile: string, passed: number, failed: number]

/** The scans that end one hour after the other are taken in, one minute after the other; what is sent of each is returned. */
const told = (...scans: ReadonlyArray<Scan>) =>
  Effect.gen(function*() {
    const sent: Array<Alert.Alert> = []
    const channel: AlertChannel = {
      name: "ops",
      requiredTags: {},
      send: (alert) => Effect.sync(() => sent.push(alert))
    }
    const path = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
    const services = AlertRouter.layer().pipe(
      Layer.provide(AlertChannels.layer([channel])),
      Layer.provideMerge(Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer, Scans.layer)),
      Layer.provideMerge(outboxes),
      Layer.provide(Storage.layer({ _tag: "DataFolder", path })),
      Layer.fresh
    )
    const day = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
    yield* TestClock.setTime(DateTime.toEpochMillis(DateTime.add(day, { days: 30 })))
    return yield* Effect.gen(function*() {
      for (const [hour, [benchmark, profile, passed, failed]] of scans.entries()) {
        const attributes = `end-time="${DateTime.formatIso(DateTime.addDuration(day, Duration.hours(hour)))}"`
        const result = testResult({ profile, attributes, body: rules(passed, failed) })
        const scan = yield* file(`<Benchmark id="${benchmark}">${result}</Benchmark>`)
        yield* DriftDetector.importFile(scan, { hostOf: TargetHosts.make([]) })
        yield* awaitIdle
        yield* TestClock.adjust("1 minute")
      }
      const titleOf = (id: string | undefined) => sent.find((alert) => alert.id === id)?.title
      const open = (yield* (yield* AlertStore.AlertStore).list()).filter(({ state }) => state === "active")
      return {
        sent: sent.map(({ resolves, supersedes, title }) => {
          if (supersedes !== undefined) return `${title}, in place of: ${titleOf(supersedes)}`
          return resolves === undefined ? title : `${title}, which ends: ${titleOf(resolves)}`
        }),
        open: open.map(({ alert }) => alert.title).toReversed()
      }
    }).pipe(Effect.provide(services))
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("of the scans of one host", () => {
  it.effect("that stay as they are in two series, nothing is told", () =>
    Effect.gen(function*() {
      const night: ReadonlyArray<Scan> = [["os", "stig", 90, 10], ["web", "stig", 40, 60]]
      assert.deepStrictEqual(yield* told(...night, ...night, ...night), { sent: [], open: [] })
    }))

  it.effect("that fall in two series within minutes, each fall is told, and none is ended by the other's rise", () =>
    Effect.gen(function*() {
      const { open, sent } = yield* told(
        ["os", "cis", 95, 5],
        ["os", "stig", 90, 10],
        ["os", "cis", 75, 25],
        ["os", "stig", 60, 40],
        ["os", "cis", 35, 65],
        ["os", "stig", 66, 34]
      )
      const cis = "web-1 drifted (major) in os/cis"
      const stig = "web-1 drifted (major) in os/stig: 90 to 60 (-30 points)"
      assert.deepStrictEqual(sent, [
        `${cis}: 95 to 75 (-20 points)`,
        stig,
        `${cis}: 75 to 35 (-40 points), in place of: ${cis}: 95 to 75 (-20 points)`,
        "web-1 improved in os/stig: 60 to 66 (+6 points)"
      ])
      assert.deepStrictEqual(open, [stig, `${cis}: 75 to 35 (-40 points)`])
    }))

  it.effect("that come back in small steps, the fall is over, and the next one is told within the hour", () =>
    Effect.gen(function*() {
      const { open, sent } = yield* told(
        ["os", "cis", 20, 2],
        ["os", "cis", 17, 5],
        ["os", "cis", 18, 4],
        ["os", "cis", 19, 3],
        ["os", "cis", 20, 2],
        ["os", "cis", 17, 5]
      )
      const fall = "web-1 drifted (major) in os/cis: 90.91 to 77.27 (-13.64 points)"
      assert.deepStrictEqual(sent, [
        fall,
        `web-1 improved in os/cis: 77.27 to 86.36 (+9.09 points), and is back, which ends: ${fall}`,
        fall
      ])
      assert.deepStrictEqual(open, [fall])
    }))

  it.effect("that fall in small steps, it is told whenever they add up", () =>
    Effect.gen(function*() {
      const steps = [200, 191, 182, 173, 164, 155].map((passed): Scan => ["os", "cis", passed, 200 - passed])
      const { sent } = yield* told(...steps)
      const first = "web-1 drifted (minor) in os/cis: 100 to 91 (-9 points)"
      assert.deepStrictEqual(sent, [
        first,
        `web-1 drifted (minor) in os/cis: 91 to 82 (-9 points), in place of: ${first}`
      ])
    }))
})
