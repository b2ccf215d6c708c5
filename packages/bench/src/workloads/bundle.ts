/**
 * (n) What the bus adds to a page that has Effect already.
 */
import { fileURLToPath } from "node:url"
import { constants, gzipSync } from "node:zlib"
import { build, defaultClientConditions } from "vite"
import type { Workload } from "../measurements.ts"

/** Minified, in kilobytes as the targets count them (1,000 bytes), without what it imports of Effect. */
const bundled = async (): Promise<string> => {
  const built = await build({
    configFile: false,
    logLevel: "silent",
    root: import.meta.dirname,
    resolve: { conditions: ["@openwatch/source", ...defaultClientConditions] },
    build: {
      write: false,
      minify: true,
      target: "esnext",
      modulePreload: false,
      rolldownOptions: {
        input: fileURLToPath(import.meta.resolve("@openwatch/event-bus")),
        external: /^effect(\/|$)/,
        preserveEntrySignatures: "strict"
      }
    }
  })
  const [output] = Array.isArray(built) ? built : [built]
  if (output === undefined || !("output" in output)) throw new Error("vite built nothing")
  return output.output.map((file) => file.type === "chunk" ? file.code : "").join("")
}

export const bundle: Workload = {
  name: "bundle",
  run: async () => {
    const code = await bundled()
    const gzipped = gzipSync(code, { level: constants.Z_BEST_COMPRESSION })
    return [{
      id: "bundle",
      title: "(n) The bus in a bundle for browsers, without Effect",
      unit: "bytes",
      columns: ["minified", "and gzipped"],
      rows: [{ name: "event bus", isFloor: false, values: [code.length, gzipped.length] }]
    }]
  }
}
