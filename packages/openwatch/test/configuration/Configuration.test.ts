import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Configuration, Host, hostIdFromName } from "@openwatch/openwatch"
import { Duration, Effect, FileSystem, Redacted, Result } from "effect"
import { readFileSync } from "node:fs"

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
alerts: { time_to_live: 90m, retry_for: 2d, remind_after: 4h }
retention: { alerts: 30d, scans: 36h }
channels:
  - type: console
  - { type: webhook, name: ops, url: "https://ops/x", secret_env: OPS, min_severity: low,
      tags: { severity: high, host_id: abc } }
  - { type: slack, url_env: SLACK }
http: { host: "::", port: 80, token_env: PAGE, hosts: [watch.example.org] }
`,
      { PAGE: "correct horse battery", OPS: "s3cr3t\n", SLACK: "http://slack/T0K3N\n" }
    ))
    assert.strictEqual(configuration.inventory, "conf/hosts.yaml")
    assert.deepStrictEqual(configuration.interval, Duration.minutes(5))
    assert.strictEqual(configuration.failureThreshold, 3)
    assert.strictEqual(configuration.scans, "conf/results")
    assert.deepStrictEqual(configuration.driftThresholds, { major: 12.5, minor: 5, improvement: 3 })
    assert.deepStrictEqual(configuration.timeToLive, Duration.minutes(90))
    assert.deepStrictEqual(configuration.retryFor, Duration.days(2))
    assert.deepStrictEqual(configuration.remindAfter, Duration.hours(4))
    assert.deepStrictEqual(configuration.retention, { alerts: Duration.days(30), scans: Duration.hours(36) })
    const [console, webhook, slack] = configuration.channels
    assert.deepStrictEqual(console, {
      type: "console",
      name: "console",
      requiredTags: {},
      minSeverity: undefined,
      groupWait: Duration.seconds(10),
      groupInterval: Duration.minutes(5)
    })
    assert.deepInclude(webhook, {
      type: "webhook",
      name: "ops",
      requiredTags: { severity: "high", host_id: "abc" },
      minSeverity: "low"
    })
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
      probesHosts: true,
      interval: undefined,
      failureThreshold: undefined,
      retryInterval: undefined,
      changesPerHour: undefined,
      scans: undefined,
      driftThresholds: { major: 10, minor: 5, improvement: 5 },
      routesAlerts: true,
      timeToLive: undefined,
      retryFor: undefined,
      remindAfter: undefined,
      channels: [{
        type: "console",
        name: "console",
        requiredTags: {},
        minSeverity: undefined,
        groupWait: Duration.seconds(10),
        groupInterval: Duration.minutes(5)
      }],
      maintenance: [],
      retention: { alerts: Duration.days(365), scans: Duration.days(90) },
      nats: undefined,
      http: { host: "127.0.0.1", port: 7420, token: undefined, hosts: [] }
    })
  })

  it("a process that only probes, and one that only raises alerts", () => {
    const nats = (text: string) => `nats: { servers: ["nats://127.0.0.1:4222"], ${text} }`
    const probes = Result.getOrThrow(parse(
      `inventory: hosts.yaml\nalerts: false\n${nats("source: probes, export: [HeartbeatPulse, DriftDetected]")}`
    ))
    assert.deepInclude(probes, { probesHosts: true, routesAlerts: false, channels: [] })
    assert.deepStrictEqual(probes.nats, {
      servers: ["nats://127.0.0.1:4222"],
      source: "probes",
      subject: "openwatch",
      mode: "jetstream",
      export: ["HeartbeatPulse", "DriftDetected"],
      import: [],
      queue: undefined,
      credentials: undefined,
      tls: undefined,
      stream: undefined
    })
    const alerts = Result.getOrThrow(parse(`liveness: false\n${nats("source: alerts, import: [HeartbeatPulse]")}`))
    assert.deepInclude(alerts, { inventory: undefined, probesHosts: false, routesAlerts: true })
    assert.deepStrictEqual(alerts.channels.map(({ type }) => type), ["console"])
  })

  it("the example has a channel of each kind", () => {
    const text = readFileSync(new URL("../../../../examples/channels.yaml", import.meta.url), "utf8")
    const variables = Array.from(
      text.matchAll(/(?:_env|Authorization): ([A-Z_]+)/g),
      ([, name]) => [name, "https://secret/"]
    )
    const { channels } = Result.getOrThrow(parse(text, Object.fromEntries(variables)))
    assert.deepStrictEqual(channels.map(({ name }) => name), [
      "console",
      "email",
      "slack",
      "teams",
      "pagerduty",
      "tickets",
      "ntfy"
    ])
  })

  it("a body is JSON once it is filled in, unless the headers say that it is another thing", () => {
    const webhook = (more: string) =>
      problemsOf(`inventory: a\nchannels: [{ type: webhook, url: "http://x/", ${more} }]`)
    assert.match(
      webhook(`body: "{{title}}"`)[0]!,
      /^channels\[0\]\.body: it is not JSON once filled in: .*; expected JSON with/
    )
    assert.deepStrictEqual(webhook(`body: "{{title}}", headers: { Content-Type: text/plain }`), [])
    // It would be JSON for some alerts alone, or for none.
    const wrong = [`[{{reason}}]`, `{"score": {{current_score}}}`, `{"text": "{{alert}}"}`, `{"a": 1{{tags.1}}}`]
    for (const body of wrong) assert.include(webhook(`body: '${body}'`)[0], "each place but {{alert}} within quotes")
    assert.deepStrictEqual(webhook(`body: '{"a": {{ alert }}, "b": ["{{reason}}"]}'`), [])
    assert.match(webhook(`body: '{"a": "{{host name}}"}'`)[0]!, /there is no {{host name}}; expected one of id, /)
    const form = "headers: { Content-Type: application/x-www-form-urlencoded }"
    assert.deepStrictEqual(webhook(`body: "a=b+c&d={{ title }}", ${form}`), [])
    assert.match(
      webhook(`body: "a=b c&d={{title}}", ${form}`)[0]!,
      /^channels\[0\]\.body: it is no form: it has blanks/
    )
  })

  it("says how each kind of channel sends", () => {
    const { channels } = Result.getOrThrow(parse(
      `
