/**
 * A port of the loopback for a server of another process, which has to be told its port before it has it.
 */
import { once } from "node:events"
import { createServer } from "node:net"

/** How many ports a worker of vitest has to itself. All of them are below those that the system gives away. */
const count = 1_000
const first = 24_000 + count * (Number(process.env["VITEST_POOL_ID"] ?? 0) % 8)
let next = Math.floor(Math.random() * count)

/** A port on which nobody listens. No other test is given it, so it stays free for who asked for it, also while a server restarts. */
export const freePort = async (): Promise<number> => {
  for (let i = 0; i < count; i++) {
    const port = first + next++ % count
    const server = createServer().listen(port, "127.0.0.1")
    try {
      // oxlint-disable-next-line no-await-in-loop -- one after the other, until one is free
      await once(server, "listening")
      server.close()
      // oxlint-disable-next-line no-await-in-loop
      await once(server, "close")
      return port
    } catch {
      // Somebody else has it.
    }
  }
  throw new Error(`all ports from ${first} to ${first + count - 1} are taken`)
}
