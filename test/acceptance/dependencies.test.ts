import { assert, describe, it } from "@effect/vitest"
import { brokerOf, modulesImportedBy, packagesNamedBy } from "./dependencies.ts"

describe("modulesImportedBy", () => {
  it.each([
    `import "kafkajs"`,
    `import Kafka from "kafkajs"`,
    `import { Kafka as K } from 'kafkajs'`,
    `import * as Kafka from "kafkajs"`,
    `import type { Kafka } from "kafkajs"`,
    `import Kafka = require("kafkajs")`,
    `export * from "kafkajs"`,
    `export * as Kafka from "kafkajs"`,
    `export { Kafka } from "kafkajs"`,
    `export type { Kafka } from "kafkajs"`,
    `const load = () => import("kafkajs")`,
    "const load = () => import(`kafkajs`)",
    `const kafka = require("kafkajs")`,
    `const path = require.resolve("kafkajs")`,
    `const kafka = module.require("kafkajs")`,
    `const kafka = createRequire(import.meta.url)("kafkajs")`,
    `type Kafka = import("kafkajs").Kafka`,
    `type Kafka = typeof import("kafkajs")`
  ])("finds %s", (source) => {
    assert.deepStrictEqual(modulesImportedBy("a.ts", source), ["kafkajs"])
  })

  it("finds several in order", () => {
    const source = `import "./a.ts"\nexport const b = async () => [await import("b"), require("c")]\nexport * from "d"`
    assert.deepStrictEqual(modulesImportedBy("a.ts", source).toSorted(), ["./a.ts", "b", "c", "d"])
  })

  it("is not misled by comments, strings and other calls", () => {
    const source =
      `// import "kafkajs"\nexport const a = 'import "kafkajs"', b = find("kafkajs"), required = c("kafkajs")
      require("a").find("kafkajs"); (() => require("a"))("kafkajs")`
    assert.deepStrictEqual(modulesImportedBy("a.ts", source), ["a", "a"])
  })

  it.each(["import(name)", "require(name)", "require(...names)", "require()", "import(`${name}js`)"])(
    "refuses %s, which could be anything",
    (source) => {
      assert.throws(() => modulesImportedBy("a.ts", source), /^a\.ts: Expected a module/)
    }
  )

  it("names the file that it cannot parse", () => {
    assert.throws(() => modulesImportedBy("a.ts", "import {"), /^a\.ts: /)
  })
})

describe("packagesNamedBy", () => {
  it("finds dependencies of all sorts, and what they are aliases of", () => {
    const named = packagesNamedBy({
      name: "kafka-free",
      keywords: ["nats"],
      dependencies: { a: "^1", queue: "npm:kafkajs@2" },
      devDependencies: { b: "^1" },
      peerDependencies: { c: "^1" },
      peerDependenciesMeta: { d: { optional: true } },
      optionalDependencies: { e: "^1" },
      bundleDependencies: ["f"],
      bundledDependencies: true,
      overrides: { g: { h: "^1" } },
      imports: { "#queue": { default: "i" } }
    })
    assert.includeMembers(Array.from(named), ["a", "npm:kafkajs@2", "b", "c", "d", "e", "f", "g", "h", "i"])
    assert.notInclude(named, "nats")
    assert.notInclude(named, "kafka-free")
  })
})

describe("brokerOf", () => {
  it.each([
    ["kafkajs", "Kafka"],
    ["node-rdkafka", "Kafka"],
    ["@confluentinc/kafka-javascript", "Kafka"],
    ["npm:kafkajs@2", "Kafka"],
    ["nats", "NATS"],
    ["nats.ws", "NATS"],
    ["@nats-io/transport-node", "NATS"],
    ["node-nats-streaming", "NATS"],
    ["amqplib", "AMQP"],
    ["amqplib/callback_api", "AMQP"],
    ["amqp-connection-manager", "AMQP"],
    ["rabbitmq-client", "AMQP"],
    ["rhea", "AMQP"],
    ["rascal", "AMQP"],
    ["redis", "Redis"],
    ["ioredis", "Redis"],
    ["@redis/client", "Redis"],
    ["effect/persistence/Redis", "Redis"],
    ["iovalkey", "Redis"],
    ["@google-cloud/pubsub", "Google Cloud Pub/Sub"],
    ["@aws-sdk/client-sns", "Amazon SNS or SQS"],
    ["@aws-sdk/client-sqs", "Amazon SNS or SQS"],
    ["aws-sdk", "Amazon SNS or SQS"],
    ["sqs-consumer", "Amazon SNS or SQS"]
  ])("knows %s", (name, broker) => {
    assert.strictEqual(brokerOf(name), broker)
  })

  it.each(["effect", "effect/PubSub", "./internal/storage.ts", "@aws-sdk/client-s3", "signatures", "nationality"])(
    "lets %s pass",
    (name) => {
      assert.isUndefined(brokerOf(name))
    }
  )
})
