/**
 * A DNS server for tests (RFC 1035): every name that begins with `slow` is answered after ten seconds, one that begins with
 * `none` does not exist, nor does one that begins with `late`, which is said after two seconds. One that begins with `refused`
 * is refused. All others are 127.0.0.1 at once.
 */
import * as Dgram from "node:dgram"

const typeOfA = 1

/** In milliseconds. */
const delayOf = (name: string): number => name.startsWith("slow") ? 10_000 : name.startsWith("late") ? 2_000 : 0

const answer = (query: Buffer): readonly [name: string, response: Buffer] => {
  const labels: Array<string> = []
  let at = 12
  while (query[at] !== 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + query[at]!))
    at += query[at]! + 1
  }
  const name = labels.join(".")
  const question = query.subarray(12, at + 5)
  const isA = query.readUInt16BE(at + 1) === typeOfA
  const code = /^(none|late)/.test(name) ? 3 : name.startsWith("refused") ? 5 : 0
  const records = code === 0 && isA
    ? Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1])
    : Buffer.alloc(0)
  const header = Buffer.from(query.subarray(0, 12))
  header.writeUInt16BE(0x8180 | code, 2)
  header.writeUInt16BE(records.length > 0 ? 1 : 0, 6)
  header.writeUInt32BE(0, 8)
  return [name, Buffer.concat([header, question, records])]
}

/** Listens on port 53 of the loopback. */
export const listen = (): Promise<Dgram.Socket> =>
  new Promise((resolve) => {
    const socket = Dgram.createSocket("udp4")
    socket.on("message", (query, { address, port }) => {
      const [name, response] = answer(query)
      setTimeout(() => socket.send(response, port, address), delayOf(name))
    })
    socket.bind(53, "127.0.0.1", () => resolve(socket))
  })
