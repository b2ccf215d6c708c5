import { assert, describe, it } from "@effect/vitest"
import { apiReport } from "./ApiReport.ts"

/** The report of a package whose only entry is `index.d.ts`. */
const reportOf = (files: Record<string, string>): string =>
  apiReport(new Map([["a-package", "index.d.ts"]]), (path) => {
    const code = files[path]
    if (code === undefined) throw new Error(`${path} is missing`)
    return code
  })

const lines = (...lines: ReadonlyArray<string>): string => `${lines.join("\n")}\n`

describe("an API report", () => {
  it("has what is exported, by name and without comments", () => {
    assert.strictEqual(
      reportOf({
        "index.d.ts": "/** The second. */\nexport declare const b: /* a number */ number;\n" +
          "export interface A {\n    // its name\n    readonly name: string;\n}\n"
      }),
      lines(
        "=== a-package",
        "export interface A {",
        "    readonly name: string;",
        "}",
        "export declare const b:  number;"
      )
    )
  })

  it("has what an exported type refers to, though that is not exported, and nothing else", () => {
    assert.strictEqual(
      reportOf({
        "index.d.ts": "type Used = Deeper[];\ntype Deeper = 1;\ntype Unused = 2;\nexport type A = Used;\nexport {};\n"
      }),
      lines("=== a-package", "export type A = Used;", "type Deeper = 1;", "type Used = Deeper[];")
    )
  })

  it("follows types into other modules of the package, not into other packages", () => {
    assert.strictEqual(
      reportOf({
        "index.d.ts": "import type { Effect, Scope } from \"effect\";\n" +
          "import type { B as C, Unused } from \"./internal/b.ts\";\nexport declare const a: Effect.Effect<C>;\n",
        "internal/b.d.ts": "export interface B {}\nexport interface Unused {}\n"
      }),
      lines(
        "=== a-package",
        "import { B as C } from \"./internal/b.ts\"",
        "import { Effect } from \"effect\"",
        "export declare const a: Effect.Effect<C>;",
        "",
        "=== internal/b.d.ts",
        "export interface B {}"
      )
    )
  })

  it("has all of a module that is exported as a namespace, and of one that is exported by names those", () => {
    assert.strictEqual(
      reportOf({
        "index.d.ts": "export * as B from \"./b.js\";\nexport { c as d, type E } from \"./c.js\";\n",
        "b.d.ts": "export declare const b: 1;\nexport type B = 2;\n",
        "c.d.ts": "declare const c: 3;\nexport { c };\nexport type E = 4;\nexport type F = 5;\n"
      }),
      lines(
        "=== a-package",
        "export * as B from \"./b.js\"",
        "export { c as d } from \"./c.js\"",
        "export { type E } from \"./c.js\"",
        "",
        "=== b.d.ts",
        "export type B = 2;",
        "export declare const b: 1;",
        "",
        "=== c.d.ts",
        "export type E = 4;",
        "declare const c: 3;"
      )
    )
  })

  it("has what a class extends, what a key is computed from, and what is imported in place", () => {
    assert.strictEqual(
      reportOf({
        "index.d.ts": "declare const A_base: new() => object;\ndeclare const Key: unique symbol;\n" +
          "export declare class A extends A_base {\n    readonly [Key]: import(\"./b.js\").B;\n}\n",
        "b.d.ts": "export type B = 1;\nexport type C = 2;\n"
      }),
      lines(
        "=== a-package",
        "export declare class A extends A_base {",
        "    readonly [Key]: import(\"./b.js\").B;",
        "}",
        "declare const A_base: new() => object;",
        "declare const Key: unique symbol;",
        "",
        "=== b.d.ts",
        "export type B = 1;"
      )
    )
  })

  it("does not depend on the order of declarations", () => {
    assert.strictEqual(
      reportOf({ "index.d.ts": "export type A = 1;\nexport type B = 2;\n" }),
      reportOf({ "index.d.ts": "export type B = 2;\nexport type A = 1;\n" })
    )
  })

  it("does not depend on the order of the members of a union, also of one inside another", () => {
    assert.strictEqual(
      reportOf({ "index.d.ts": "export type A = \"b\" | Array<2 | 1> | \"a\";\n" }),
      lines("=== a-package", "export type A = \"a\" | \"b\" | Array<1 | 2>;")
    )
  })

  it("keeps the order of overloads, which has a meaning", () => {
    const first = "export declare function f(a: string): 1;\n"
    const second = "export declare function f(a: unknown): 2;\n"
    assert.notStrictEqual(reportOf({ "index.d.ts": first + second }), reportOf({ "index.d.ts": second + first }))
  })

  it("refuses an export that is not there", () => {
    assert.throws(
      () => reportOf({ "index.d.ts": "export { a } from \"./a.ts\";\n", "a.d.ts": "export type B = 1;\n" }),
      "a.d.ts: there is no export \"a\""
    )
  })
})
