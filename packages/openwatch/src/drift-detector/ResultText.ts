/**
 * A result file as plain UTF-8, however it was packed and encoded.
 *
 * gzip and bzip2 are recognized by their first bytes, whatever the name of the file. UTF-16 is recognized by its byte
 * order mark or its zeros, other encodings by the XML declaration (XML 1.0 section 4.3.3 and appendix F).
 *
 * Files are untrusted. What they unpack to is bounded, so that a small file cannot fill the memory.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Data, Effect, Stream } from "effect"
import { createGunzip } from "node:zlib"
import { clean } from "../events/PlainText.ts"

/** The file cannot be unpacked or decoded, or is too large once it is unpacked. */
export class NotReadable extends Data.TaggedError("NotReadable")<{ readonly message: string }> {}

const inMiB = (bytes: number): string => `${(bytes / (1024 * 1024)).toFixed(1)} MiB`

const describeError = (error: unknown): string => error instanceof Error ? error.message : String(error)

type Bytes<E, R> = Stream.Stream<Uint8Array, E, R>

const gunzip = <E, R>(bytes: Bytes<E, R>): Bytes<E | NotReadable, R> =>
  NodeStream.pipeThroughDuplex(bytes, {
    evaluate: () => createGunzip(),
    // Few reads at a time: what follows decides whether there is to be more.
    chunkSize: 4,
    onError: (error) => new NotReadable({ message: `not readable as gzip: ${describeError(error)}` })
  })

/** The decoder is libbz2 itself, which takes all of a file at once. It is loaded only for those who have such files. */
const bunzip2 = <E, R>(bytes: Bytes<E, R>, sizeLimit: number): Bytes<E | NotReadable, R> =>
  Stream.unwrap(Effect.gen(function*() {
    const packed = Buffer.concat(yield* Stream.runCollect(bytes))
    const { default: Bzip2 } = yield* Effect.promise(() => import("@foxglove/wasm-bz2"))
    const decoder = yield* Effect.promise(() => Bzip2.init())
    return Stream.succeed(
      yield* Effect.try({
        try: () => decoder.decompress(packed, sizeLimit),
        catch: (error) =>
          new NotReadable({
            message: describeError(error).includes("BZ_OUTBUFF_FULL")
              ? `once it is unpacked it is larger than ${inMiB(sizeLimit)}, which is as much as is read`
              : `not readable as bzip2: ${describeError(error)}`
          })
      })
    )
  }))

const unpacked = <E, R>(bytes: Bytes<E, R>, start: Uint8Array, sizeLimit: number): Bytes<E | NotReadable, R> => {
  if (start[0] === 0x1f && start[1] === 0x8b) return gunzip(bytes)
  return start[0] === 0x42 && start[1] === 0x5a && start[2] === 0x68 ? bunzip2(bytes, sizeLimit) : bytes
}

/** The encodings that can be read. Each has its name in declarations, and its name for `TextDecoder`. */
const encodings: ReadonlyMap<string, string> = new Map([
  // A declaration that can be read byte by byte is not in UTF-16, whatever it says.
  ["utf-16", "utf-8"],
  ["iso-8859-1", "iso-8859-1"],
  ["latin1", "iso-8859-1"],
  ["iso-8859-15", "iso-8859-15"],
  ["windows-1252", "windows-1252"]
])

/** What needs no decoding. */
const utf8 = new Set(["utf-8", "utf8", "us-ascii"])

const declaration = /^(<\?xml\s[^>]*?\bencoding\s*=\s*)(["'])([^"']*)\2/

/**
 * Returns the name of the decoder for a text that begins like this. `undefined` for UTF-8. A `NotReadable` if there is
 * no such decoder.
 */
const encodingOf = ([a, b, c, d]: Uint8Array, start: string): string | undefined | NotReadable => {
  if ((a === 0xff && b === 0xfe) || (a === 0x3c && b === 0 && c === 0x3f && d === 0)) return "utf-16le"
  if ((a === 0xfe && b === 0xff) || (a === 0 && b === 0x3c && c === 0 && d === 0x3f)) return "utf-16be"
  const declared = declaration.exec(start)?.[3]
  if (declared === undefined || utf8.has(declared.toLowerCase())) return undefined
  return encodings.get(declared.toLowerCase()) ??
    new NotReadable({ message: `its encoding is ${JSON.stringify(declared)}; expected UTF-8, UTF-16 or ISO-8859-1` })
}

const inUtf8 = <E, R>(bytes: Bytes<E, R>): Bytes<E | NotReadable, R> =>
  Stream.suspend(() => {
    let isFirst = true
    let decoder: InstanceType<typeof TextDecoder> | undefined
    const encode = (chunk: Uint8Array | undefined): Uint8Array => {
      const start = isFirst ? chunk?.subarray(0, 1_024) ?? new Uint8Array() : undefined
      isFirst = false
      if (start !== undefined) {
        const encoding = encodingOf(start, Buffer.from(start).toString("latin1"))
        if (encoding instanceof NotReadable) throw encoding
        if (encoding !== undefined) decoder = new TextDecoder(encoding, { fatal: true })
      }
      if (decoder === undefined) return chunk ?? new Uint8Array()
      const text = decoder.decode(chunk, { stream: chunk !== undefined })
      return Buffer.from(start === undefined ? text : text.replace(declaration, "$1$2utf-8$2"))
    }
    const tryToEncode = (chunk: Uint8Array | undefined) =>
      Effect.try({
        try: () => encode(chunk),
        catch: (error) =>
          error instanceof NotReadable ? error : new NotReadable({ message: `not valid as ${decoder?.encoding}` })
      })
    return Stream.concat(
      Stream.mapEffect(bytes, tryToEncode),
      Stream.fromEffect(Effect.suspend(() => tryToEncode(undefined)))
    )
  })

/** Decodes the bytes of a file, which begin with `start`, to UTF-8. They may unpack to at most `sizeLimit` bytes. */
export const decode = <E, R>(
  bytes: Bytes<E, R>,
  options: { readonly start: Uint8Array; readonly sizeLimit: number }
): Bytes<E | NotReadable, R> => {
  const { sizeLimit, start } = options
  let size = 0
  return unpacked(bytes, start, sizeLimit).pipe(
    Stream.tap((chunk) => {
      size += chunk.length
      return size <= sizeLimit ? Effect.void : Effect.fail(
        new NotReadable({
          message: `once it is unpacked it is larger than ${inMiB(sizeLimit)}, which is as much as is read`
        })
      )
    }),
    inUtf8,
    Stream.mapError((error) =>
      error instanceof NotReadable ? new NotReadable({ message: clean(error.message) }) : error
    )
  )
}
