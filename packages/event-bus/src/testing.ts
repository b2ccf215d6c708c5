/**
 * For tests of applications.
 *
 * @module
 */
export * as EventBusTest from "./EventBusTest.ts"
