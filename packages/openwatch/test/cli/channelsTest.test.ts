import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Queue } from "effect"
import { receiver, status } from "../channels/Receiver.ts"
import * as Command from "./command.ts"

/** Runs `openwatch channels test` in a folder with a configuration of these channels. */
const test = Effect.fnUntraced(function*(channels: string, name: string) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  yield* fs.writeFileString(`${folder}/openwatch.yaml`, `inventory: hosts.yaml\nchannels:\n${channels}`)
  const words = ["channels", "test", name]
  const ended = yield* Command.run(Command.openwatch(words, { cwd: folder, env: { KEY: "r0ut1ng" } }))
  return { ...ended, files: yield* fs.readDirectory(folder) }
})

describe("channels test", () => {
  it.live(
    "sends a test that says that it is one, says what came back, and stores nothing",
    () =>
      Effect.gen(function*() {
        const { received, url } = yield* receiver(status(202), status(403))
        const channels = `  - { type: console }\n  - { type: webhook, name: ops, url: "${url}/T0K3N" }\n` +
          `  - { type: pagerduty, routing_key_env: KEY, url: "${url}" }\n`
        const sent = yield* test(channels, "ops")
        assert.strictEqual(sent.stdout, `A test was sent by "ops": the receiver answered with status 202: ok\n`)
        assert.deepStrictEqual([sent.exitCode, sent.files], [0, ["openwatch.yaml"]])
        const alert = JSON.parse((yield* Queue.take(received)).body)
        assert.strictEqual(alert.title, `This is a test of the channel "ops" of OpenWatch: nothing is wrong`)
        assert.strictEqual(alert.tags.test, "true")

        const refused = yield* test(channels, "pagerduty")
        assert.strictEqual(
          refused.stderr,
          `error: the test by "pagerduty" failed: the receiver answered with status 403: ok\n`
        )
        assert.deepStrictEqual([refused.stdout, refused.exitCode], ["", 1])
        const event = JSON.parse((yield* Queue.take(received)).body)
        assert.deepInclude(event, { routing_key: "r0ut1ng", event_action: "trigger" })

        const printed = yield* test(channels, "console")
        assert.match(
          printed.stdout,
          /  info      This is a test of the channel "console" of OpenWatch: nothing is wrong\n/
        )
        assert.match(printed.stdout, /A test was sent by "console": it is printed\n$/)

        const unknown = yield* test(channels, "opps")
        assert.strictEqual(
          unknown.stderr,
          `error: configuration openwatch.yaml has no channel "opps"; it has "console", "ops", "pagerduty"\n`
        )
        assert.strictEqual(unknown.exitCode, 1)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    120_000
  )
})
