/**
 * The examination of blocks: all are type-checked by one run of the compiler, with the settings of the repository, and
 * each is run. What is found says file and line of the documentation.
 */
import { type ChildProcess, fork, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"
import { text } from "node:stream/consumers"
import { weave } from "./assertions.ts"
import type { Block } from "./blocks.ts"

interface Module {
  readonly block: Block
  readonly file: string
  readonly lines: ReadonlyArray<number>
}

/** How long a block may run, in milliseconds. The first one of a process loads effect, while other suites keep the machine busy. */
const longest = 40_000

/** The name of the file that a reader is to put a block into, if its first line says so: `// main.ts`. */
const nameOf = (block: Block): string | undefined => /^\/\/ (\S+\.ts)$/.exec(block.code.split("\n", 1)[0]!)?.[1]

/** What is wrong with each block; nothing is an empty text. */
export const examine = async (root: string, blocks: ReadonlyArray<Block>): Promise<ReadonlyMap<Block, string>> => {
  const faults = new Map(blocks.map((block) => [block, ""]))
  // Here because git, formatter and linter leave every `dist` alone, and Node strips no types below `node_modules`.
  mkdirSync(join(root, "dist"), { recursive: true })
  const folder = mkdtempSync(join(root, "dist", "documentation-"))
  try {
    const fileOf = (block: Block): string => {
      const isTest = /from "(@effect\/)?vitest"/.test(block.code)
      const name = block.path.replace(/^\W+|\.\w+$/g, "").replaceAll(/\W+/g, "-")
      return join(folder, `${name}-${block.line}${isTest ? ".test" : ""}.ts`)
    }
    const modules = blocks.flatMap((block) => {
      const file = fileOf(block)
      // What a block imports by a relative path is a block before it on the page that has this name, or else lies beside
      // the page.
      const targetOf = (path: string): string => {
        const named = blocks.findLast((other) =>
          other.path === block.path && other.line < block.line && path === `./${nameOf(other)}`
        )
        return named === undefined
          ? relative(folder, join(root, dirname(block.path), path))
          : `./${basename(fileOf(named))}`
      }
      try {
        const moved = block.code.replaceAll(/(?<=from ")\.\.?\/[^"]+/g, targetOf)
        const woven = weave(moved, relative(folder, join(import.meta.dirname, "equal.ts")))
        writeFileSync(file, woven.code)
        return [{ block, file, lines: woven.lines }]
      } catch (error) {
        faults.set(block, String(error))
        return []
      }
    })
    const add = ({ block, file }: Module, fault: string): void => {
      if (fault === "") return
      const located = fault.replaceAll(
        new RegExp(`[^\\s(]*${basename(file).replaceAll(".", "\\.")}[(:](\\d+)[,:]?\\d*\\)?`, "g"),
        (_, line: string) => `${block.path}:${block.line + Number(line) - 1}`
      )
      faults.set(block, `${faults.get(block)}${located}\n`)
    }
    const run = modules.filter(({ block }) => block.noRun === undefined)
    const isTest = ({ file }: Module): boolean => file.endsWith(".test.ts")
    await Promise.all([
      check(root, folder, modules, add),
      runPrograms(run.filter((module) => !isTest(module)), add),
      runTests(root, folder, run.filter(isTest), add)
    ])
    return faults
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

type Add = (module: Module, fault: string) => void

const check = async (root: string, folder: string, modules: ReadonlyArray<Module>, add: Add): Promise<void> => {
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: relative(folder, join(root, "tsconfig.base.json")),
      compilerOptions: { noEmit: true, composite: false, declaration: false, declarationMap: false, sourceMap: false },
      include: ["."]
    })
  )
  const output = await outputOf(
    join(root, "node_modules/typescript/bin/tsc"),
    ["--pretty", "false", "-p", folder],
    root
  )
  let belongsTo: Module | undefined
  for (const line of output.split("\n").filter((line) => line !== "")) {
    if (!line.startsWith(" ")) belongsTo = modules.find(({ file }) => line.includes(`${basename(file)}(`))
    if (belongsTo === undefined) throw new Error(`the compiler could not check the documentation: ${output}`)
    add(belongsTo, line)
  }
}

const runPrograms = async (modules: ReadonlyArray<Module>, add: Add): Promise<void> => {
  let child: ChildProcess | undefined
  let output = ""
  for (const module of modules) {
    if (child === undefined) {
      child = fork(join(import.meta.dirname, "run-blocks.ts"), {
        execArgv: ["--conditions=@openwatch/source"],
        silent: true
      })
      for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => output += String(chunk))
    }
    output = ""
    const current = child
    // oxlint-disable-next-line no-await-in-loop -- one process, one block at a time
    const outcome = await new Promise<string | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), longest)
      const settle = (fault: string | undefined): void => {
        clearTimeout(timer)
        current.removeAllListeners("message").removeAllListeners("exit")
        resolve(fault)
      }
      current.on("message", (fault) => settle(typeof fault === "string" ? fault : undefined))
      current.on("exit", () => settle(undefined))
      current.send({ file: module.file, lines: module.lines })
    })
    if (outcome === undefined) {
      const ended = child.exitCode !== null || child.signalCode !== null
      child.kill("SIGKILL")
      child = undefined
      add(module, `${ended ? "ended its process" : `still ran after ${longest} ms`}\n${output}`)
    } else if (outcome !== "") {
      add(module, `${outcome}\n${output}`)
    }
  }
  if (child === undefined) return
  const exit = once(child, "exit")
  child.kill("SIGKILL")
  await exit
}

const runTests = async (root: string, folder: string, modules: ReadonlyArray<Module>, add: Add): Promise<void> => {
  if (modules.length === 0) return
  const report = join(folder, "report.json")
  const config = join(import.meta.dirname, "vitest.config.ts")
  const output = await outputOf(
    join(root, "node_modules/vitest/vitest.mjs"),
    ["run", "--root", folder, "--config", config, "--reporter", "json", "--outputFile", report],
    root
  )
  interface Results {
    readonly testResults: ReadonlyArray<{
      readonly name: string
      readonly status: string
      readonly message: string
      readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly failureMessages: Array<string> }>
    }>
  }
  const results: Results = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : { testResults: [] }
  for (const module of modules) {
    const result = results.testResults.find(({ name }) => name === module.file)
    if (result === undefined) {
      add(module, `the tests did not run: ${output}`)
    } else if (result.status !== "passed") {
      const failures = result.assertionResults.flatMap(({ failureMessages, fullName }) =>
        failureMessages.map((failure) => `${fullName}: ${failure}`)
      )
      add(module, [result.message, ...failures].join("\n"))
    }
  }
}

const outputOf = async (script: string, args: ReadonlyArray<string>, cwd: string): Promise<string> => {
  const child = spawn(process.execPath, [script, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return stdout + stderr
}
