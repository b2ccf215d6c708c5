/**
 * To be run in network and mount namespaces of its own, with a loopback: names are resolved by the tests' name server, SSH
 * servers answer, and `openwatch check hosts --once` looks at them, with so many file descriptors. Prints what that prints.
 */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import * as Net from "node:net"
import { listen } from "./nameServer.ts"

const [bin, folder, descriptors, ...names] = process.argv.slice(2)

const server = Net.createServer((socket) => {
  socket.on("error", () => {})
  // Slow enough that probes wait beside one another.
  setTimeout(() => socket.end("SSH-2.0-test\r\n"), 500)
})
server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address() as Net.AddressInfo
  await listen()
  const hosts = names.map((name) => ({ name, address: `${name}.test`, port }))
  writeFileSync(`${folder}/hosts.yaml`, JSON.stringify({ hosts }))
  const command = [process.execPath, bin!, "check", "hosts", "--once", "--json", `${folder}/hosts.yaml`]
  const child = spawn("sh", ["-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", ...command], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  child.on("exit", (code) => process.exit(code ?? 1))
})
