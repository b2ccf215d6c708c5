import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { packages } from "./packages.ts"
import { documentation, published } from "./Tarball.ts"
import { root } from "./tools.ts"

const files: Readonly<Record<string, string>> = {
  "packages/bus/README.md":
    "[A](../../docs/a.md#part), [nats](../nats/README.md), [MIT](https://mit.example), [here](#there)",
  "docs/a.md": "[back](../packages/bus/README.md#end), [B](./b.md), [an example](../examples/main.ts)" +
    `\n\n\`\`\`ts\n// main.ts\nimport { Bus } from "./bus.ts"\n\`\`\`\n\n\`\`\`ts\nimport { main } from "./main.ts"\n\`\`\`\n`,
  "docs/bus.ts": "export const Bus = [A](1)",
  "docs/b.md": "nobody links here from the README"
}
const read = (path: string): string => files[path]!

describe("Tarball", () => {
  it("has the README, the pages that it links to, and the modules that their programs import", () => {
    const documents = documentation("packages/bus", read)
    assert.deepStrictEqual(Array.from(documents.keys()), ["README.md", "docs/a.md", "docs/bus.ts"])
    assert.strictEqual(documents.get("docs/bus.ts"), read("docs/bus.ts"))
  })

  it("leads links to where their files are in it", () => {
    const documents = documentation("packages/bus", read)
    assert.include(documents.get("README.md"), "[A](./docs/a.md#part)")
    assert.include(documents.get("docs/a.md"), "[back](../README.md#end)")
  })

  it("leads links to other packages to the registry", () => {
    assert.include(
      documentation("packages/bus", read).get("README.md"),
      "[nats](https://www.npmjs.com/package/@openwatch/nats)"
    )
  })

  it("only names what it has not", () => {
    assert.include(documentation("packages/bus", read).get("docs/a.md"), ", B, an example\n")
  })

  it("leaves links within a page, and into the world, as they are", () => {
    assert.isTrue(
      documentation("packages/bus", read).get("README.md")!.endsWith(", [MIT](https://mit.example), [here](#there)")
    )
  })

  it("has a package.json without sources, scripts and development dependencies", () => {
    const manifest = {
      name: "bus",
      exports: { ".": { "@openwatch/source": "./src/index.ts", "default": "./dist/index.js" } },
      scripts: { prepack: "build" },
      devDependencies: { vite: "8" }
    }
    assert.deepStrictEqual(published(manifest), { name: "bus", exports: { ".": { default: "./dist/index.js" } } })
  })

  it.each(packages)("of $name leads nowhere else", ({ path }) => {
    const documents = documentation(path, (file) => readFileSync(join(root, file), "utf8"))
    for (const [place, text] of documents) {
      const links = Array.from(
        text.matchAll(/\]\((\.[^)\s#]*)/g),
        ([, target]) => posix.join(posix.dirname(place), target!)
      )
      assert.deepStrictEqual(links.filter((target) => !documents.has(target)), [], place)
    }
  })

  it.each(packages)("of $name has a changelog of its version", ({ path, version }) => {
    assert.include(readFileSync(join(root, path, "CHANGELOG.md"), "utf8"), `\n## ${version}\n`)
  })
})
