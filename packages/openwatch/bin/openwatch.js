#!/usr/bin/env node
import { existsSync } from "node:fs"
import module from "node:module"
import { isAbsolute, join } from "node:path"

if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(`error: openwatch needs Node 24 or later, this is ${process.versions.node}`)
  process.exit(1)
}

// To compile what is imported takes longer than to run a short command. What was compiled is kept where this user, or systemd
// (`CacheDirectory=`), keeps such things, and not where Node would: others can write to the folder of temporary files.
const { CACHE_DIRECTORY, HOME, XDG_CACHE_HOME } = process.env
const cache = CACHE_DIRECTORY ?? XDG_CACHE_HOME ?? (HOME && join(HOME, ".cache"))
if (cache && isAbsolute(cache)) module.enableCompileCache(join(cache, "openwatch"))

// In the repository the sources run as they are. An installed package has them too, for debuggers, but Node strips types
// nowhere below a `node_modules`.
if (existsSync(new URL("../src/main.ts", import.meta.url)) && !import.meta.url.includes("/node_modules/")) {
  module.registerHooks({
    resolve: (specifier, context, nextResolve) =>
      nextResolve(specifier, { ...context, conditions: [...context.conditions, "@openwatch/source"] })
  })
  await import("../src/main.ts")
} else {
  await import("../dist/main.js")
}
