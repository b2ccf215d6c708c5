import { count, counted } from "./format.ts"

/** A field for words by which something is found. */
export const Search = ({ label, onChange, placeholder, text }: {
  readonly label: string
  readonly placeholder: string
  readonly text: string
  readonly onChange: (text: string) => void
}) => (
  <label class="search">
    {label}
    <input
      type="search"
      value={text}
      placeholder={placeholder}
      onInput={(event) => onChange(event.currentTarget.value)}
    />
  </label>
)

/** How many were found, and the way to all of them; nothing while nothing is looked for. */
export const Found = ({ all, found, isNarrowed, of, one }: {
  readonly isNarrowed: boolean
  readonly found: number
  readonly of: number
  /** What one of them is called. */
  readonly one: string
  /** The address of all. */
  readonly all: string
}) => (
  <p class={isNarrowed ? "found muted" : "said"} role="status">
    {isNarrowed ? `${count(found)} of ${counted(of, one)} found. ` : ""}
    {isNarrowed ? <a href={all}>Show all</a> : null}
  </p>
)

const isDigit = (character: string | undefined): boolean => character !== undefined && /\d/.test(character)

/** Whether a word stands somewhere in a text. Its numbers are whole ones: who looks for `web-1` does not mean `web-10`. */
const hasWord = (word: string, text: string): boolean => {
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + 1)) {
    const isWithinNumber = isDigit(word[0]) && isDigit(text[at - 1]) ||
      isDigit(word.at(-1)) && isDigit(text[at + word.length])
    if (!isWithinNumber) return true
  }
  return false
}

/** Whether each of the words stands somewhere in what is searched, in any case of letters. */
export const hasWords = (
  words: string,
  searched: string,
  /** For words that are found in another way. */
  isFound: (word: string) => boolean = () => false
): boolean => {
  const text = searched.toLowerCase()
  return words.toLowerCase().split(/\s+/).every((word) => word === "" || isFound(word) || hasWord(word, text))
}
