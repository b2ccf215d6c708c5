/**
 * What a stranger runs of each package, in a folder where its README's programs are `program-0.js`, `program-1.js` and so on.
 */
import { spawnSync } from "node:child_process"

export interface Command {
  readonly what: string
  /** Of Node. */
  readonly args: ReadonlyArray<string>
  /** What it prints, among other things. */
  readonly expected: string
}

export interface Trial {
  /** What the README's programs import, and their reader has already. */
  readonly besides?: ReadonlyArray<string>
  readonly commands: readonly [Command, ...ReadonlyArray<Command>]
  /** Where the first command runs besides Node. */
  readonly runtimes?: ReadonlyArray<"bun" | "deno">
  /** The oldest Node, where what the program needs besides asks for a later one than the package. */
  readonly oldestNode?: number
  /** Types of somebody else that do not pass. */
  readonly skipLibCheck?: true
}

const program = (expected: string): Command => ({ what: "the program of its README", args: ["program-0.js"], expected })

/**
 * Waits for the page that the program serves, and ends the program with the process. A server of Effect that listens already and
 * serves not yet leaves a request without a response, so each try has a time-out.
 */
const servesPage = `
await import("./program-0.js")
const again = () => new Promise((resume) => setTimeout(resume, 100)).then(get)
const get = () => fetch("http://127.0.0.1:7420/bus/", { signal: AbortSignal.timeout(1000) }).catch(again)
const response = await get()
console.log(response.status, (await response.text()).includes("<!doctype html>") ? "a page" : "something else")
process.exit(0)
`

/**
 * Runs both processes of the program on a server of its own, in place of those that it names. It ends once the one that reacts
 * has said what it was told.
 */
const runsOnServer = `
import { Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
const folder = mkdtempSync("jetstream-")
const server = spawn("nats-server", ["-js", "-sd", folder, "-a", "127.0.0.1", "-p", "-1"])
process.once("exit", () => {
  server.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})
const port = await new Promise((resolve) => {
  let log = ""
  server.stderr.on("data", (text) => {
    log += text
    if (log.includes("Server is ready")) resolve(/client connections on 127.0.0.1:(\\d+)/.exec(log)[1])
  })
})
const program = readFileSync("program-0.js", "utf8").replace(/const servers = .*/, \`const servers = "nats://127.0.0.1:\${port}"\`)
writeFileSync("on-server.js", program)
const { first, second } = await import(process.cwd() + "/on-server.js")
const log = console.log
console.log = (...said) => {
  log(...said)
  if (String(said[0]).endsWith("is down")) process.exit(0)
}
Effect.runFork(Layer.launch(second))
Effect.runFork(Layer.launch(first))
`

const hasNatsServer = spawnSync("nats-server", ["--version"]).status === 0

export const trials: Readonly<Record<string, Trial>> = {
  "@openwatch/event-bus": {
    commands: [
      program("web-1 is down"),
      {
        what: "require",
        args: [
          "--input-type=commonjs",
          "--eval",
          `console.log(typeof require("@openwatch/event-bus").EventBus.Service)`
        ],
        expected: "function"
      }
    ],
    runtimes: ["bun", "deno"]
  },
  "@openwatch/event-bus-conformance": {
    besides: ["vitest@^5.1.1", "@effect/vitest@^4.0.5"],
    commands: [{
      what: "the tests of its README",
      args: ["node_modules/vitest/vitest.mjs", "run"],
      expected: "2 passed"
    }],
    oldestNode: 24
  },
  "@openwatch/event-bus-nats": {
    besides: ["@openwatch/event-bus-sql"],
    commands: [
      hasNatsServer
        ? {
          what: "the program of its README",
          args: ["--input-type=module", "--eval", runsOnServer],
          expected: "web-1 is down"
        }
        : {
          what: "the program of its README is loaded, and not run (apt-get install nats-server)",
          args: ["program-0.js"],
          expected: ""
        }
    ],
    // Those of the NATS client, under exactOptionalPropertyTypes.
    skipLibCheck: true
  },
  "@openwatch/event-bus-sql": { commands: [program("mail for order 1")] },
  "@openwatch/inspector": {
    besides: ["@openwatch/event-bus-sql"],
    commands: [{
      what: "the page of its README's program",
      args: ["--input-type=module", "--eval", servesPage],
      expected: "200 a page"
    }]
  },
  "@openwatch/openwatch": {
    commands: [{
      what: "the command line",
      args: ["node_modules/@openwatch/openwatch/bin/openwatch.js", "--help"],
      expected: "check"
    }]
  }
}
