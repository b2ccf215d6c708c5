/**
 * What a sweep over 10,000 hosts costs: `npm run bench:hosts`.
 *
 * The hosts are listeners of a second process on the loopback, which greet like SSH servers. Measured are, without and with
 * a database, the first sweep, in which every host has a verdict and an event at the end, and then the loop when nothing is
 * due. It fails when more file descriptors were open than probes are allowed in flight.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import {
  Host,
  hostIdFromName,
  HostStates,
  LivenessLoop,
  Outboxes,
  Probe,
  Storage,
  SystemEventBus
} from "@openwatch/openwatch"
import { Console, Data, Effect, FileSystem, Layer, Schedule } from "effect"
import { fork } from "node:child_process"
import { readdirSync } from "node:fs"
import * as Net from "node:net"

const hostCount = Number(process.env["HOSTS"] ?? 10_000)
const listenerCount = 8
const maxInFlight = 64
const idleTime = 10_000

/** In the second process: listens on 127.0.0.1, 127.0.0.2 and so on, and says on which ports. */
const serve = () => {
  for (let n = 1; n <= listenerCount; n++) {
    const server = Net.createServer((socket) => {
      socket.on("error", () => {})
      socket.end("SSH-2.0-bench\r\n")
    })
    const address = `127.0.0.${n}`
    server.listen({ port: 0, host: address, backlog: 511 }, () => {
      process.send!({ address, port: (server.address() as Net.AddressInfo).port })
    })
  }
  process.on("disconnect", () => process.exit(0))
}

interface Listener {
  readonly address: string
  readonly port: number
}

const listeners = Effect.gen(function*() {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => fork(import.meta.filename, ["serve"])),
    (child) => Effect.sync(() => child.kill())
  )
  return yield* Effect.callback<ReadonlyArray<Listener>>((resume) => {
    const found: Array<Listener> = []
    child.on("message", (listener) => {
      found.push(listener as Listener)
      if (found.length === listenerCount) resume(Effect.succeed(found))
    })
  })
})

class TooManyDescriptors extends Data.TaggedError("TooManyDescriptors")<{ readonly message: string }> {}

const descriptors = () => readdirSync("/proc/self/fd").length
const heap = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
const cpu = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1_000
}

const measure = Effect.fnUntraced(function*(title: string, hosts: ReadonlyArray<Host>, options: LivenessLoop.Options) {
  const bus = yield* SystemEventBus
  const pulses = yield* bus.subscribe({ kinds: ["HeartbeatPulse"], bufferSize: 2 * hostCount })
  const before = { heap: heap(), descriptors: descriptors(), cpu: cpu(), time: performance.now() }
  let open = 0
  const sampling = yield* Effect.sync(() => {
    open = Math.max(open, descriptors() - before.descriptors)
  }).pipe(Effect.repeat(Schedule.spaced("5 millis")), Effect.forkScoped)
  yield* Effect.forkScoped(LivenessLoop.watch(hosts, { ...options, maxInFlight }))

  let reachable = 0
  for (let taken = 0; taken < hostCount;) {
    for (const pulse of yield* pulses.takeAll) {
      taken++
      if (pulse.reachable) reachable++
    }
  }
  const swept = { time: performance.now() - before.time, cpu: cpu() - before.cpu }
  sampling.interruptUnsafe()
  // What the sweep has left to do, such as storing the schedule, is done by then.
  yield* Effect.sleep("6 seconds")
  const held = heap() - before.heap
  const idleFrom = cpu()
  yield* Effect.sleep(idleTime)
  const idle = cpu() - idleFrom

  yield* Console.log(`${title}
  sweep of ${hostCount} hosts  ${(swept.time / 1_000).toFixed(1)} s, ${
    (swept.cpu / 1_000).toFixed(1)
  } s of CPU, ${reachable} reachable
  file descriptors       at most ${open} more than before, ${maxInFlight} probes in flight
  heap                   ${(held / 1_048_576).toFixed(1)} MiB, ${(held / hostCount / 1_024).toFixed(2)} KiB a host
  idle                   ${(idle / idleTime * 100).toFixed(2)} % of a CPU
`)
  // The database has some of its own.
  if (open > maxInFlight + 4) {
    yield* new TooManyDescriptors({ message: `${open} file descriptors were open for ${maxInFlight} probes` })
  }
}, Effect.scoped)

const program = Effect.gen(function*() {
  const found = yield* listeners
  const hosts = Array.from({ length: hostCount }, (_, n) => {
    const name = `host-${n}`
    return new Host({ id: hostIdFromName(name), name, ...found[n % found.length]! })
  })
  const services = Layer.mergeAll(SystemEventBus.layer, Probe.Probe.layerTcp())
  yield* measure("without a database", hosts, {}).pipe(Effect.provide(services))

  const fs = yield* FileSystem.FileSystem
  const path = yield* fs.makeTempDirectoryScoped()
  yield* Effect.flatMap(HostStates.HostStates, (hostStates) => measure("with SQLite", hosts, { hostStates })).pipe(
    Effect.provide([
      Probe.Probe.layerTcp(),
      HostStates.layer.pipe(
        Layer.provideMerge(Outboxes.system()),
        Layer.provideMerge(SystemEventBus.layer),
        Layer.provide(Storage.layer({ _tag: "DataFolder", path }))
      )
    ])
  )
})

if (process.argv[2] === "serve") serve()
else program.pipe(Effect.scoped, Effect.provide(NodeServices.layer), NodeRuntime.runMain)
