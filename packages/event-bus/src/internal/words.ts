/** A count with its noun: "1 event", "2 events". */
export const plural = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`
