/**
 * The hash by which events of one key are told from those of others.
 *
 * It is stored with each event and must be the same in every process and version, so it is written here rather than taken
 * from somewhere: two 32-bit mixes of the UTF-16 code units (cyrb53 by bryc, public domain, without its final truncation).
 */

/** 64 bits, as 16 hexadecimal digits. */
export const keyHash = (key: string): string => {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    a = Math.imul(a ^ code, 2654435761)
    b = Math.imul(b ^ code, 1597334677)
  }
  const first = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  const second = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909)
  return hex(second) + hex(first)
}

const hex = (bits: number): string => (bits >>> 0).toString(16).padStart(8, "0")

/** How many slots keys fall into: a partition is a set of slots, so that partitions can be doubled later. */
export const slots = 256

/** The slot of a hash. */
export const slotOf = (hash: string): number => Number.parseInt(hash.slice(-2), 16)
