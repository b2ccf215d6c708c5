import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { NatsBridge } from "@openwatch/event-bus-nats"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Context, Effect, Exit, Layer, Logger, Option, Scope, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { HouseOutbox, houseOutbox } from "./durable.ts"
import { addsUp, bridge, door, doors, eventually, eventuallyTrue, HouseBus, light, makeBus, seen } from "./house.ts"
import * as NatsServer from "./NatsServer.ts"

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/** A house with a database of its own in memory, and a bridge that sends from its outbox. */
const house = Effect.fnUntraced(function*(
  server: NatsServer.NatsServer,
  options: Partial<Parameters<typeof bridge>[1]> = {}
) {
  const context = yield* Layer.build(
    houseOutbox.pipe(
      Layer.provideMerge(Layer.fresh(HouseBus.layer)),
      Layer.provideMerge(NodeSqlite.layer(":memory:")),
      Layer.fresh
    )
  )
  const outbox = Context.get(context, HouseOutbox)
  const bus = Context.get(context, HouseBus)
  const out = yield* bridge(bus, { servers: server.url, source: "house", export: ["DoorOpened"], outbox, ...options })
  return { outbox, bus, out }
})

/** What the stream has, in order: subject and id of each message, and its door. */
const stored = (server: NatsServer.NatsServer) =>
  Effect.promise(async () => {
    const nats = await connect({ servers: server.url })
    try {
      const { streams } = await jetstreamManager(nats)
      const { state } = await streams.info("HOUSE")
      const messages: Array<{ readonly subject: string; readonly id: string; readonly door: number }> = []
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        // oxlint-disable-next-line no-await-in-loop -- a few hundred
        const message = (await streams.getMessage("HOUSE", { seq }))!
        messages.push({
          subject: message.subject,
          id: message.header.get("Nats-Msg-Id"),
          door: message.json<{ door: number }>().door
        })
      }
      return messages
    } finally {
      await nats.close()
    }
  })

/** How many messages the stream has; none where there is no stream yet. */
const count = (server: NatsServer.NatsServer) =>
  Effect.promise(async () => {
    const nats = await connect({ servers: server.url })
    try {
      const { streams } = await jetstreamManager(nats)
      return await streams.info("HOUSE").then(({ state }) => state.messages, () => 0)
    } finally {
      await nats.close()
    }
  })

