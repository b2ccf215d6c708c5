/**
 * The promises of an event bus, as situations for any bus or bridge, and an explorer of all schedules of a program.
 *
 * @module
 */
export * as Conformance from "./Conformance.ts"
export * as Explorer from "./Explorer.ts"
