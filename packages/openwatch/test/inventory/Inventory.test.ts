import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Host, HostId, hostIdFromName, hostNamespace, Inventory } from "@openwatch/openwatch"
import { Effect, FileSystem, Result } from "effect"
import { createHash } from "node:crypto"

const hostsOf = (text: string) => Result.getOrThrow(Inventory.parse("hosts.yaml", text)).hosts

const problemsOf = (text: string): ReadonlyArray<string> => {
  const parsed = Inventory.parse("hosts.yaml", text)
  return Result.isFailure(parsed) ? parsed.failure.problems : []
}

describe("a host", () => {
  it("has what the file says", () => {
    const text = `
hosts:
  - name: web-1
    address: 10.0.0.11
    port: 2222
    id: 0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e
  - name: Datenbank München
    address: db.example.org
    port: 65535
    id: 6f1d2c3b-4a59-4876-9a8b-7c6d5e4f3a2b
`
    assert.deepStrictEqual(hostsOf(text), [
      new Host({
        id: HostId.make("0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e"),
        name: "web-1",
        address: "10.0.0.11",
        port: 2222
      }),
      new Host({
        id: HostId.make("6f1d2c3b-4a59-4876-9a8b-7c6d5e4f3a2b"),
        name: "Datenbank München",
        address: "db.example.org",
        port: 65535
      })
    ])
  })

  it("answers on port 22 where none is given", () => {
    assert.deepStrictEqual(hostsOf("hosts: [{ name: a, address: '::1' }]").map(({ port }) => port), [22])
  })

  it("has the tags that the file gives it", () => {
    const hosts = hostsOf("hosts: [{ name: a, address: a, tags: { site: Berlin Mitte } }, { name: b, address: b }]")
    assert.deepStrictEqual(hosts.map(({ tags }) => tags), [{ site: "Berlin Mitte" }, {}])
  })

  it.each([
    ["severity: high", "hosts[0].tags.severity: Expected the name of a tag"],
    ["a=b: c", "hosts[0].tags.a=b: Expected the name of a tag, of letters, digits"],
    ["site: ''", "Expected a text without control characters or blanks around it (5 and true need quotes)"],
    ["site: 5", "Expected a text without control characters or blanks around it (5 and true need quotes), got 5"]
  ])("cannot have the tag %s", (tag, problem) => {
    const [first, ...others] = problemsOf(`hosts: [{ name: a, address: a, tags: { ${tag} } }]`)
    assert.deepStrictEqual(others, [])
    assert.include(first, problem)
  })

  it("keeps its id in lower case, however it is written", () => {
    const [host] = hostsOf("hosts: [{ name: a, address: a, id: 0192D3A4-8F00-7CC0-9A51-3F6B8E0C1D2E }]")
    assert.strictEqual(host?.id, "0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e")
  })

  it("has an id derived from its name where none is given", () => {
    const [host] = hostsOf("hosts: [{ name: web-1, address: 10.0.0.11 }]")
    assert.strictEqual(host?.id, hostIdFromName("web-1"))
  })

  it.each(["10.0.0.1", "2001:db8::1", "fe80::1%eth0", "web-1", "web_1.example.org.", "bücher.example"])(
    "may have the address %s",
    (address) => {
      assert.deepStrictEqual(hostsOf(`hosts: [{ name: a, address: "${address}" }]`).map((host) => host.address), [
        address
      ])
    }
  )
})

describe("a derived id", () => {
  // RFC 9562 section 5.5, from its text: SHA-1 over namespace and name, then version 5 and the RFC's variant.
  const uuidV5 = (name: string) => {
    const bytes = createHash("sha1").update(Buffer.from(hostNamespace.replaceAll("-", ""), "hex")).update(name).digest()
    bytes[6] = (bytes[6]! & 0x0f) | 0x50
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    return bytes.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
  }

  it.each(["web-1", "Datenbank München", "x".repeat(1_000)])("of %s is the UUIDv5 of the name", (name) => {
    assert.strictEqual(hostIdFromName(name), uuidV5(name))
  })

  it("is the same in every release", () => {
    assert.strictEqual(hostIdFromName("web-1"), "7fedb287-e45f-5057-9d63-b5dc13ffdbf6")
  })
})

