/**
 * The live page behind nginx, as `docs/live-page.md` says.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { ChildProcess } from "effect/process"
import { existsSync, readFileSync } from "node:fs"
import * as Http from "node:http"
import { fileURLToPath } from "node:url"
import { freePort } from "../../../../test/servers/freePort.ts"
import * as OpenWatch from "./openwatchRun.ts"

const nginx = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].find((path) => existsSync(path))
const isSkipped = nginx === undefined && (process.env["CI"] ?? "") === ""
if (isSkipped) {
  // oxlint-disable-next-line no-console
  console.log("nginx is not installed: the test behind it is skipped (Debian: apt-get install nginx-light)")
}

const page = readFileSync(fileURLToPath(new URL("../../../../docs/live-page.md", import.meta.url)), "utf8")
const example = /```nginx\n([\s\S]*?)```/.exec(page)?.[1] ?? ""

const token = "correct horse battery staple"

/** A login as a browser sends it. */
const login = (port: number, name: string) =>
  Effect.callback<number>((resume) => {
    const request = Http.request({
      host: "127.0.0.1",
      port,
      path: "/api/session",
      method: "POST",
      headers: {
        host: `${name}:${port}`,
        origin: `http://${name}:${port}`,
        "sec-fetch-site": "same-origin",
        "content-type": "application/json"
      }
    }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode ?? 0))
    })
    request.on("error", () => resume(Effect.succeed(0)))
    request.end(JSON.stringify({ token }))
  })

describe.skipIf(isSkipped)("behind nginx, on another port than 80 and 443", () => {
  const behind = Effect.fnUntraced(function*(locations: string) {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* OpenWatch.makeFolder({ port: 0, token, hosts: ["watch.example.org"] }, [
      { name: "web", address: "127.0.0.1", port: 1 }
    ])
    const { url } = yield* OpenWatch.start(folder)
    const port = yield* Effect.promise(freePort)
    const server = locations.replace(/listen .*;/, `listen 127.0.0.1:${port};`)
      .replace(/ssl_certificate.*;\n/g, "")
      .replaceAll(/http:\/\/127\.0\.0\.1:7420/g, (yield* url).replace(/\/$/, ""))
    yield* fs.writeFileString(
      `${folder}/nginx.conf`,
      `daemon off; pid ${folder}/nginx.pid; error_log stderr; events {}
      http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; ${
        ["fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder};`).join(" ")
      } ${server} }`
    )
    yield* ChildProcess.make(nginx ?? "nginx", ["-c", `${folder}/nginx.conf`], { stdin: "ignore" })
    let status = 0
    while (status === 0 || status === 502) {
      status = yield* login(port, "watch.example.org")
      yield* Effect.sleep("50 millis")
    }
    return status
  })

  it.live("the example of the documentation lets people sign in", () =>
    Effect.gen(function*() {
      assert.include(example, "proxy_pass http://127.0.0.1:7420")
      assert.strictEqual(yield* behind(example), 204)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)

  it.live("without the port in Host they are refused", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* behind(example.replace("$http_host", "$host")), 403)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)
})
