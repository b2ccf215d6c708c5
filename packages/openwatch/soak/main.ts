/**
 * `npm run soak:openwatch [-- MINUTES]`, or for what `storm.ts` says `npm run soak:openwatch -- storm [MINUTES]`: `openwatch run` for a while, two minutes by default, while hosts go down and come up,
 * scans get worse and better, the process is paused, its receiver fails and drips, and files cannot be read.
 *
 * The script knows what is true at each moment. In the end, and whenever things have been as they are for long enough, exactly
 * the alerts have to be open that follow from it; no alert may ever be raised for a host that was always up, and what the
 * receiver got has to be what was raised. Exits with 1 where it is not so.
 */
import { execFile, spawn } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

if (process.argv[2] === "storm") await import("./storm.ts")

const minutes = Number(process.argv[2] ?? 2)
if (!(minutes > 0)) {
  console.error("usage: npm run soak:openwatch [-- MINUTES]")
  process.exit(2)
}

const bin = fileURLToPath(new URL("../bin/openwatch.js", import.meta.url))
const folder = mkdtempSync(`${tmpdir()}/openwatch-soak-`)
const data = `${folder}/data`
const log = (line: string) => console.log(`${new Date().toISOString().slice(11, 19)}  ${line}`)

// -----------------------------------------------------------------------------
// What is true
// -----------------------------------------------------------------------------

/** A host is up while somebody greets on its port like an SSH server. */
class Host {
  readonly name: string
  readonly server: Net.Server
  readonly port: number
  isUp = true
  wasEverDown = false
  private changes: Array<number> = []
  private flaps = false

  constructor(name: string, server: Net.Server) {
    this.name = name
    this.server = server
    this.port = (server.address() as Net.AddressInfo).port
  }

  greet(socket: Net.Socket): void {
    socket.on("error", () => {})
    if (this.isUp) socket.end("Welcome\r\nSSH-2.0-soak\r\n")
    else socket.destroy()
  }

  set(isUp: boolean): void {
    this.isUp = isUp
    this.wasEverDown ||= !isUp
    const wasFlapping = this.isFlapping
    const now = Date.now()
    this.changes = this.changes.filter((at) => now - at < 3_600_000).concat(now)
    this.flaps = wasFlapping || this.changes.length > 4
  }

  /** Of more than four changes in an hour one alert tells, which is open until the host has kept its state for half an hour. */
  get isFlapping(): boolean {
    return this.flaps && Date.now() - this.changes.at(-1)! < 1_800_000
  }
}

const hosts: Array<Host> = []
for (let n = 0; n < 30; n++) {
  const server = Net.createServer()
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  const host = new Host(`web-${n}`, server)
  server.on("connection", (socket) => host.greet(socket))
  hosts.push(host)
}

/** Series whose score is below what it fell from, by the names of their hosts. */
const fallen = new Set<string>()
let scans = 0
const scan = (host: Host, passed: number) => {
  const end = new Date(Date.now() - 3_600_000 + ++scans * 1_000).toISOString()
  const rules = Array.from(
    { length: 100 },
    (_, n) =>
      `<rule-result idref="rule-${n}" severity="medium"><result>${n < passed ? "pass" : "fail"}</result></rule-result>`
  )
  const file = `${folder}/scan-${scans}.xml`
  writeFileSync(
    file,
    `<TestResult xmlns="http://checklists.nist.gov/xccdf/1.2" id="r" end-time="${end}"><benchmark id="os"/>
    <profile idref="cis"/><target>${host.name}</target>${rules.join("")}</TestResult>`
  )
  renameSync(file, `${folder}/scans/scan-${scans}.xml`)
  if (passed < 90) fallen.add(host.name)
  else fallen.delete(host.name)
}

// -----------------------------------------------------------------------------
// What is told
// -----------------------------------------------------------------------------

interface Alert {
  readonly id: string
  readonly type: string
  readonly title: string
  readonly host?: { readonly name: string }
}

const received = new Map<string, Alert>()
let receiverFails = false
const receiver = Http.createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    if (receiverFails) {
      response.writeHead(503).end()
      return
    }
    const alert = JSON.parse(Buffer.concat(chunks).toString()) as Alert
    received.set(alert.id, alert)
    // An answer that never ends.
    response.writeHead(200)
    const drip = setInterval(() => response.write("."), 100)
    response.on("close", () => clearInterval(drip))
  })
})
await new Promise<void>((resolve) => void receiver.listen(0, "127.0.0.1", resolve))

