/**
 * For tests of applications and of bridges.
 *
 * @module
 */
export * as Conformance from "./Conformance.ts"
export * as EventBusTest from "./EventBusTest.ts"
