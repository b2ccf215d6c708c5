/**
 * For tests of applications and of bridges.
 *
 * @module
 */
export * as EventBusTest from "./EventBusTest.ts"
