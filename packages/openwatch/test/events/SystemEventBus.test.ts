import { assert, describe, it } from "@effect/vitest"
import { AllEventKinds, DriftDetected, HeartbeatPulse, HostId, SystemEventBus } from "@openwatch/openwatch"
import { DateTime, Effect, Schema } from "effect"

const hostId = HostId.make("0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e")
const occurredAt = DateTime.makeUnsafe("2026-01-02T03:04:05.678Z")

const pulse = new HeartbeatPulse({ hostId, reachable: true, priorReachable: null, responseTimeMs: 1.5, occurredAt })

const drift = new DriftDetected({
  hostId,
  scanId: "xccdf_org.open-scap_testresult_1",
  driftType: "major",
  priorScore: 90.91,
  currentScore: 77.27,
  scoreDelta: -13.64,
  becameFailing: { critical: 0, high: 0, medium: 3, low: 0 },
  becamePassing: { critical: 0, high: 0, medium: 0, low: 0 },
  occurredAt
})

describe("AllEventKinds", () => {
  it("is the closed set of two", () => {
    assert.deepStrictEqual([...AllEventKinds], ["HeartbeatPulse", "DriftDetected"])
  })
})

describe("EventJson", () => {
  it.effect("writes a heartbeat as plain JSON, a first sighting's null included", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Schema.encodeEffect(SystemEventBus.EventJson)(pulse), {
        _tag: "HeartbeatPulse",
        hostId: "0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e",
        reachable: true,
        priorReachable: null,
        responseTimeMs: 1.5,
        occurredAt: "2026-01-02T03:04:05.678Z"
      })
    }))

  it.effect.each([pulse, drift])("reads back what it wrote: $_tag", (event) =>
    Effect.gen(function*() {
      const text = JSON.stringify(yield* Schema.encodeEffect(SystemEventBus.EventJson)(event))
      const read = yield* Schema.decodeUnknownEffect(SystemEventBus.EventJson)(JSON.parse(text))
      assert.instanceOf(read, event.constructor as typeof HeartbeatPulse)
      assert.deepStrictEqual(read, event)
    }))
})

describe("EventJson refuses what cannot be", () => {
  const decode = (event: typeof SystemEventBus.Event.Type, changes: Record<string, unknown>) =>
    Schema.encodeEffect(SystemEventBus.EventJson)(event).pipe(
      Effect.flatMap((encoded) =>
        Schema.decodeUnknownEffect(SystemEventBus.EventJson)({ ...(encoded as object), ...changes }, {
          onExcessProperty: "error"
        })
      )
    )

  it.effect.each(
    [
      ["a host id that is no UUID", pulse, { hostId: "web-1" }, `["hostId"]`],
      ["a host id in upper case", pulse, { hostId: hostId.toUpperCase() }, `["hostId"]`],
      ["a negative response time", pulse, { responseTimeMs: -1 }, `["responseTimeMs"]`],
      ["a time without a zone", pulse, { occurredAt: "yesterday" }, `["occurredAt"]`],
      ["a score above 100", drift, { currentScore: 100.5 }, `["currentScore"]`],
      ["a drift that is stable", drift, { driftType: "stable" }, `["driftType"]`],
      ["no scan", drift, { scanId: "" }, `["scanId"]`],
      [
        "half a rule",
        drift,
        { becameFailing: { critical: 0, high: 0.5, medium: 0, low: 0 } },
        `["becameFailing"]["high"]`
      ],
      [
        "a severity that is not known",
        drift,
        { becamePassing: { ...drift.becamePassing, info: 1 } },
        `["becamePassing"]["info"]`
      ]
    ] as const
  )("%s", ([_, event, changes, path]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode(event, changes))
      assert.include(error.message, `at ${path}`)
    }))

  it.effect("another kind", () =>
    Effect.gen(function*() {
      yield* Effect.flip(decode(pulse, { _tag: "HostRebooted" }))
      assert.deepStrictEqual(yield* decode(pulse, {}), pulse)
    }))
})
