import { assert, describe, it } from "@effect/vitest"
import { Configuration, hostIdFromName, Inventory, Maintenance } from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Result } from "effect"

const alert = (name: string, tags: Record<string, string> = {}) => ({
  hostId: hostIdFromName(name),
  tags: { ...tags, host: name }
})

const parse = (maintenance: string) =>
  Configuration.parse("openwatch.yaml", `inventory: hosts.yaml\nmaintenance: [${maintenance}]`, {})

const planned = (maintenance: string) => Result.getOrThrow(parse(maintenance)).maintenance[0]!

const problemsOf = (maintenance: string) => {
  const parsed = parse(maintenance)
  return Result.isFailure(parsed) ? parsed.failure.problems : []
}

const isOn = (maintenance: string, ...times: ReadonlyArray<string>) =>
  times.map((time) => Maintenance.isOn(planned(maintenance), DateTime.makeUnsafe(time)))

describe("a subject", () => {
  it("is a host by its name or id, or the hosts that have a tag", () => {
    const web = alert("web-1", { site: "berlin" })
    const meant = ["web-1", hostIdFromName("web-1"), "site=berlin", "site=paris", "role=web", "web", "host=web-1"]
      .filter(
        (text) => Maintenance.isOf(Maintenance.parseSubject(text), web)
      )
    assert.deepStrictEqual(meant, ["web-1", hostIdFromName("web-1"), "site=berlin", "host=web-1"])
    assert.strictEqual(Maintenance.formatSubject(Maintenance.parseSubject("site=a=b")), "site=a=b")
  })
})

