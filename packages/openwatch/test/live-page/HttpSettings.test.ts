import { assert, describe, it } from "@effect/vitest"
import { hostIdFromName, HttpSettings, LivePage } from "@openwatch/openwatch"
import { Redacted, Result, Schema } from "effect"

const token = "correct horse battery staple"

const problems = (entry: typeof HttpSettings.HttpEntry.Type, environment: Record<string, string> = {}) => {
  const settings = HttpSettings.read(entry, environment)
  return Result.isFailure(settings) ? settings.failure : []
}

describe("where the live page is served", () => {
  it("is 127.0.0.1:7420, without a token, where nothing is said", () => {
    assert.deepStrictEqual(
      HttpSettings.read(undefined, {}),
      Result.succeed({ host: "127.0.0.1", port: 7420, token: undefined, hosts: [] })
    )
  })

  it("may be any loopback address without a token", () => {
    for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) assert.deepStrictEqual(problems({ host }), [])
  })

  it("may be no other address without a token", () => {
    for (
      const host of [
        "0.0.0.0",
        "::",
        "192.0.2.1",
        "watch.example.org",
        "127.0.0.1.example.org",
        "localhost.example.org"
      ]
    ) {
      const [problem] = problems({ host })
      assert.include(problem, `http.token: Missing: "${host}" is not a loopback address`)
    }
  })

  it("may be any address with a token, from the file or the environment", () => {
    assert.deepStrictEqual(problems({ host: "0.0.0.0", token }), [])
    const settings = Result.getOrThrow(HttpSettings.read({ host: "::", token_env: "TOKEN" }, { TOKEN: `${token}\r\n` }))
    assert.strictEqual(Redacted.value(settings!.token!), token)
  })
})

it("has an address of its own, under which browsers may ask for it, and hosts have theirs", () => {
  const url = "https://watch.example.org/fleet"
  assert.deepInclude(
    Result.getOrThrow(HttpSettings.read({ url, hosts: ["a", "watch.example.org"] }, {})),
    { url, hosts: ["a", "watch.example.org"] }
  )
  assert.deepInclude(Result.getOrThrow(HttpSettings.read({ url }, {})), { hosts: ["watch.example.org"] })
  const id = hostIdFromName("web")
  assert.strictEqual(LivePage.addressOfHost(url)(id), `https://watch.example.org/fleet/#/hosts/${id}`)
  assert.strictEqual(LivePage.addressOfHost(`${url}/`)(id), `https://watch.example.org/fleet/#/hosts/${id}`)
})

it("nowhere, where the entry is false", () => {
  assert.deepStrictEqual(HttpSettings.read(false, {}), Result.succeed(undefined))
})

describe("tokens of people", () => {
  it("let in by name, and are enough on any address", () => {
    const settings = Result.getOrThrow(
      HttpSettings.read({ host: "::", tokens: [{ name: "ada", token }, { name: "grace", token_env: "G" }] }, {
        G: token
      })
    )
    assert.deepStrictEqual(settings?.tokens?.map(({ name, token }) => [name, Redacted.value(token)]), [
      ["ada", token],
      ["grace", token]
    ])
  })

  it("are refused without a token, with one that is no good, and twice by one name", () => {
    assert.deepStrictEqual(
      problems({ tokens: [{ name: "ada" }, { name: "ada", token: "hunter2" }, { name: "g", token_env: "G" }] }),
      [
        "http.tokens[0].token: Missing: expected `token` or `token_env`",
        "http.tokens[1].name: \"ada\" is already the name of http.tokens[0]",
        "http.tokens[1].token: it is 7 characters long, expected at least 16",
        "http.tokens[2].token_env: the environment variable G is not set"
      ]
    )
  })
})

describe("a token that is no good stops everything, and is not shown", () => {
  it("too short", () => {
    assert.deepStrictEqual(problems({ token: "hunter2" }), [
      "http.token: it is 7 characters long, expected at least 16"
    ])
    assert.deepStrictEqual(problems({ token: "" }), ["http.token: it is 0 characters long, expected at least 16"])
  })

  it("a variable that is not set, which is no leave to go without", () => {
    assert.deepStrictEqual(problems({ token_env: "TOKEN" }), [
      "http.token_env: the environment variable TOKEN is not set"
    ])
  })

  it("with a character that no request can carry", () => {
    for (const bad of [`${token}\u0007`, `${token} é`, `${token}\nx`]) {
      assert.include(problems({ token: bad })[0], "http.token: it has a character that no request can carry")
    }
  })

  it("given twice", () => {
    assert.include(problems({ token, token_env: "TOKEN" })[0], "http.token_env: `token` is given as well")
  })

  it("not a text", () => {
    const decoded = Schema.decodeUnknownResult(HttpSettings.HttpEntry)({ token: 123_456_789 })
    assert.isTrue(Result.isFailure(decoded))
    assert.notInclude(String(Result.isFailure(decoded) && decoded.failure), "123456789")
  })
})

describe("the entry", () => {
  const message = (entry: unknown) => {
    const decoded = Schema.decodeUnknownResult(HttpSettings.HttpEntry, { onExcessProperty: "error" })(entry)
    return Result.isFailure(decoded) ? String(decoded.failure) : ""
  }

  it("names an unknown key and those that there are", () => {
    assert.include(
      message({ address: "::1" }),
      "http has `host`, `port`, `token`, `token_env`, `tokens`, `hosts` and `url`"
    )
  })

  it("names a port that is none and hosts that are URLs", () => {
    assert.include(message({ port: 70_000 }), "a port, 0 to 65535")
    for (const url of ["watch.example.org", "ftp://x/", "https://ada:pw@x/", "https://x/?a", "https://x/#a"]) {
      assert.include(message({ url }), "the address of the page, like https://watch.example.org/")
    }
    assert.include(message({ hosts: ["https://watch.example.org"] }), "a host name, without scheme or port")
  })
})
