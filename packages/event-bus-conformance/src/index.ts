/**
 * What an event bus promises, as situations that any bus or bridge can be put in.
 *
 * @module
 */
export * as Conformance from "./Conformance.ts"
