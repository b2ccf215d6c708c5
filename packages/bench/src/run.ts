/**
 * Runs one workload and sends its tables to the process that forked this one.
 */
import { full, quick } from "./measurements.ts"
import { workloads } from "./workloads/index.ts"

const [name, effort] = process.argv.slice(2)
const tables = await workloads.find((workload) => workload.name === name)!.run(effort === "quick" ? quick : full)
// Fibers that still wait must not keep the process.
process.send!(tables, () => process.exit(0))
