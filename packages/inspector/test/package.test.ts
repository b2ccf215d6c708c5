import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("..", import.meta.url))

describe("the package", () => {
  it.live("holds the page, built", () =>
    Effect.gen(function*() {
      const pack = yield* ChildProcess.make("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: folder })
      const output = yield* pack.stdout.pipe(Stream.decodeText(), Stream.mkString)
      for (
        const file of [
          /"dist\/page\/index\.html"/,
          /"dist\/page\/assets\/[^"]+\.js"/,
          /"dist\/page\/assets\/[^"]+\.css"/
        ]
      ) {
        assert.match(output, file)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)
})
