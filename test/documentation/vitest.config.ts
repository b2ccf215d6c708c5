/** For the blocks that are tests: they run as the tests of a user of the packages would. */
import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@openwatch/source", ...defaultServerConditions] } },
  // A busy machine takes its time.
  test: { include: ["**/*.test.ts"], isolate: false, testTimeout: 60_000 }
})
