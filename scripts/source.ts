/** One import of a file, of any form: types, exports from elsewhere and `import()` are among them. */
export interface Import {
  /** As it is written. */
  readonly target: string
  readonly offset: number
}

export function importsIn(text: string): Import[] {
  const found = withoutComments(text).matchAll(/\b(?:from|import|require)\s*\(?\s*"([^"]+)"/g)
  return [...found].map(({ 1: target = "", index }) => ({ target, offset: index }))
}

const TOKENS = /\/\*[\s\S]*?\*\/|\/\/.*|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g

/** Returns the text with its comments blanked, every other character where it was. */
function withoutComments(text: string): string {
  return text.replace(TOKENS, (token) => (token.startsWith("/") ? blank(token) : token))
}

/** Returns the text with comments and strings blanked; the expressions inside templates stay. */
export function codeOnly(text: string): string {
  return text.replace(TOKENS, (token) => {
    if (!token.startsWith("`")) return blank(token)
    return token.replace(/(\$\{[^}]*\})|[^\n]/g, (_, expression: string | undefined) => expression ?? " ")
  })
}

function blank(token: string): string {
  return token.replace(/[^\n]/g, " ")
}
