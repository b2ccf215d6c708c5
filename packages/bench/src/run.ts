/**
 * Runs one part of one workload and sends its tables to the process that forked this one.
 */
import { full, quick } from "./measurements.ts"
import { workloads } from "./workloads/index.ts"

const [name, effort, part] = process.argv.slice(2)
const workload = workloads.find((workload) => workload.name === name)!
const tables = await workload.run(effort === "quick" ? quick : full, part!)
// Fibers that still wait must not keep the process.
process.send!(tables, () => process.exit(0))
