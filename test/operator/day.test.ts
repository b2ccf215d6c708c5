/**
 * An operator's day: OpenWatch as a process, its commands in a shell, its page in a browser, and a mail server that takes what it
 * sends.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, layer, vi } from "@effect/vitest"
import { Effect, FileSystem, Layer, Queue } from "effect"
import { ChildProcess } from "effect/process"
import type { Page } from "playwright-core"
import { violations } from "../../packages/inspector/test/browser/axe.ts"
import { Browser, isMissing, openPage, see } from "../../packages/inspector/test/browser/browser.ts"
import { mailServer } from "../../packages/openwatch/test/channels/MailServer.ts"
import * as Command from "../../packages/openwatch/test/cli/command.ts"
import * as OpenWatch from "../../packages/openwatch/test/live-page/openwatchRun.ts"

// Each step waits for as long as it takes, on a busy machine too.
vi.setConfig({ testTimeout: 600_000 })

/** A mail server that refuses what it has read while `isBroken`. */
const mailbox = Effect.gen(function*() {
  const received = yield* Queue.unbounded<string>()
  const state = { isBroken: false }
  const { port } = yield* mailServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    onData: (stream, _session, done) => {
      const chunks: Array<Buffer> = []
      stream.on("data", (chunk: Buffer) => chunks.push(chunk))
      stream.on("end", () => {
        if (state.isBroken) return done(Object.assign(new Error("this mailbox is full"), { responseCode: 552 }))
        // Quoted-printable breaks long lines.
        Queue.offerUnsafe(received, Buffer.concat(chunks).toString("utf8").replaceAll("=\r\n", ""))
        done(null, "kept")
      })
    }
  })
  const read: Array<string> = []
  /** The first mail from now on that says this; those before it are read, too. */
  const awaitMail = (text: RegExp): Effect.Effect<string> =>
    Effect.gen(function*() {
      for (;;) {
        const mail = yield* Queue.take(received)
        read.push(mail)
        if (text.test(mail)) return mail
      }
    })
  return { port, state, read, awaitMail }
})

/** The hosts of an inventory, each an SSH server that can die and come back. */
const makeFleet = Effect.fnUntraced(function*(folder: string, names: ReadonlyArray<string>) {
  const hosts = new Map<string, { readonly port: number; readonly close: Effect.Effect<void> }>()
  for (const name of names) hosts.set(name, yield* OpenWatch.sshServer)
  let isNumbered = true
  // A host that moves is probed at once, without an interval's wait: so each change moves all of them.
  const write = Effect.suspend(() => {
    isNumbered = !isNumbered
    const address = isNumbered ? "127.0.0.1" : "localhost"
    return OpenWatch.writeHosts(folder, Array.from(hosts, ([name, { port }]) => ({ name, address, port })))
  })
  yield* write
  return {
    die: (name: string) => Effect.andThen(hosts.get(name)!.close, write),
    comeBack: (name: string) =>
      Effect.gen(function*() {
        hosts.set(name, yield* OpenWatch.sshServer)
        yield* write
      })
  }
})

/** Runs a line in a shell, in which `openwatch` is the command; what it printed. */
const shell = Effect.fnUntraced(function*(folder: string, line: string) {
  const { exitCode, stderr, stdout } = yield* Command.run(ChildProcess.make(
    "sh",
    ["-c", `openwatch() { "${process.execPath}" "${Command.bin}" "$@"; }\n${line}`],
    { cwd: folder, env: Command.environment, extendEnv: false, stdin: "ignore" }
  ))
  assert.strictEqual(exitCode, 0, `${line}\n${stdout}${stderr}`)
  return stdout
})

const configuration = (mailPort: number) => ({
  inventory: "hosts.yaml",
  liveness: { failure_threshold: 1 },
  http: { port: 0 },
  channels: [{
    type: "email",
    host: "127.0.0.1",
    port: mailPort,
    security: "none",
    from: "openwatch@example.org",
    to: ["ops@example.org"],
    group_wait: 0
  }]
})

const click = (page: Page, name: string | RegExp) =>
  Effect.promise(() => page.getByRole("link", { name }).first().click())

