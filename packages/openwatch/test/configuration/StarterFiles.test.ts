import { assert, describe, it } from "@effect/vitest"
import { Configuration, Inventory } from "@openwatch/openwatch"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as StarterFiles from "../../src/configuration/StarterFiles.ts"

const environment = {
  MAIL_PASSWORD: "secret",
  ON_CALL_SECRET: "secret",
  SLACK_WEBHOOK_URL: "https://hooks.example.org/x",
  OPENWATCH_TOKEN: "correct horse battery"
}

/** The text with all settings that are commented out; a comment for people begins with a blank. */
const withAll = (text: string) => text.replaceAll(/^( *)#(?=[a-z]| +[a-z_]+:| +- )/gm, "$1")

describe("the files to begin with", () => {
  it("are right as they are", () => {
    const configuration = Result.getOrThrow(Configuration.parse("openwatch.yaml", StarterFiles.configuration, {}))
    assert.strictEqual(configuration.inventory, "hosts.yaml")
    const { hosts } = Result.getOrThrow(Inventory.parse("hosts.yaml", StarterFiles.inventory))
    assert.deepStrictEqual(hosts.map(({ endpoint, name }) => [name, endpoint]), [["this-machine", "127.0.0.1:22"]])
  })

  it("are right with all that is commented out, and say what holds without it", () => {
    const text = withAll(StarterFiles.configuration)
    const before = Result.getOrThrow(Configuration.parse("openwatch.yaml", StarterFiles.configuration, {}))
    const { channels, http, scans, ...all } = Result.getOrThrow(
      Configuration.parse("openwatch.yaml", text, environment)
    )
    assert.deepStrictEqual(channels.map(({ name }) => name), ["console", "email", "on-call", "slack"])
    assert.strictEqual(scans, "scans")
    assert.strictEqual(http?.port, before.http?.port)
    assert.deepStrictEqual(all.driftThresholds, before.driftThresholds)
    assert.deepStrictEqual(all.retention, before.retention)
    for (
      const setting of [
        "interval",
        "failureThreshold",
        "retryInterval",
        "changesPerHour",
        "timeToLive",
        "retryFor"
      ] as const
    ) {
      assert.isDefined(all[setting], setting)
    }
    const { hosts } = Result.getOrThrow(Inventory.parse("hosts.yaml", withAll(StarterFiles.inventory)))
    const { id, port, tags } = hosts[0]!
    assert.deepStrictEqual([id, port, tags], ["0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e", 22, { site: "berlin" }])
  })
})

describe("the page on operating it", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../../docs/operate.md"), "utf8")
  const blocks = Array.from(page.matchAll(/^```yaml\n([^]*?)^```$/gm), ([, text]) => text!)

  it("has an inventory and a configuration that are right", () => {
    const inventory = blocks.find((text) => text.startsWith("hosts:"))!
    assert.strictEqual(Result.getOrThrow(Inventory.parse("hosts.yaml", inventory)).hosts.length, 2)
    const configuration = blocks.find((text) => text.startsWith("inventory:"))!
    const { channels } = Result.getOrThrow(Configuration.parse("openwatch.yaml", configuration, environment))
    assert.deepStrictEqual(channels.map(({ name }) => name), ["email"])
    const retention = blocks.find((text) => text.startsWith("retention:"))!
    assert.deepStrictEqual(
      Result.getOrThrow(Configuration.parse("openwatch.yaml", `inventory: a\n${retention}`, environment)).retention,
      Result.getOrThrow(Configuration.parse("openwatch.yaml", "inventory: a", environment)).retention
    )
  })
})
