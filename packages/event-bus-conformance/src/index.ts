/**
 * What an event bus promises, as situations that any bus or bridge can be put in, and an explorer of all schedules of a program.
 *
 * @module
 */
export * as Conformance from "./Conformance.ts"
export * as Explorer from "./Explorer.ts"