inventory: a
channels:
  - type: webhook
    url: http://x/
    method: PUT
    headers: { X-Team: "ops" }
    headers_env: { Authorization: AUTH }
    body: '{"text": "{{title}}"}'
  - { type: teams, url_env: TEAMS, group_wait: 1m, group_interval: 0 }
  - { type: pagerduty, routing_key_env: KEY }
  - { type: pagerduty, name: eu, routing_key: k, url: "https://events.eu.pagerduty.com/v2/enqueue" }
  - { type: email, host: mail.example.org, from: openwatch@example.org, to: ops@example.org, group_wait: 0 }
  - type: email
    name: boss
    host: 192.0.2.25
    security: tls
    username: ada
    password_env: MAIL
    from: openwatch@example.org
    to: [boss@example.org, ops@example.org]
`,
      { AUTH: "Bearer T0K3N\n", TEAMS: "https://teams/x", KEY: "r0ut1ng\r\n", MAIL: "pa55word\n" }
    ))
    const [webhook, teams, pagerduty, eu, email, boss] = channels
    assert(webhook?.type === "webhook" && teams?.type === "teams" && pagerduty?.type === "pagerduty")
    assert(eu?.type === "pagerduty" && email?.type === "email" && boss?.type === "email")
    assert.deepInclude(webhook, { method: "PUT", body: { text: `{"text": "{{title}}"}`, format: "json" } })
    assert.deepStrictEqual(
      Object.entries(webhook.headers).map(([name, value]) => [name, Redacted.value(value)]),
      [["x-team", "ops"], ["authorization", "Bearer T0K3N"]]
    )
    assert.deepInclude(teams, { groupWait: Duration.minutes(1), groupInterval: Duration.zero })
    assert.deepStrictEqual([pagerduty, eu].map(({ routingKey, url }) => [routingKey, url].map(Redacted.value)), [
      ["r0ut1ng", "https://events.pagerduty.com/v2/enqueue"],
      ["k", "https://events.eu.pagerduty.com/v2/enqueue"]
    ])
    assert.deepInclude(email, {
      port: 587,
      security: "starttls",
      credentials: undefined,
      to: ["ops@example.org"],
      groupWait: Duration.zero
    })
    assert.deepInclude(boss, { port: 465, security: "tls", to: ["boss@example.org", "ops@example.org"] })
    assert.strictEqual(Redacted.value(boss.credentials!.password), "pa55word")
    for (const secret of ["T0K3N", "r0ut1ng", "pa55word"]) assert.notInclude(JSON.stringify(channels), secret)
  })

  it.effect("a tag that no alert of these hosts can have is refused, with the ones that there are", () =>
    Effect.gen(function*() {
      const hosts = [{ site: "berlin", role: "web" }, { site: "rome" }].map((tags, n) =>
        new Host({ id: hostIdFromName(`${n}`), name: `${n}`, address: "192.0.2.1", port: 22, tags })
      )
      const problemsOf = (tags: string, more = "") =>
        Configuration.checkTags(
          Result.getOrThrow(parse(`inventory: a\nchannels: [{ type: console, tags: ${tags} }]\n${more}`)),
          hosts
        ).pipe(Effect.match({ onFailure: ({ problems }) => problems, onSuccess: () => [] }))

      assert.deepStrictEqual(yield* problemsOf("{ site: rome, severity: high, host: x, score_delta: \"5\" }"), [])
      assert.deepStrictEqual(yield* problemsOf("{ sight: rome, role: db }"), [
        "channel \"console\": no alert can have the tag sight; " +
        "there are alert_type, host, host_id, role, score_delta, severity, site",
        "channel \"console\": no alert can have the tag role: db; the hosts have web"
      ])
      // Hosts that others know have tags of their own.
      assert.deepStrictEqual(
        yield* problemsOf(
          "{ sight: rome }",
          "nats: { servers: [\"nats://127.0.0.1:4222\"], source: alerts, import: [HeartbeatPulse] }"
        ),
        []
      )
    }))

  it("says how to reach NATS, without showing a secret", () => {
    const { nats } = Result.getOrThrow(parse(
      `