describe("planned maintenance", () => {
  it("goes on once, from its beginning in its zone until its end", () => {
    const once = "{ hosts: [web-1], once: 2026-12-01 22:00, for: 2h, time_zone: Europe/Berlin }"
    assert.deepStrictEqual(
      isOn(once, "2026-12-01T20:59:59.999Z", "2026-12-01T21:00Z", "2026-12-01T22:59:59.999Z", "2026-12-01T23:00Z"),
      [false, true, true, false]
    )
  })

  // @spec system-alerts
  // @ac AC-15
  it("[system-alerts/AC-15] goes on each week, and past midnight, at the same local time in summer and winter", () => {
    const weekly = "{ tags: [site=berlin], weekly: [sat 23:00, sun 23:00], for: 2h, time_zone: Europe/Berlin }"
    assert.deepStrictEqual(
      isOn(
        weekly,
        "2026-12-05T21:59Z",
        "2026-12-05T22:00Z",
        "2026-12-05T23:59Z",
        "2026-12-06T00:00Z",
        "2026-12-06T22:30Z",
        "2026-12-07T22:30Z",
        "2026-07-04T20:59Z",
        "2026-07-04T21:00Z"
      ),
      [false, true, true, false, true, false, false, true]
    )
  })

  it("has the window that a time is in, or else the next one, until there is none any more", () => {
    const windowAt = (maintenance: string, ...times: ReadonlyArray<string>) =>
      times.map((time) => {
        const window = Maintenance.windowAt(planned(maintenance), DateTime.makeUnsafe(time))
        return window === undefined
          ? undefined
          : [window.isOn, DateTime.formatIso(window.since), DateTime.formatIso(window.until)]
      })
    const once = "{ hosts: [web-1], once: 2026-12-01 22:00, for: 2h, time_zone: UTC }"
    const first = ["2026-12-01T22:00:00.000Z", "2026-12-02T00:00:00.000Z"]
    assert.deepStrictEqual(
      windowAt(once, "2026-11-01T00:00Z", "2026-12-01T22:00Z", "2026-12-02T00:00Z"),
      [[false, ...first], [true, ...first], undefined]
    )
    // Two that overlap go on until the end of the last.
    const weekly = "{ hosts: [web-1], weekly: [sat 22:00, sun 01:00], for: 6h, time_zone: UTC }"
    const saturday = ["2026-12-05T22:00:00.000Z", "2026-12-06T04:00:00.000Z"]
    const sunday = ["2026-12-06T01:00:00.000Z", "2026-12-06T07:00:00.000Z"]
    assert.deepStrictEqual(
      windowAt(weekly, "2026-12-05T12:00Z", "2026-12-05T23:00Z", "2026-12-06T02:00Z", "2026-12-06T07:00Z"),
      [[false, ...saturday], [true, ...saturday], [true, ...sunday], [
        false,
        "2026-12-12T22:00:00.000Z",
        "2026-12-13T04:00:00.000Z"
      ]]
    )
  })

  it("is refused with everything that is wrong", () => {
    assert.deepStrictEqual(
      problemsOf("{ for: 8d, time_zone: Berlin }, { tags: [berlin], once: 2026-13-01 22:00, for: 1h }"),
      [
        "maintenance[0].time_zone: Expected the name of a time zone, like Europe/Berlin, got \"Berlin\"",
        "maintenance[0]: Missing: expected `hosts` or `tags`",
        "maintenance[0]: Expected either `once` or `weekly`",
        "maintenance[0].for: Expected a time span from 1m to 7d, got \"8d\"",
        "maintenance[1].tags[0]: Expected a tag, like site=berlin, got \"berlin\"",
        "maintenance[1].once: Expected a date and a time that there are, got \"2026-13-01 22:00\""
      ]
    )
    assert.deepStrictEqual(problemsOf("{ hosts: [a], weekly: [sunday], for: 1h }"), [
      "maintenance[0].weekly[0]: Expected a day and a time, like sun 02:00, got \"sunday\""
    ])
    assert.deepStrictEqual(planned("{ hosts: [a], weekly: [sun 02:00], for: 90m }").duration, Duration.minutes(90))
  })

  it("is refused at a time that clocks skip or show twice, where it is once; an offset says which", () => {
    const once = (text: string, zone = "Europe/Berlin") =>
      `{ hosts: [a], once: ${text}, for: 1h, time_zone: "${zone}" }`
    assert.deepStrictEqual(problemsOf(`${once("2026-03-29 02:30")}, ${once("2026-10-25 02:30")}`), [
      "maintenance[0].once: Expected a date and a time that there are, got \"2026-03-29 02:30\", which clocks in Europe/Berlin skip",
      "maintenance[1].once: 2026-10-25 02:30 comes twice in Europe/Berlin: " +
      "expected an offset as the `time_zone`, +02:00 for the first or +01:00 for the second"
    ])
    const right = ["2026-03-29 01:59", "2026-03-29 03:00", "2026-10-25 01:59", "2026-10-25 03:00"]
    for (const time of right) assert.deepStrictEqual(problemsOf(once(time)), [])
    assert.deepStrictEqual(
      isOn(once("2026-10-25 02:30", "+01:00"), "2026-10-25T01:29Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"),
      [false, true, false]
    )
  })

  it("begins an hour later where clocks skip its time of a week, and once where they show it twice", () => {
    const weekly = "{ hosts: [a], weekly: [sun 02:30], for: 30m, time_zone: Europe/Berlin }"
    assert.deepStrictEqual(
      isOn(
        weekly,
        "2026-03-29T00:30Z",
        "2026-03-29T01:30Z",
        "2026-03-29T02:00Z",
        "2026-10-25T00:30Z",
        "2026-10-25T01:00Z",
        "2026-10-25T01:30Z"
      ),
      [false, true, false, true, false, false]
    )
  })

  it("is said to be over where it was once and does not come again", () => {
    const configuration = Result.getOrThrow(
      parse(
        "{ hosts: [a], weekly: [sun 02:00], for: 1h }, { hosts: [a], once: 2025-12-01 22:00, for: 2h, time_zone: UTC }"
      )
    )
    const overAt = (time: string) => Configuration.overMaintenance(configuration, DateTime.makeUnsafe(time))
    assert.deepStrictEqual(overAt("2025-12-01T23:59Z"), [])
    assert.deepStrictEqual(overAt("2025-12-02T00:00Z"), ["maintenance[1].once: it is over, and does not come again"])
  })

  it.effect("is refused where it means no host of the inventory", () =>
    Effect.gen(function*() {
      const configuration = Result.getOrThrow(
        parse(
          "{ hosts: [web-1, wbe-2], once: 2026-12-01 22:00, for: 2h }, { tags: [site=berlin, site=paris], weekly: [sun 02:00], for: 1h }"
        )
      )
      const { hosts } = Result.getOrThrow(
        Inventory.parse("hosts.yaml", "hosts: [{ name: web-1, address: a, tags: { site: berlin } }]")
      )
      const { problems } = yield* Effect.flip(Configuration.checkTags(configuration, hosts))
      assert.deepStrictEqual(problems, [
        "maintenance[0].hosts: no host of the inventory is called \"wbe-2\"",
        "maintenance[1].tags: no host of the inventory has the tag site=paris"
      ])
    }))
})
