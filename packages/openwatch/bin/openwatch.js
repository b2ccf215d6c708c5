#!/usr/bin/env node
import { existsSync } from "node:fs"
import module from "node:module"

if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(`error: openwatch needs Node 24 or later, this is ${process.versions.node}`)
  process.exit(1)
}

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
