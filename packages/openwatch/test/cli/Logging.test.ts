import { assert, it } from "@effect/vitest"
import { Cause, DateTime, Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as Logging from "../../src/cli/Logging.ts"

/** What is logged by an effect, line by line. */
const logged = (logger: Logger.Logger<unknown, string>, effect: Effect.Effect<void>) => {
  const lines: Array<string> = []
  const kept = Logger.map(logger, (line) => void lines.push(line))
  return Effect.as(Effect.provide(effect, Logger.layer([kept])), lines)
}

const berlin = DateTime.zoneMakeNamedUnsafe("Europe/Berlin")

it.effect("a line of the log for people has the date, the time and its zone", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(Date.UTC(2026, 6, 1, 12, 0, 0, 7))
    const said = Effect.annotateLogs(Effect.logInfo("Watching", 3, "hosts"), { host: "web-1" })
    assert.deepStrictEqual(yield* logged(Logging.text(berlin, false), said), [
      "2026-07-01 14:00:00.007+02:00 INFO  Watching 3 hosts host=web-1"
    ])
    assert.deepStrictEqual(
      yield* logged(Logging.text(DateTime.zoneMakeNamedUnsafe("UTC"), false), Effect.logWarning("It is late")),
      [
        "2026-07-01 12:00:00.007+00:00 WARN  It is late"
      ]
    )
  }))

it.effect("a line of the log has its cause below it, and colors where there is a terminal", () =>
  Effect.gen(function*() {
    const said = Effect.logError("It broke", Cause.die(new Error("a spring")))
    const [plain] = yield* logged(Logging.text(berlin, false), said)
    assert.match(plain!, /^1970-01-01 01:00:00\.000\+01:00 ERROR It broke\nError: a spring/)
    assert.notInclude(plain!, "\u001b")
    assert.include((yield* logged(Logging.text(berlin, true), said))[0]!, "\u001b[31mERROR\u001b[0m It broke")
  }))

it.effect("a line of the log for programs is one object, whatever is in the message", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(Date.UTC(2026, 6, 1, 12))
    const said = Effect.andThen(
      Effect.annotateLogs(Effect.logInfo("It said \"\nERROR: all is lost\""), { host: "web-1", level: "mine" }),
      Effect.logError("It broke", Cause.die(new Error("a spring")))
    )
    const [first, second, ...others] = yield* logged(Logging.json, said)
    assert.deepStrictEqual(others, [])
    assert.notInclude(first!, "\n")
    assert.deepStrictEqual(JSON.parse(first!), {
      host: "web-1",
      time: "2026-07-01T12:00:00.000Z",
      level: "info",
      message: "It said \"\nERROR: all is lost\""
    })
    const { cause, ...error } = JSON.parse(second!) as { readonly cause: string }
    assert.deepStrictEqual(error, { time: "2026-07-01T12:00:00.000Z", level: "error", message: "It broke" })
    assert.match(cause, /^Error: a spring/)
  }))