describe.skipIf(!NatsServer.isInstalled)("a bridge that sends from an outbox", () => {
  it.live("sends what is stored and committed, each once, with its kind and id", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const { out, outbox } = yield* house(server, { export: ["DoorOpened", "LightSwitched"] })
      yield* outbox.publish(door(1), { id: "one of its kind" })
      yield* outbox.publish(light("hall"), { id: "one of its kind" })
      yield* outbox.publish(door(1), { id: "one of its kind" })
      yield* eventually(out.health, (health) => health.export.exported === 2)
      assert.deepStrictEqual((yield* stored(server)).map(({ id, subject }) => `${subject} ${id}`), [
        "house.DoorOpened DoorOpened/one%20of%20its%20kind",
        "house.LightSwitched LightSwitched/one%20of%20its%20kind"
      ])
    }))

  it.live("sends in the order of the log, and only kinds that are named", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const { out, outbox } = yield* house(server)
      yield* outbox.publishAll([...doors(0, 100), light("hall"), ...doors(100, 100)])
      const health = yield* eventually(out.health, (health) => health.export.exported === 200)
      assert.deepStrictEqual((yield* stored(server)).map(({ door }) => door), range(0, 200))
      assert.isTrue(addsUp(health))
    }))

  it.live("does not send what is published on the bus, nor twice what the outbox publishes there", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const { bus, out, outbox } = yield* house(server)
      const numbers = yield* seen(bus)
      yield* bus.publish(door(1))
      yield* outbox.publish(door(2))
      yield* eventually(out.health, (health) => health.export.exported === 1)
      yield* eventuallyTrue(() => numbers.length === 2)
      assert.deepStrictEqual((yield* stored(server)).map(({ door }) => door), [2])
      assert.strictEqual((yield* out.health).export.offered, 1)
    }))

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: waits for a server that is away, as long as it takes, and uses no attempt up`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make({ isStarted: false })
        const { out, outbox } = yield* house(server, { mode, timeout: "200 millis" })
        yield* outbox.publishAll(doors(0, 5))
        const waiting = yield* eventually(out.health, (health) => health.export.buffered === 1)
        assert.isTrue(addsUp(waiting))
        yield* server.start()
        yield* eventually(out.health, (health) => health.export.exported === 5)
        yield* server.kill
        yield* outbox.publish(door(5))
        yield* server.start()
        yield* eventually(out.health, (health) => health.export.exported === 6)
        if (mode === "jetstream") assert.deepStrictEqual((yield* stored(server)).map(({ door }) => door), range(0, 6))
        assert.deepStrictEqual(yield* Stream.runCollect(outbox.deadLetters()), [])
      }))

    it.live(`${mode}: gives up what the server will never take: a dead letter, and the next one is sent`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make({ config: "max_payload: 2000" })
        const { out, outbox } = yield* house(server, { mode, export: ["LightSwitched"] })
        yield* outbox.publish(light("x".repeat(3_000)), { id: "large" })
        yield* outbox.publish(light("hall"))
        const health = yield* eventually(out.health, (health) => health.export.exported === 1)
        assert.strictEqual(health.export.rejected, 1)
        assert.isTrue(addsUp(health))
        // The dead letter is written meanwhile.
        yield* outbox.awaitIdle
        const letters = yield* Stream.runCollect(outbox.deadLetters())
        assert.deepStrictEqual(letters.map(({ consumer, id }) => `${consumer} ${id}`), ["nats:house large"])
      }))

    it.live(`${mode}: another process imports them as any other events, in order`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const second = yield* makeBus
        const subscription = yield* second.subscribe({ kinds: ["DoorOpened"] })
        yield* bridge(second, { servers: server.url, mode, source: "second", import: ["DoorOpened"] })
        const { outbox } = yield* house(server, { mode })
        yield* outbox.publish(door(7), { id: "seven" })
        yield* outbox.publishAll(doors(0, 100))
        const [event, ...others] = yield* subscription.takeBetween(101, 101)
        assert.deepStrictEqual(others, doors(0, 100))
        assert.deepStrictEqual(NatsBridge.originOf(event!), Option.some({ id: "DoorOpened/seven", source: "house" }))
      }))
  }

  it.live("keeps what is not sent when it closes, for the next one", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make({ isStarted: false })
      const scope = yield* Scope.make()
      const { bus, outbox, out } = yield* Effect.gen(function*() {
        const made = yield* house(server, { export: [], outbox: undefined })
        const out = yield* Scope.provide(
          bridge(made.bus, {
            servers: server.url,
            source: "house",
            export: ["DoorOpened"],
            outbox: made.outbox,
            drain: "10 millis"
          }),
          scope
        )
        return { ...made, out }
      })
      yield* outbox.publishAll(doors(0, 3))
      yield* eventually(out.health, (health) => health.export.buffered === 1)
      yield* Scope.close(scope, Exit.void)
      const closed = yield* out.health
      assert.deepStrictEqual([closed.export.offered, closed.export.lost], [0, 0])
      yield* server.start()
      const next = yield* bridge(bus, { servers: server.url, source: "house", export: ["DoorOpened"], outbox })
      yield* eventually(next.health, (health) => health.export.exported === 3)
      assert.deepStrictEqual((yield* stored(server)).map(({ door }) => door), range(0, 3))
    }))

  it.live(
    "killed between storing and sending, everything is in the stream once, in the order of its key",
    () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make({ isStarted: false })
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "outbox-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
        )
        const run = (from: number, count: number) =>
          Effect.acquireRelease(
            Effect.promise(async () => {
              const program = fileURLToPath(new URL("outbox-process.ts", import.meta.url))
              const child = spawn(
                process.execPath,
                [
                  "--conditions=@openwatch/source",
                  program,
                  server.url,
                  join(folder, "house.sqlite"),
                  ...[from, count].map(String)
                ],
                { stdio: ["ignore", "pipe", "inherit"] }
              )
              let text = ""
              await new Promise<void>((resolve, reject) => {
                child.stdout.on("data", (chunk) => {
                  text += String(chunk)
                  if (text.includes("stored")) resolve()
                })
                child.once("exit", (code) => reject(new Error(`it ended with ${code}`)))
              })
              return child
            }),
            (child) => kill(child)
          )
        const kill = (child: ChildProcess) =>
          Effect.promise(async () => {
            if (child.exitCode !== null || child.signalCode !== null) return
            const exited = once(child, "exit")
            child.kill("SIGKILL")
            await exited
          })
        const arrived = (atLeast: number) => eventually(count(server), (messages) => messages >= atLeast)

        // All are stored, and nobody is there to take them.
        yield* kill(yield* run(0, 100))
        yield* server.start()
        // Some of them have been sent, and it is not written down of all of these that they were.
        for (const [n, atLeast] of [[1, 20], [2, 120], [3, 301]] as const) {
          const child = yield* run(n * 100, 100)
          yield* arrived(atLeast)
          yield* kill(child)
        }
        yield* run(400, 0)
        yield* arrived(400)
        const messages = yield* stored(server)
        assert.deepStrictEqual(messages.map(({ door }) => door).toSorted((a, b) => a - b), range(0, 400))
        for (let key = 0; key < 10; key++) {
          const ofKey = messages.map(({ door }) => door).filter((door) => door % 10 === key)
          assert.deepStrictEqual(ofKey, ofKey.toSorted((a, b) => a - b))
        }
      }),
    120_000
  )

  for (
    const [options, message] of [
      [{ export: [] }, "outbox needs kinds to export, but export is empty"],
      [{ bufferSize: 5 }, "bufferSize is for events that are not in an outbox"],
      [{ exportOrder: "random" }, `exportOrder must be "all" or "key", but is "random"`],
      [{ outbox: undefined, exportOrder: "key" }, "exportOrder needs an outbox to send from"]
    ] as const
  ) {
    it.live(`${Object.keys(options).join(" and ")} that it cannot do with is a defect`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make({ isStarted: false })
        const exit = yield* Effect.exit(house(server, options as never))
        assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), message)
      }))
  }

  it.live("two bridges of one process do not send from one outbox to one subject", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make({ isStarted: false })
      const first = yield* house(server)
      // As another bridge of this process does for the same subject.
      const exit = yield* Effect.exit(
        bridge(first.bus, { servers: server.url, source: "b", export: ["DoorOpened"], outbox: first.outbox })
      )
      assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), `"nats:house" is served in this process already`)
    }).pipe(Effect.provide(Logger.layer([]))))
})
