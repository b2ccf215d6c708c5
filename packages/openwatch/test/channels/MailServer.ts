/**
 * A real mail server on the loopback, with a certificate of its own, which keeps what it takes.
 */
import { Effect, Queue } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import type * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SMTPServer, type SMTPServerOptions } from "smtp-server"

/** A mail, as it came. */
export interface Mail {
  readonly from: string
  readonly to: ReadonlyArray<string>
  readonly isEncrypted: boolean
  /** As whom the sender has signed in. */
  readonly user: string | undefined
  readonly text: string
}

/** A certificate for `localhost`, which nobody has signed, and its key. */
export const certificate = Effect.acquireUseRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "mail-"))),
  (folder) =>
    Effect.sync(() => {
      const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")]
      const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost " +
        `-addext subjectAltName=DNS:localhost -keyout ${keyFile} -out ${certFile}`
      execFileSync("openssl", request.split(" "), { stdio: "ignore" })
      return { key: readFileSync(keyFile, "utf8"), cert: readFileSync(certFile, "utf8") }
    }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Starts a server that takes mail from whoever has the password `pa55word`. */
export const mailServer = (options: SMTPServerOptions) =>
  Effect.gen(function*() {
    const received = yield* Queue.unbounded<Mail>()
    const server = new SMTPServer({
      logger: false,
      authOptional: true,
      onAuth: ({ password, username }, _, done) =>
        password === "pa55word" ? done(null, { user: username }) : done(new Error("who are you?")),
      onData: (stream, session, done) => {
        const chunks: Array<Buffer> = []
        stream.on("data", (chunk: Buffer) => chunks.push(chunk))
        stream.on("end", () => {
          const { mailFrom, rcptTo } = session.envelope
          Queue.offerUnsafe(received, {
            from: mailFrom === false ? "" : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            isEncrypted: session.secure,
            user: typeof session.user === "string" ? session.user : undefined,
            text: Buffer.concat(chunks).toString("utf8")
          })
          done(null, "kept as number 7")
        })
      },
      ...options
    })
    server.on("error", () => {})
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () => Effect.callback<void>((resume) => server.close(() => resume(Effect.void)))
    )
    return { port: (server.server.address() as Net.AddressInfo).port, received, connections: server.connections }
  })