describe.skipIf(isMissing)("an operator's day", () => {
  layer(Layer.merge(Browser.layer, NodeServices.layer), { excludeTestServices: true })((it) => {
    it.effect("from a host that dies to a channel that is mended", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* OpenWatch.makeFolder(false, [])
        const mail = yield* mailbox
        yield* fs.writeFileString(`${folder}/openwatch.yaml`, JSON.stringify(configuration(mail.port)))
        const fleet = yield* makeFleet(folder, ["web-1", "db-1", "mail-1"])
        const run = yield* OpenWatch.start(folder)
        const { page, problems } = yield* openPage(yield* run.url)
        const openwatch = (line: string) => shell(folder, `openwatch ${line} --data data`)
        const idOf = Effect.fnUntraced(function*(host: string) {
          const [first] = (yield* openwatch(`alerts list --host ${host} --state open --json`)).trim().split("\n")
          return (JSON.parse(first!) as { readonly id: string }).id
        })
        yield* see(page, ".choice.reachable", "3 reachable")
        yield* see(page, ".alerts", "None. All is as it should be.")

        // A host dies, and the mail says why.
        yield* fleet.die("web-1")
        const told = yield* mail.awaitMail(/web-1/)
        assert.match(told, /web-1 .*is unreachable: connection refused/)
        yield* see(page, ".glance.bad", "1 host is down")
        yield* see(page, ".alerts li", /web-1 .*is unreachable: connection refused/)

        // Somebody looks after it, wants two hours of silence, and says that it is worked on.
        const id = yield* idOf("web-1")
        yield* Effect.promise(() => page.getByRole("button", { name: /^Change: web-1/ }).click())
        yield* see(page, "dialog", "What becomes of this alert?")
        assert.deepStrictEqual(yield* violations(page), [])
        yield* Effect.promise(() => page.getByLabel("Why").fill("I am on it"))
        yield* Effect.promise(() => page.getByRole("button", { name: "Acknowledge" }).click())
        yield* see(page, ".alerts li", /acknowledged/)
        yield* openwatch(`alerts silence ${id} --for 2h --why "a new disk"`)
        assert.include(yield* openwatch("alerts list --state silenced"), "web-1")
        yield* openwatch("maintenance add web-1 --for 2h --why \"a new disk\"")
        assert.include(yield* openwatch("maintenance list"), "web-1")

        // It comes back, and its own view says so.
        yield* fleet.comeBack("web-1")
        yield* see(page, ".choice.reachable", "3 reachable")
        yield* click(page, /web-1/)
        yield* see(page, ".host h2", "web-1")
        yield* see(page, ".condition", "reachable")
        yield* see(page, ".past-alerts tr", /resolved.*web-1 .*is unreachable: connection refused/)
        yield* see(page, ".past-alerts tr", /web-1 .*is reachable again/)
        assert.deepStrictEqual(yield* violations(page), [])
        yield* Effect.promise(() => page.goBack())
        yield* see(page, ".alerts", "None. All is as it should be.")

        // Another dies while it is in maintenance, and is told of when that ends.
        yield* openwatch("maintenance add db-1 --for 2h")
        yield* fleet.die("db-1")
        yield* see(page, ".alerts li", /db-1 .*is unreachable/)
        assert.deepStrictEqual(mail.read.filter((text) => text.includes("db-1")), [])
        yield* openwatch("maintenance end db-1")
        assert.match(yield* mail.awaitMail(/db-1/), /Still open after maintenance/)

        // The mailbox is full: what was not delivered is shown, and is sent again once that is mended.
        mail.state.isBroken = true
        yield* fleet.die("mail-1")
        yield* see(page, ".undelivered", "1 delivery was given up.")
        yield* click(page, "See the dead letters")
        yield* see(page, ".letters li", "this mailbox is full")
        assert.include(yield* openwatch("alerts list --host mail-1"), "this mailbox is full")
        mail.state.isBroken = false
        yield* openwatch(`alerts resend ${yield* idOf("mail-1")}`)
        assert.match(yield* mail.awaitMail(/mail-1/), /mail-1 .*is unreachable: connection refused/)
        yield* Effect.promise(() => page.locator(".letters li").first().waitFor({ state: "detached" }))
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped))
  })
})