describe("an inventory is refused", () => {
  it.each([
    [
      "a port that is none",
      "hosts: [{ name: a, address: a, port: 70000 }]",
      "hosts[0].port: Expected a port, 1 to 65535, got 70000"
    ],
    ["port 0", "hosts: [{ name: a, address: a, port: 0 }]", "hosts[0].port: Expected a port, 1 to 65535, got 0"],
    [
      "a port in quotes",
      "hosts: [{ name: a, address: a, port: '22' }]",
      "hosts[0].port: Expected a port, 1 to 65535, got \"22\""
    ],
    ["no name", "hosts: [{ address: a }]", "hosts[0].name: Missing"],
    [
      "an empty name",
      "hosts: [{ name: '', address: a }]",
      "hosts[0].name: Expected a text without control characters or blanks around it (5 and true need quotes), got \"\""
    ],
    [
      "a name that could forge a line",
      "hosts: [{ name: \"a\\nb\", address: a }]",
      "hosts[0].name: Expected a text without control characters or blanks around it (5 and true need quotes), got \"a\\nb\""
    ],
    [
      "a name with a line separator",
      "hosts: [{ name: \"a\\u2028b\", address: a }]",
      "hosts[0].name: Expected a text without control characters or blanks around it (5 and true need quotes), got \"a\u2028b\""
    ],
    ["no address", "hosts: [{ name: a }]", "hosts[0].address: Missing"],
    [
      "an address with its port",
      "hosts: [{ name: a, address: '10.0.0.1:22' }]",
      "hosts[0].address: Expected an IP address or a host name (a port goes into `port`), got \"10.0.0.1:22\""
    ],
    [
      "an address that is a number too large",
      "hosts: [{ name: a, address: 10.0.0.256 }]",
      "hosts[0].address: Expected an IP address or a host name (a port goes into `port`), got \"10.0.0.256\""
    ],
    [
      "an address with a character that is not shown",
      "hosts: [{ name: a, address: \"\\u00adexample.org\" }]",
      "hosts[0].address: Expected an IP address or a host name (a port goes into `port`), got \"\u00adexample.org\""
    ],
    [
      "an address whose zone turns text around",
      "hosts: [{ name: a, address: \"fe80::1%eth0\\u202e\" }]",
      "hosts[0].address: Expected an IP address or a host name (a port goes into `port`), got \"fe80::1%eth0\u202e\""
    ],
    [
      "an id that is no UUID",
      "hosts: [{ name: a, address: a, id: web-1 }]",
      "hosts[0].id: Expected a UUID, got \"web-1\""
    ],
    [
      "a key that is not known",
      "hosts: [{ name: a, address: a, prot: 22 }]",
      "hosts[0].prot: Unknown key: a host has `name`, `address`, `port`, `id` and `tags`"
    ],
    [
      "a key beside hosts",
      "hosts: [{ name: a, address: a }]\ninterval: 60",
      "interval: Unknown key: an inventory has `hosts` and nothing else"
    ],
    [
      "a host that is no mapping",
      "hosts: [web-1]",
      "hosts[0]: Expected a host: a mapping with the keys `name` and `address`, and perhaps `port`, `id` and `tags`"
    ],
    ["hosts that are no list", "hosts: web-1", "hosts: Expected a list of hosts"],
    ["no hosts", "hosts: []", "hosts: Expected at least one host"],
    ["a list", "- name: a", "Expected a mapping with the key `hosts`"],
    ["nothing", "", "the file is empty: expected a mapping with the key `hosts`"],
    ["a comment alone", "# to do\n", "the file is empty: expected a mapping with the key `hosts`"]
  ])("for %s", (_, text, problem) => {
    assert.deepStrictEqual(problemsOf(text), [problem])
  })

  it("for two hosts with one name", () => {
    const text = "hosts: [{ name: a, address: a }, { name: b, address: b }, { name: a, address: c }]"
    assert.deepStrictEqual(problemsOf(text), ["hosts[2].name: \"a\" is already the name of hosts[0]"])
  })

  it("for two hosts with one id, written differently", () => {
    const text = `
hosts:
  - { name: a, address: a, id: 0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e }
  - { name: b, address: b, id: 0192D3A4-8F00-7CC0-9A51-3F6B8E0C1D2E }
`
    assert.deepStrictEqual(problemsOf(text), [
      "hosts[1].id: 0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e is already the id of hosts[0]"
    ])
  })

  it("for an id that is another host's derived one", () => {
    const text = `hosts: [{ name: a, address: a }, { name: b, address: b, id: ${hostIdFromName("a")} }]`
    assert.deepStrictEqual(problemsOf(text), [`hosts[1].id: ${hostIdFromName("a")} is already the id of hosts[0]`])
  })

  it("with everything that is wrong, at once", () => {
    const parsed = Inventory.parse(
      "fleet/hosts.yaml",
      "hosts: [{ name: a, adress: b }, { name: c, address: d, port: -1 }]"
    )
    assert.isTrue(Result.isFailure(parsed))
    assert.strictEqual(
      Result.isFailure(parsed) ? parsed.failure.message : "",
      "inventory fleet/hosts.yaml has 3 errors:\n" +
        "  hosts[0].adress: Unknown key: a host has `name`, `address`, `port`, `id` and `tags`\n" +
        "  hosts[0].address: Missing\n" +
        "  hosts[1].port: Expected a port, 1 to 65535, got -1"
    )
  })
})

describe("YAML that cannot be read", () => {
  const good = Array.from({ length: 50 }, (_, n) => `  - name: web-${n}\n    address: 10.0.0.${n}\n`)
  const broken = (line: string) => ["hosts:\n", ...good.slice(0, 20), line, ...good.slice(20)].join("")

  it.each([
    ["a tab", "\t- name: a\n"],
    ["an escape that is none", "  - name: \"a\\q\"\n"],
    ["an open bracket", "  - { name: a\n"],
    ["an alias without anchor", "  - name: *a\n"],
    ["a key twice", "  - { name: a, name: b }\n"]
  ])("is refused with its line: %s", (_, line) => {
    const [problem, ...others] = problemsOf(broken(line))
    assert.deepStrictEqual(others, [])
    assert.match(problem ?? "", /^not readable as YAML: .+ line 42$/)
  })

  it("is refused with its line: a quote that is still open at the end", () => {
    assert.deepStrictEqual(problemsOf(`hosts:\n${good.join("")}  - name: 'a\n    `), [
      "not readable as YAML: Unterminated quoted YAML scalar, near line 102"
    ])
  })
})

describe("a file", () => {
  const load = (file: string) => Inventory.load(file).pipe(Effect.flip, Effect.map((error) => error.message))

  it.effect("is read", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped({ suffix: ".yaml" })
      yield* fs.writeFileString(file, "hosts:\r\n  - name: a\r\n    address: b\r\n")
      const inventory = yield* Inventory.load(file)
      assert.strictEqual(inventory.file, file)
      assert.deepStrictEqual(inventory.hosts.map(({ name }) => name), ["a"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("that is not there is named", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* load("no/such.yaml"), "inventory no/such.yaml: no such file")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("that is a directory is named", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      assert.strictEqual(yield* load(directory), `inventory ${directory}: not a file`)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
