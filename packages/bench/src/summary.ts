/**
 * One table in which the event bus and each of its peers have a row: the cases that matter most, out of all tables.
 */
import * as Contenders from "./contenders.ts"
import type { Row, Table } from "./measurements.ts"

/** A column of a table. */
const cases = [
  { title: "publish to 1", table: "publish/mean", column: "1" },
  { title: "to 1,000", table: "publish/mean", column: "1,000" },
  { title: "a delivery in batches, 1,000", table: "batches", column: "1,000" },
  { title: "a delivery to a handler, 10", table: "handlers", column: "10" },
  { title: "until 100 handlers started, p50", table: "latency/p50", column: "100" },
  { title: "p99", table: "latency/p99", column: "100" },
  { title: "1,000 sets of kinds", table: "many-kinds/publish", column: "1,000 distinct sets" }
]

/** What each peer is called in the tables; of several names in one table the first counts. */
const peers = [
  { name: "event bus", isFloor: false, rows: [Contenders.bus, Contenders.busHandlers] },
  { name: "PubSub, shared", isFloor: false, rows: [Contenders.sharedPubSub, Contenders.sharedPubSubStreams] },
  { name: "PubSub for each", isFloor: false, rows: [Contenders.eachPubSub, Contenders.eachPubSubHandlers] },
  { name: "Stream.fromPubSub for each", isFloor: false, rows: [Contenders.eachPubSubStreams] },
  ...Contenders.emitters.map((emitter) => ({ name: emitter.name, isFloor: true, rows: [emitter] }))
]

export const summaryOf = (tables: ReadonlyArray<Table>): Table | undefined => {
  const measured = cases.filter(({ table }) => tables.some(({ id }) => id === table))
  const row = ({ isFloor, name, rows }: typeof peers[number]): Row => ({
    name,
    isFloor,
    values: measured.map(({ column, table: id }) => {
      const table = tables.find((table) => table.id === id)!
      return rows
        .map(({ name }) => table.rows.find((row) => row.name === name))
        .find((row) => row !== undefined)
        ?.values[table.columns.indexOf(column)]
    })
  })
  return measured.length < 2 ? undefined : {
    id: "summary",
    title: "The event bus and its peers, by the number of subscribers",
    unit: "nanoseconds",
    columns: measured.map(({ title }) => title),
    rows: peers.map(row)
  }
}