inventory: hosts.yaml
nats:
  servers: [tls://nats-1:4222, nats-2]
  source: probes
  subject: acme.watch
  mode: jetstream
  import: [DriftDetected]
  queue: routers
  user: ada
  password_env: NATS_PASSWORD
  tls: { ca_file: ca.pem, handshake_first: true }
  stream: { name: WATCH, max_age: 7d, max_bytes: 1000, discard: new, duplicate_window: 5m }
`,
      { NATS_PASSWORD: "pa55word" }
    ))
    assert(nats?.credentials?.type === "user")
    assert.strictEqual(Redacted.value(nats.credentials.password), "pa55word")
    assert.notInclude(JSON.stringify(nats), "pa55word")
    assert.deepInclude(nats, { servers: ["tls://nats-1:4222", "nats-2"], subject: "acme.watch", queue: "routers" })
    assert.deepInclude(nats.tls, { caFile: "conf/ca.pem", handshakeFirst: true })
    assert.deepInclude(nats.stream, {
      name: "WATCH",
      maxAge: Duration.days(7),
      maxBytes: 1000,
      discard: "new",
      duplicateWindow: Duration.minutes(5)
    })
    const credentialsOf = (text: string) =>
      Result.getOrThrow(
        parse(`inventory: a\nnats: { servers: [h], source: s, export: [DriftDetected], ${text} }`, { T: "t" })
      )
        .nats?.credentials
    assert.strictEqual(credentialsOf("token_env: T")?.type, "token")
    assert.strictEqual(credentialsOf("nkey_seed: SUA")?.type, "nkey")
    assert.deepStrictEqual(credentialsOf("creds_file: a.creds"), { type: "creds", file: "conf/a.creds" })
  })

  for (
    const [situation, text, problem] of [
      ["no server", "servers: []", "nats.servers: Expected at least one address"],
      [
        "a password in an address",
        "servers: [\"nats://ada:pa55word@host:4222\"]",
        "nats.servers[0]: Expected the address of a server, like nats://host:4222 or tls://host:4222, without user and password"
      ],
      [
        "a kind that there is not",
        "import: [Heartbeat]",
        "nats.import[0]: Expected one of HeartbeatPulse, DriftDetected, got \"Heartbeat\""
      ],
      [
        "no kind at all",
        "export: []",
        "nats: Expected kinds to `export` or to `import`; there are HeartbeatPulse and DriftDetected"
      ],
      [
        "a subject with a wildcard",
        "subject: watch.>",
        "nats.subject: Expected words joined by \".\", without blanks, \"*\" and \">\", got \"watch.>\""
      ],
      ["an unknown mode", "mode: kafka", "nats.mode: Expected one of core, jetstream, got \"kafka\""],
      [
        "a queue without imports",
        "queue: routers",
        "nats.queue: Expected kinds to `import` as well: a queue shares out what is imported"
      ],
      [
        "a stream of core",
        "mode: core, stream: {}",
        "nats.stream: Unknown key where `mode` is core: only JetStream has streams"
      ],
      ["a user without a password", "user: ada", "nats.password: Missing: a user has `password` or `password_env`"],
      ["a password without a user", "password: pa55word", "nats.user: Missing: a password is that of a user"],
      [
        "two ways to log in",
        "token: pa55word, creds_file: a.creds",
        "nats: `token` and `creds_file` are given; expected one way to log in"
      ],
      [
        "a variable that is not set",
        "token_env: NOPE",
        "nats.token_env: the environment variable NOPE is not set"
      ],
      [
        "an unknown key",
        "topic: x",
        "nats.topic: Unknown key: nats has `servers`, `source`, `subject`, `mode`, `export`, `import`, `queue`, `user`, " +
        "`password`, `password_env`, `token`, `token_env`, `nkey_seed`, `nkey_seed_env`, `creds_file`, `tls` and `stream`"
      ]
    ] as const
  ) {
    it(`names ${situation} of NATS`, () => {
      const given = { servers: "servers: [nats://host]", export: "export: [DriftDetected]", source: "source: probes" }
      const others = Object.entries(given).filter(([key]) => !text.startsWith(key)).map(([, entry]) => entry)
      const problems = problemsOf(`inventory: hosts.yaml\nnats: { ${[text, ...others].join(", ")} }\n`)
      assert.deepStrictEqual(problems, [problem])
      assert.notInclude(problems.join(), "pa55word")
    })
  }

  const natsWith = (text: string) => `nats: { servers: [nats://host], source: s, ${text} }`
  for (
    const [situation, text, problem] of [
      [
        "neither an inventory nor that nothing is probed",
        "channels: []",
        "inventory: Missing: expected a file that names the hosts, or `liveness: false` where none are probed"
      ],
      [
        "that nothing is left to do",
        "liveness: false",
        "liveness: false leaves nothing to do: expected `nats.import` or `scans`, which bring events, too"
      ],
      [
        "alerts that nobody raises",
        "inventory: a\nalerts: false",
        "alerts: false leaves alerts to another process: expected `nats.export` to have HeartbeatPulse and DriftDetected, too"
      ],
      [
        "a kind that nobody raises alerts for",
        `inventory: a\nalerts: false\n${natsWith("export: [HeartbeatPulse]")}`,
        "alerts: false leaves alerts to another process: expected `nats.export` to have DriftDetected, too"
      ],
      [
        "channels without alerts",
        `inventory: a\nalerts: false\nchannels: []\n${natsWith("export: [HeartbeatPulse, DriftDetected]")}`,
        "channels: Unknown key where `alerts` is false: no alerts are sent"
      ]
    ] as const
  ) {
    it(`names ${situation}`, () => assert.deepStrictEqual(problemsOf(text), [problem]))
  }

  for (
    const [situation, text, problem] of [
      [
        "an unknown type of channel",
        "channels: [{ type: pager }]",
        "channels[0].type: Expected one of console, webhook, slack, teams, pagerduty, email, got \"pager\""
      ],
      [
        "a tag filter that is no string",
        "channels: [{ type: console, tags: { severity: 5 } }]",
        "channels[0].tags.severity: Expected a text, got 5"
      ],
      [
        "a severity that there is not",
        "channels: [{ type: console, tags: { severity: hgh } }]",
        "channels[0].tags.severity: Expected one of critical, high, medium, low, info, got \"hgh\""
      ],
      [
        "a severity that is none",
        "channels: [{ type: console, min_severity: urgent }]",
        `channels[0].min_severity: Expected one of critical, high, medium, low, info, got "urgent"`
      ],
      [
        "a time to live that is too short",
        "alerts: { time_to_live: 59s }",
        "alerts.time_to_live: Expected a time span from 1m to 1d, got \"59s\""
      ],
      [
        "a time to live that is too long",
        "alerts: { time_to_live: 25h }",
        "alerts.time_to_live: Expected a time span from 1m to 1d, got \"25h\""
      ],
      [
        "a channel that is tried for too short a time",
        "alerts: { retry_for: 30s }",
        "alerts.retry_for: Expected a time span from 1m to 30d, got \"30s\""
      ],
      [
        "scans that are kept for too short a time",
        "retention: { scans: 0d }",
        "retention.scans: Expected a time span from 1d to 36500d, got \"0d\""
      ],
      [
        "a retention of something else",
        "retention: { events: 7d }",
        "retention.events: Unknown key: retention has `alerts` and `scans`"
      ],
      [
        "a time span without a unit",
        "liveness: { interval: \"5\" }",
        "liveness.interval: Expected a time span like 90s, 5m or 1h, got \"5\""
      ],
      [
        "a time span that is a number",
        "liveness: { interval: 5 }",
        "liveness.interval: Expected a time span from 1m to 1h, got 5"
      ],
      [
        "a number in quotes",
        "drift: { major: \"10\" }",
        "drift.major: Expected a number, got \"10\""
      ],
      [
        "a number of failures that is not whole",
        "liveness: { failure_threshold: 1.5 }",
        "liveness.failure_threshold: Expected a whole number, got 1.5"
      ],
      [
        "a folder without a name",
        "scans: \"\"",
        "scans: Expected a text that is not empty, got \"\""
      ],
      [
        "names that are no list",
        "http: { hosts: watch }",
        "http.hosts: Expected a list, got \"watch\""
      ],
      [
        "tags that are no mapping",
        "channels: [{ type: console, tags: high }]",
        "channels[0].tags: Expected a mapping, got \"high\""
      ],
      [
        "a switch that is neither on nor off",
        "nats: { servers: [a], source: b, export: [HeartbeatPulse], tls: { handshake_first: on } }",
        "nats.tls.handshake_first: Expected true or false, got \"on\""
      ],
      [
        "an unknown key",
        "chanels: []",
        "chanels: Unknown key: a configuration has `inventory`, `liveness`, `scans`, `drift`, `alerts`, `channels`, `maintenance`, `retention`, `nats` and `http`"
      ],
      [
        "a live page that is neither off nor told where",
        "http: true",
        "http: Expected false, or a mapping with the keys `host`, `port`, `token`, `token_env`, `tokens`, `hosts` and `url`"
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
        "a setting of another kind",
        "channels: [{ type: pagerduty, routing_key: k, group_wait: 10s }]",
        "channels[0].group_wait: Unknown key: a pagerduty channel has no group_wait"
      ],
      [
        "mail without a receiver",
        "channels: [{ type: email, host: h, from: a@b.org }]",
        "channels[0].to: Missing: an email channel has `to`"
      ],
      [
        "mail to nobody",
        "channels: [{ type: email, host: h, from: a@b.org, to: [] }]",
        "channels[0].to: Expected at least one mail address"
      ],
      [
        "a mail address that is none",
        "channels: [{ type: email, host: h, from: a@b.org, to: [ops] }]",
        "channels[0].to[0]: Expected a mail address, like ops@example.org, got \"ops\""
      ],
      [
        "a user without a password",
        "channels: [{ type: email, host: h, from: a@b.org, to: c@d.org, username: ada }]",
        "channels[0].password: Missing where there is a username"
      ],
      [
        "a password that everybody could read",
        "channels: [{ type: email, host: h, from: a@b.org, to: c@d.org, username: ada, password: pa55word, security: none }]",
        "channels[0].security: none would show the password to who listens; expected starttls or tls"
      ],
      [
        "a time to wait that is none",
        "channels: [{ type: console, group_wait: 5 }]",
        "channels[0].group_wait: Expected 0, or a time span like 90s, 5m or 1h"
      ],
      [
        "a time to wait that is too long",
        "channels: [{ type: console, group_interval: 2d }]",
        "channels[0].group_interval: Expected at most 24h, got \"2d\""
      ],
      [
        "a header that no request can carry",
        "channels: [{ type: webhook, url: \"http://x/\", headers: { A: \"pa55\\nword\" } }]",
        "channels[0].headers.A: it has a character that no header can carry; expected printable ASCII"
      ],
      [
        "a header that is not its own",
        "channels: [{ type: webhook, url: \"http://x/\", headers: { Content-Length: \"5\" } }]",
        "channels[0].headers.Content-Length: Expected the name of a header that is not of the connection or of OpenWatch"
      ],
      [
        "a key that no request can carry",
        "channels: [{ type: pagerduty, routing_key: \"pa55 w\\xF6rd\" }]",
        "channels[0].routing_key: Expected the integration key of a service: letters and digits"
      ],
      [
        "a password in a URL that is not escaped",
        "channels: [{ type: webhook, url: \"http://ada:pa55%word@x/\" }]",
        "channels[0].url: the user or the password in it has a % that begins no escape; expected %25 for a %"
      ],
      [
        "a place in a body that is none",
        "channels: [{ type: webhook, url: \"http://x/\", body: \"{{titel}}\" }]",
        "channels[0].body: there is no {{titel}}; expected one of id, state, type, severity, title, host, host_id, address, reason, reason_code, prior_score, current_score, key, resolves, supersedes, link, time, alert, tags.NAME"
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
    const result = parse("inventory: 3\nchannels: [{ type: pager }]\nalerts: 5")
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

  it.effect("is refused where it is no text in UTF-8, instead of with other names than it has", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped()}/openwatch.yaml`
      yield* fs.writeFile(file, Buffer.from("inventory: münchen.yaml", "latin1"))
      const error = yield* Effect.flip(Configuration.load(file, {}))
      assert.deepStrictEqual(error.problems, ["not a text in UTF-8"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("is refused where the folder of scans is a file; one that is missing may come", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const file = `${folder}/openwatch.yaml`
      yield* fs.writeFileString(file, "inventory: hosts.yaml\nscans: openwatch.yaml\n")
      const error = yield* Effect.flip(Configuration.load(file, {}))
      assert.deepStrictEqual(error.problems, [`scans: Expected a folder, ${file} is none`])
      yield* fs.writeFileString(file, "inventory: hosts.yaml\nscans: later\n")
      assert.strictEqual((yield* Configuration.load(file, {})).scans, `${folder}/later`)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("what those need who take in scans", () => {
  const load = (text: string) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const file = `${folder}/openwatch.yaml`
      yield* fs.writeFileString(file, text)
      const { driftThresholds, inventory } = yield* Configuration.loadForScans(file)
      return { driftThresholds, inventory: inventory?.replace(folder, "") }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

  it.effect("is the inventory and the thresholds, and no secret of a channel or the page", () =>
    Effect.gen(function*() {
      const text = "inventory: hosts.yaml\ndrift: { major: 20 }\nchannels: [{ type: slack, url_env: NOT_SET }]\n" +
        "http: { token_env: NOT_SET }\n"
      assert.deepStrictEqual(yield* load(text), {
        inventory: "/hosts.yaml",
        driftThresholds: { major: 20, minor: 5, improvement: 5 }
      })
      assert.deepStrictEqual((yield* load("scans: a\nliveness: false")).inventory, undefined)
    }))

  it.effect("is refused where it is wrong", () =>
    Effect.gen(function*() {
      const problems = (text: string) => Effect.map(Effect.flip(load(text)), (error) => String(error))
      assert.match(yield* problems("inventory: a\ndrift: { major: 1 }"), /drift: /)
      assert.match(yield* problems("inventory: a\nchannels: [{ type: pigeon }]"), /channels\[0\]\.type: /)
    }))
})
