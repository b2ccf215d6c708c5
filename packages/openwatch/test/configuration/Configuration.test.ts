import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Configuration } from "@openwatch/openwatch"
import { Duration, Effect, Redacted, Result } from "effect"

const parse = (text: string, environment: Configuration.Environment = {}) =>
  Configuration.parse("conf/openwatch.yaml", text, environment)

/** What is wrong with a text, without the name of the file. */
const problemsOf = (text: string, environment?: Configuration.Environment): ReadonlyArray<string> => {
  const result = parse(text, environment)
  return Result.isFailure(result) ? result.failure.problems : []
}

describe("Configuration", () => {
  it("says where the inventory is, how hosts are probed, and where alerts go", () => {
    const configuration = Result.getOrThrow(parse(
      `
inventory: hosts.yaml
liveness: { interval: 5m, failure_threshold: 3 }
scans: results
drift: { major: 12.5, improvement: 3 }
alerts: { time_to_live: 90m }
channels:
  - type: console
  - { type: webhook, name: ops, url: "https://ops/x", secret_env: OPS, tags: { severity: high, host_id: abc } }
  - { type: slack, url_env: SLACK }
http: { host: "::", port: 80, token_env: PAGE, hosts: [watch.example.org] }
`,
      { PAGE: "correct horse battery", OPS: "s3cr3t", SLACK: "http://slack/T0K3N" }
    ))
    assert.strictEqual(configuration.inventory, "conf/hosts.yaml")
    assert.deepStrictEqual(configuration.interval, Duration.minutes(5))
    assert.strictEqual(configuration.failureThreshold, 3)
    assert.strictEqual(configuration.scans, "conf/results")
    assert.deepStrictEqual(configuration.driftThresholds, { major: 12.5, minor: 5, improvement: 3 })
    assert.deepStrictEqual(configuration.timeToLive, Duration.minutes(90))
    const [console, webhook, slack] = configuration.channels
    assert.deepStrictEqual(console, { type: "console", name: "console", requiredTags: {} })
    assert.deepInclude(webhook, { type: "webhook", name: "ops", requiredTags: { severity: "high", host_id: "abc" } })
    assert(webhook?.type === "webhook" && webhook.secret !== undefined && slack?.type === "slack")
    assert.strictEqual(Redacted.value(webhook.secret), "s3cr3t")
    assert.strictEqual(Redacted.value(webhook.url), "https://ops/x")
    assert.strictEqual(Redacted.value(slack.url), "http://slack/T0K3N")
    const { token, ...http } = configuration.http!
    assert.deepStrictEqual(http, { host: "::", port: 80, hosts: ["watch.example.org"] })
    assert.strictEqual(Redacted.value(token!), "correct horse battery")
    assert.notInclude(JSON.stringify(configuration), "s3cr3t")
    assert.notInclude(JSON.stringify(configuration), "horse")
  })

  it("may say that there is to be no live page", () => {
    assert.isUndefined(Result.getOrThrow(parse("{ inventory: hosts.yaml, http: false }")).http)
  })

  it("needs an inventory only; alerts go to the console then", () => {
    assert.deepStrictEqual(Result.getOrThrow(parse("inventory: /etc/hosts.yaml")), {
      file: "conf/openwatch.yaml",
      inventory: "/etc/hosts.yaml",
      interval: undefined,
      failureThreshold: undefined,
      scans: undefined,
      driftThresholds: { major: 10, minor: 5, improvement: 5 },
      timeToLive: undefined,
      channels: [{ type: "console", name: "console", requiredTags: {} }],
      http: { host: "127.0.0.1", port: 7420, token: undefined, hosts: [] }
    })
  })

  for (
    const [situation, text, problem] of [
      [
        "an unknown type of channel",
        "channels: [{ type: pager }]",
        "channels[0].type: Expected \"console\" | \"webhook\" | \"slack\", got \"pager\""
      ],
      [
        "a tag filter that is no string",
        "channels: [{ type: console, tags: { severity: 5 } }]",
        "channels[0].tags.severity: Expected string, got 5"
      ],
      [
        "a severity that there is not",
        "channels: [{ type: console, tags: { severity: hgh } }]",
        "channels[0].tags.severity: Expected one of critical, high, medium, low, info, got \"hgh\""
      ],
      [
        "a time to live that is too short",
        "alerts: { time_to_live: 59s }",
        "alerts.time_to_live: Expected 1m to 1d, got \"59s\""
      ],
      [
        "a time to live that is too long",
        "alerts: { time_to_live: 25h }",
        "alerts.time_to_live: Expected 1m to 1d, got \"25h\""
      ],
      [
        "a time span without a unit",
        "liveness: { interval: \"5\" }",
        "liveness.interval: Expected a number and its unit, like 300s, 5m or 1h, got \"5\""
      ],
      [
        "an unknown key",
        "chanels: []",
        "chanels: Unknown key: a configuration has `inventory`, `liveness`, `scans`, `drift`, `alerts`, `channels` and `http`"
      ],
      [
        "a live page that is neither off nor told where",
        "http: true",
        "http: Expected false, or a mapping with the keys `host`, `port`, `token`, `token_env` and `hosts`"
      ],
      [
        "a live page for everyone",
        "http: { host: 0.0.0.0 }",
        "http.token: Missing: \"0.0.0.0\" is not a loopback address, so whoever reaches it would see the fleet; " +
        "set `token` or `token_env`, or leave `host` at 127.0.0.1"
      ],
      [
        "a URL with another scheme",
        "channels: [{ type: webhook, url: \"ftp://ada:pa55word@host/x\" }]",
        "channels[0].url: Expected a URL that begins with https:// or http://, got one that begins with ftp:"
      ],
      [
        "no URL at all",
        "channels: [{ type: slack, url: pa55word }]",
        "channels[0].url: Expected a URL that begins with https:// or http://"
      ],
      [
        "a missing URL",
        "channels: [{ type: webhook }]",
        "channels[0].url: Missing: a webhook channel has `url` or `url_env`"
      ],
      [
        "a variable that is not set",
        "channels: [{ type: slack, url_env: NOPE }]",
        "channels[0].url_env: the environment variable NOPE is not set"
      ],
      [
        "a secret that is no text",
        "channels: [{ type: webhook, url: \"http://x/\", secret: [pa55word] }]",
        "channels[0].secret: Expected a text that is not empty"
      ],
      [
        "a secret for the console",
        "channels: [{ type: console, secret: pa55word }]",
        "channels[0].secret: Unknown key: a console channel has no secret"
      ],
      [
        "two channels with one name",
        "channels: [{ type: console }, { type: console }]",
        "channels[1].name: \"console\" is already the name of channels[0]"
      ]
    ] as const
  ) {
    it(`names ${situation}`, () => {
      const problems = problemsOf(`inventory: hosts.yaml\n${text}\n`)
      assert.deepStrictEqual(problems, [problem])
      assert.notInclude(problems.join(), "pa55word")
    })
  }

  it("says all that is wrong at once", () => {
    const result = parse("channels: [{ type: pager }]\nalerts: 5")
    assert(Result.isFailure(result))
    assert.strictEqual(result.failure.message.split("\n").length, 4)
    assert.include(result.failure.message, "configuration conf/openwatch.yaml has 3 errors:\n  ")
  })

  it("names the line of what is no YAML, and an empty file", () => {
    assert.match(problemsOf("inventory: a\nchannels: [")[0]!, /^not readable as YAML: .*line/)
    assert.deepStrictEqual(problemsOf(""), ["the file is empty: expected a mapping with the key `inventory`"])
  })

  it.effect("names a file that is not there as it was given", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Configuration.load("not/there.yaml", {}))
      assert.strictEqual(error.message, "configuration not/there.yaml: no such file")
    }).pipe(Effect.provide(NodeServices.layer)))
})