mkdirSync(`${folder}/scans`)
writeFileSync(
  `${folder}/hosts.yaml`,
  JSON.stringify({ hosts: hosts.map(({ name, port }) => ({ name, address: "localhost", port })) })
)
const { port: receiverPort } = receiver.address() as Net.AddressInfo
writeFileSync(
  `${folder}/openwatch.yaml`,
  JSON.stringify({
    inventory: "hosts.yaml",
    scans: "scans",
    liveness: { interval: "1m", retry_interval: "5s" },
    http: false,
    channels: [{ type: "webhook", url: `http://127.0.0.1:${receiverPort}/` }]
  })
)

const run = spawn(process.execPath, [bin, "run", `${folder}/openwatch.yaml`, "--data", data], { stdio: "ignore" })
let hasEnded = false
run.on("exit", () => hasEnded = true)
process.on("exit", () => {
  run.kill("SIGCONT")
  run.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))

// Not synchronously: the hosts are in this process.
const alerts = async (...args: ReadonlyArray<string>): Promise<ReadonlyArray<Alert>> => {
  const list = [bin, "alerts", "list", "--json", "--data", data, ...args]
  const { stdout } = await promisify(execFile)(process.execPath, list, { maxBuffer: 2 ** 28 })
  return stdout.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Alert)
}

/** What is wrong, compared with what is true. */
const problems = async (): Promise<ReadonlyArray<string>> => {
  const all = await alerts()
  const open = (await alerts("--state", "open")).map(({ host, type }) => `${type} ${host?.name}`).toSorted()
  const expected = [
    ...hosts.filter(({ isFlapping, isUp }) => !isUp || isFlapping).map(({ name }) => `host_unreachable ${name}`),
    ...[...fallen].map((name) => `drift_major ${name}`)
  ].toSorted()
  const alwaysUp = new Set(hosts.filter(({ wasEverDown }) => !wasEverDown).map(({ name }) => name))
  return [
    ...expected.filter((one) => !open.includes(one)).map((one) => `missing: ${one}`),
    ...open.filter((one) => !expected.includes(one)).map((one) => `false: ${one}`),
    ...all.filter(({ host, type }) => type === "host_unreachable" && alwaysUp.has(host?.name ?? ""))
      .map(({ title }) => `false: ${title}; it was always up`)
  ]
}

// -----------------------------------------------------------------------------
// What happens
// -----------------------------------------------------------------------------

/** So long it takes until a change is known: an interval and a fifth, a second look, and what the machine needs. */
const settles = 72_000 + 5_000 + 15_000

let wrong = 0
const round = async (n: number) => {
  const pick = (offset: number) => hosts[(n * 7 + offset) % 20]!
  log(`round ${n}: three hosts change, two series, a pause, a receiver that fails, a file that cannot be read`)
  for (const offset of [0, 1, 2]) pick(offset).set(!pick(offset).isUp)
  for (const host of [pick(3), pick(4)]) scan(host, fallen.has(host.name) ? 95 : 70)
  chmodSync(`${folder}/hosts.yaml`, 0)
  receiverFails = true
  await sleep(8_000)
  receiverFails = false
  chmodSync(`${folder}/hosts.yaml`, 0o644)
  run.kill("SIGSTOP")
  await sleep(7_000)
  run.kill("SIGCONT")
  await sleep(settles)
  const found = await problems()
  wrong += found.length
  for (const problem of found) log(problem)
  if (hasEnded) {
    wrong++
    log("openwatch run has ended")
  }
}

for (const host of hosts) scan(host, 95)
await sleep(15_000)
const end = Date.now() + minutes * 60_000 - 15_000
for (let n = 0; n === 0 || Date.now() + settles < end; n++) await round(n)
// What failed is tried again for a while.
const areNotSent = async () => (await alerts()).filter(({ id }) => !received.has(id))
let notSent = await areNotSent()
for (let waited = 0; waited < 60 && notSent.length > 0; waited++) {
  await sleep(1_000)
  notSent = await areNotSent()
}
for (const { host, type } of notSent) log(`not sent: ${type} ${host?.name}`)
wrong += notSent.length
log(`${(await alerts()).length} alerts, ${received.size} received, ${wrong} wrong`)
process.exit(wrong === 0 ? 0 : 1)
