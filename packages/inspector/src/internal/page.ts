/**
 * The page's files, as the build left them in the package. They are few and small: all are kept in memory.
 */
import { Effect, FileSystem, Path } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"

/** From `src/internal` and from `dist/internal` alike. */
const folder = new URL("../../dist/page/", import.meta.url)

const utf8 = new TextEncoder()

const contentTypes: { readonly [extension: string]: string } = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml"
}

const notBuilt = HttpServerResponse.text(
  "The page is not built: run \"npm run build\" in the repository. The API is served all the same.\n",
  { status: 503 }
)

/** As the build wrote it. The page reads its name from there as long as it knows no other. */
const builtTitle = "<title>Inspector</title>"

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

/** The routes of the page under the prefix, which is "" or starts with a slash. The title is text. */
export const addRoutes = Effect.fnUntraced(function*(prefix: string, title = "Inspector") {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const router = yield* HttpRouter.HttpRouter
  const root = yield* Effect.orDie(path.fromFileUrl(folder))

  const read = Effect.fnUntraced(function*(name: string) {
    const read = yield* fs.readFile(path.join(root, name))
    const bytes = name === "index.html"
      ? utf8.encode(new TextDecoder().decode(read).replace(builtTitle, () => `<title>${escaped(title)}</title>`))
      : read
    const isHashed = name.startsWith("assets")
    return HttpServerResponse.uint8Array(bytes, {
      contentType: contentTypes[path.extname(name)] ?? "application/octet-stream",
      headers: { "cache-control": isHashed ? "public, max-age=31536000, immutable" : "no-cache" }
    })
  })

  const names = yield* fs.readDirectory(root, { recursive: true }).pipe(Effect.orElseSucceed((): Array<string> => []))
  const isBuilt = names.includes("index.html")
  if (!isBuilt) {
    yield* Effect.logWarning(`The inspector's page is not built: there is no ${path.join(root, "index.html")}`)
  }
  for (const name of names) {
    if (contentTypes[path.extname(name)] === undefined) continue
    const response = yield* Effect.orDie(read(name))
    yield* router.add("GET", `${prefix}/${name.replaceAll(path.sep, "/")}` as HttpRouter.PathInput, response)
  }
  const index = isBuilt ? yield* Effect.orDie(read("index.html")) : notBuilt
  // The router takes both forms for one. The page's own addresses are relative, so they need the slash at the end.
  yield* router.add(
    "GET",
    `${prefix}/` as HttpRouter.PathInput,
    (request: HttpServerRequest.HttpServerRequest) =>
      Effect.succeed(
        request.originalUrl.split("?", 1)[0]!.endsWith("/")
          ? index
          : HttpServerResponse.redirect(`${prefix}/`)
      )
  )
})
