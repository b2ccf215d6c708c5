/**
 * What a package asks for: the modules that its sources import, and the packages that its package.json names.
 */
import { type Expression, parseSync, Visitor } from "oxc-parser"

/** Every module that a source file asks for, in whatever way, as it is written there. */
export const modulesImportedBy = (path: string, source: string): ReadonlyArray<string> => {
  const { errors, program } = parseSync(path, source)
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors.map(({ message }) => message).join("; ")}`)
  const modules: Array<string> = []
  const add = (module: Expression | undefined) => {
    if (module?.type === "Literal" && typeof module.value === "string") modules.push(module.value)
    else if (module?.type === "TemplateLiteral" && module.expressions.length === 0) {
      modules.push(module.quasis[0]!.value.cooked!)
    } else throw new TypeError(`${path}: Expected a module that is named by a string, got ${textOf(module)}`)
  }
  const textOf = (node: Expression | undefined) => node === undefined ? "none" : source.slice(node.start, node.end)
  const isRequire = (callee: Expression): boolean =>
    callee.type === "MemberExpression"
      ? isRequire(callee.object) || (callee.property.type === "Identifier" && callee.property.name === "require")
      : callee.type === "CallExpression"
      ? textOf(callee.callee).endsWith("createRequire")
      : callee.type === "Identifier" && callee.name === "require"
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => node.source === null || add(node.source),
    ImportExpression: (node) => add(node.source),
    CallExpression: ({ arguments: [module], callee }) => {
      if (!isRequire(callee)) return
      if (module?.type === "SpreadElement") throw new TypeError(`${path}: Expected a module, got a spread`)
      add(module)
    },
    TSExternalModuleReference: (node) => add(node.expression),
    TSImportType: (node) => add(node.source)
  }).visit(program)
  return modules
}

const stringsIn = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string"
    ? [value]
    : typeof value === "object" && value !== null
    ? Object.keys(value).concat(...Object.values(value).map(stringsIn))
    : []

/**
 * Everything in a package.json that may name a package: dependencies of all sorts, and what they, or imports that start
 * with `#`, are aliases of.
 */
export const packagesNamedBy = (manifest: object): ReadonlyArray<string> =>
  Object.entries(manifest).flatMap(([field, value]) =>
    /dependencies|overrides|resolutions|^imports$/i.test(field) ? stringsIn(value) : []
  )

const clients: Readonly<Record<string, RegExp>> = {
  Kafka: /kafka/i,
  NATS: /\bnats\b/i,
  AMQP: /amqp|rabbit|\brhea\b|\brascal\b/i,
  Redis: /redis|valkey/i,
  "Google Cloud Pub/Sub": /@google-cloud\b|\bgoogleapis\b/i,
  "Amazon SNS or SQS": /\baws-sdk\b(?!\/client-(?!sns|sqs))|\bsns\b|\bsqs\b/i
}

/** The broker whose client a module or package is, going by its name. */
export const brokerOf = (name: string): string | undefined =>
  Object.keys(clients).find((broker) => clients[broker]!.test(name))
