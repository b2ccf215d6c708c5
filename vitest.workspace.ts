import { availableParallelism } from "node:os"
import { join } from "node:path"
import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

// Tests start hundreds of processes. What one of them has compiled the others need not, nor those of the next run.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "node_modules/.cache/compiled")

/** The limits are for what hangs: a busy machine takes its time, also to start a server before the first test. */
const suite = (name: string, root: string, options: { testTimeout?: number; globalSetup?: string } = {}) => ({
  extends: true as const,
  test: { name, root, include: ["**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, ...options }
})

/** For suites that start many clusters. */
const withPostgres = { globalSetup: "../../../test/servers/postgresTemplate.ts" }

/** Suites of one file that takes long, or waits long. */
const longest = new Set(["documentation", "examples", "operator", "site"])

/** Lets the longest begin first. At the end they would run alone, while other cores have nothing to do. */
class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const rank = ({ project }: TestSpecification): number => longest.has(project.name) ? 0 : 1
    // oxlint-disable-next-line unicorn/no-array-sort -- this one is no array's
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  // Tests import the packages' sources, never a `dist` that may be stale.
  ssr: { resolve: { conditions: ["@openwatch/source", ...defaultServerConditions] } },
  test: {
    // Much of what takes long waits for servers, clocks and browsers: two cores are not busy with two files.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    silent: "passed-only",
    // Spec coverage reads the comments above each test.
    includeTaskLocation: true,
    reporters: ["default", "./test/spec-coverage/reporter.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "event-bus-types",
          root: "packages/event-bus/types",
          include: [],
          typecheck: { enabled: true, only: true, include: ["**/*.test-d.ts"], tsconfig: "tsconfig.json" }
        }
      },
      suite("event-bus", "packages/event-bus/test"),
      suite("event-bus-nats", "packages/event-bus-nats/test"),
      suite("event-bus-sql", "packages/event-bus-sql/test", withPostgres),
      suite("inspector", "packages/inspector/test"),
      suite("openwatch", "packages/openwatch/test", withPostgres),
      suite("acceptance", "test/acceptance"),
      suite("api-report", "test/api-report"),
      suite("conformance", "test/conformance"),
      suite("documentation", "test/documentation"),
      suite("examples", "test/examples"),
      // An exploration takes as long as there are schedules.
      suite("exploration", "test/exploration", process.env["EXPLORATION"] === "full" ? { testTimeout: 600_000 } : {}),
      suite("mutation", "test/mutation"),
      suite("operator", "test/operator"),
      suite("site", "site/test"),
      suite("release", "release"),
      suite("spec-coverage", "test/spec-coverage")
    ]
  }
})
