import { assert, describe, it } from "@effect/vitest"
import { ProbeLog, ResponseTimes, Uptime } from "@openwatch/openwatch"
import { Schema } from "effect"

describe("a log of probes", () => {
  const at = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_500_000_000_000 }))
  const hundredths = Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6_000_000 })))

  it.prop("is read as it was written, however it was put together", [
    Schema.Array(Schema.Struct({ at, hundredths })),
    Schema.Array(Schema.Struct({ at, hundredths }))
  ], ([before, after]) => {
    const samplesOf = (entries: typeof before) =>
      entries.map(({ at, hundredths }) => ({
        at,
        responseTimeMs: hundredths === null ? undefined : hundredths / 100
      }))
    const samples = samplesOf([...before, ...after])
    const once = [...new Map(samples.map((sample) => [sample.at, sample])).values()]
    const text = ProbeLog.encode(samplesOf(before)) + ProbeLog.encode(samplesOf(after))
    assert.deepStrictEqual(ProbeLog.decode(text), once)
    assert.isAtMost(text.length, samples.length * ProbeLog.longest)
  })

  it("is a dozen characters for a probe that was answered", () => {
    const [sample] = [{ at: 1_795_664_331_800, responseTimeMs: 12.34 }]
    assert.strictEqual(ProbeLog.encode([sample]), "mwwrrogo:ya,".replace("mwwrrogo", (1_795_664_331_800).toString(36)))
    assert.strictEqual(ProbeLog.encode([sample]).length, 12)
  })
})

describe("a histogram of response times", () => {
  const millis = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6_000_000 })))

  it.prop("gives percentiles within about a tenth of those of what it was made of", [millis], ([hundredths]) => {
    const times = hundredths.map((n) => n / 100)
    const histogram: ResponseTimes.Histogram = new Map()
    ResponseTimes.add(histogram, times)
    assert.strictEqual(ResponseTimes.count(histogram), times.length)
    const sorted = times.toSorted((a, b) => a - b)
    for (const percent of [50, 90, 99, 100]) {
      const found = ResponseTimes.percentile(histogram, percent)
      const exact = sorted[Math.max(1, Math.ceil(sorted.length * percent / 100)) - 1]
      if (exact === undefined) assert.isUndefined(found)
      else assert.closeTo(found!, exact, exact * 0.105)
    }
  })

  it.prop("of all is the sum of those of the parts, also as text", [millis, millis], ([some, others]) => {
    const of = (...times: ReadonlyArray<number>) => {
      const histogram: ResponseTimes.Histogram = new Map()
      ResponseTimes.add(histogram, times)
      return histogram
    }
    const parts = [of(...some), of(...others)].map((part) => ResponseTimes.decode(ResponseTimes.encode(part)))
    assert.strictEqual(
      ResponseTimes.encode(ResponseTimes.sum(parts)),
      ResponseTimes.encode(of(...some, ...others))
    )
  })
})

describe("uptime", () => {
  const spans: ReadonlyArray<Uptime.Span> = [
    { since: 0, until: 100, reachable: true },
    { since: 100, until: 130, reachable: false },
    // Nobody looked from 130 to 200.
    { since: 200, until: 270, reachable: true }
  ]

  it("is time in a state, of the time in which there was one", () => {
    assert.deepStrictEqual(Uptime.within(spans, 300, 300), { reachable: 170, unreachable: 30 })
    assert.strictEqual(Uptime.percent(Uptime.within(spans, 300, 300)), 85)
    assert.strictEqual(Uptime.percent({ reachable: 60, unreachable: 60 }), 50)
  })

  it("counts what lies within the time that is asked for", () => {
    assert.deepStrictEqual(Uptime.within(spans, 300, 180), { reachable: 70, unreachable: 10 })
    assert.deepStrictEqual(Uptime.within(spans, 250, 50), { reachable: 50, unreachable: 0 })
  })

  it("is not known where nobody has looked", () => {
    assert.isUndefined(Uptime.percent(Uptime.within(spans, 300, 20)))
  })
})
