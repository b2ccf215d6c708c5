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

/** A login as a browser sends it, with a header that a client has made up. */
const login = (port: number, name: string, given = token, forwardedFor = "192.0.2.1") =>
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
        "content-type": "application/json",
        "x-forwarded-for": forwardedFor
      }
    }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode ?? 0))
    })
    request.on("error", () => resume(Effect.succeed(0)))
    request.end(JSON.stringify({ token: given }))
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
    return { status, port }
  })

  it.live("the example of the documentation lets people sign in", () =>
    Effect.gen(function*() {
      assert.include(example, "proxy_pass http://127.0.0.1:7420")
      assert.strictEqual((yield* behind(example)).status, 204)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)

  it.live("the example gives nobody more attempts for an X-Forwarded-For of their own", () =>
    Effect.gen(function*() {
      const { port } = yield* behind(example)
      const statuses = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => `198.51.100.${n}`),
        (address) => login(port, "watch.example.org", "wrong", address),
        { concurrency: "unbounded" }
      )
      assert.include(statuses, 429)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)

  it.live("without the port in Host they are refused", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* behind(example.replace("$http_host", "$host"))).status, 403)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)
})
