/**
 * An operator, an account and its users, for a server that admits users by JWT: credentials that really expire.
 */
import { nkeys } from "@nats-io/transport-node"

type KeyPair = ReturnType<typeof nkeys.createUser>

const encode = (json: unknown): string => Buffer.from(JSON.stringify(json)).toString("base64url")

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const sign = (issuer: KeyPair, subject: KeyPair, claims: Record<string, unknown>, lifetimeSeconds?: number): string => {
  const now = Math.floor(Date.now() / 1000)
  const unsigned = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${
    encode({
      jti: String(Math.random()),
      iat: now,
      ...(lifetimeSeconds !== undefined && { exp: now + lifetimeSeconds }),
      iss: issuer.getPublicKey(),
      sub: subject.getPublicKey(),
      name: "test",
      nats: { version: 2, ...claims }
    })
  }`
  return `${unsigned}.${Buffer.from(issuer.sign(new TextEncoder().encode(unsigned))).toString("base64url")}`
}

const unlimited = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1
}

export const makeAuthority = () => {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  const system = nkeys.createAccount()
  const accountJwt = (key: KeyPair) => sign(operator, key, { type: "account", limits: unlimited })
  return {
    /** What the server's configuration needs. */
    config: [
      `operator: ${sign(operator, operator, { type: "operator" })}`,
      `system_account: ${system.getPublicKey()}`,
      "resolver: MEMORY",
      "resolver_preload: {",
      `  ${account.getPublicKey()}: ${accountJwt(account)}`,
      `  ${system.getPublicKey()}: ${accountJwt(system)}`,
      "}"
    ].join("\n"),
    /** The content of a `.creds` file of a new user. */
    creds: (lifetimeSeconds: number): string => {
      const user = nkeys.createUser()
      const jwt = sign(account, user, { type: "user", subs: -1, data: -1, payload: -1 }, lifetimeSeconds)
      return [
        "-----BEGIN NATS USER JWT-----",
        jwt,
        "------END NATS USER JWT------",
        "",
        "-----BEGIN USER NKEY SEED-----",
        text(user.getSeed()),
        "------END USER NKEY SEED------",
        ""
      ].join("\n")
    }
  }
}
