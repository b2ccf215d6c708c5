/**
 * Requests to the server.
 */

/** Who asks is not signed in. */
export class Unauthorized extends Error {}
/** There is nothing of that name. */
export class NotFound extends Error {}

/** A response that has what was asked for, or says that it has not changed. */
export const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> => {
  const response = await fetch(path, { signal: AbortSignal.timeout(5_000), cache: "no-store", headers })
  if (response.status === 401) throw new Unauthorized()
  if (response.status === 404) throw new NotFound(`${path} is not there`)
  if (!response.ok && response.status !== 304) throw new Error(`${path} answered ${response.status}`)
  return response
}

/** What was asked for. */
export const getJson = async <A>(path: string): Promise<A> => (await get(path)).json() as Promise<A>

/** Sends something; `undefined` where no response comes. */
export const post = (path: string, body: unknown): Promise<Response | undefined> =>
  fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  }).catch(() => undefined)

/** The server says why: as an error of its API, or in one line. */
export const reasonOf = async (answer: Response): Promise<string> => {
  const text = await answer.text().catch(() => "")
  const why = text.startsWith("{") ? (JSON.parse(text) as { readonly message?: string }).message ?? "" : text.trim()
  return why === "" ? "" : `: ${why.slice(0, 500)}`
}
