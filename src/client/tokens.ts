/** Matches one token after ignored characters: a string, a name, or punctuation. */
const TOKEN =
  /(?:[\s,\uFEFF]|#[^\n\r]*)*(?:("""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*")|([A-Za-z_]\w*|-?\d[\w.+-]*|\.\.\.|[!$&()/:=@[\]{|}])|$)/y;

/** Placeholder for all strings, whose content does not matter here. */
const STRING = '"';

/** Reads the tokens of a document in order; `next` is undefined at its end. */
export interface TokenReader {
  readonly next: string | undefined;
  take(): string;
  /** Consumes the next token if it equals this one, and returns whether it did. */
  skip(token: string): boolean;
  /** Consumes this token. Throws SyntaxError if the next one differs. */
  expect(token: string): void;
  takeName(): string;
  /** Consumes descriptions. */
  skipStrings(): void;
}

/** Splits a document into tokens. Throws SyntaxError for text that is not GraphQL. */
export function tokenize(text: string): TokenReader {
  const tokens = splitTokens(text);
  let index = 0;
  const take = (): string => {
    const token = tokens[index];
    if (token === undefined) throw new SyntaxError('Unexpected end of the document.');
    index += 1;
    return token;
  };
  const skip = (token: string): boolean => {
    if (tokens[index] !== token) return false;
    index += 1;
    return true;
  };
  return {
    get next() {
      return tokens[index];
    },
    take,
    skip,
    expect(token) {
      if (!skip(token)) throw new SyntaxError(`Expected ${token} in the document.`);
    },
    takeName() {
      const name = take();
      if (!/^[A-Za-z_]/.test(name)) throw new SyntaxError(`Expected a name in the document, found ${name}.`);
      return name;
    },
    skipStrings() {
      while (skip(STRING));
    },
  };
}

function splitTokens(text: string): string[] {
  const tokens: string[] = [];
  const pattern = new RegExp(TOKEN);
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) throw new SyntaxError('The document is not GraphQL.');
    if (match[1] !== undefined) tokens.push(STRING);
    else if (match[2] !== undefined) tokens.push(match[2]);
    else break;
  }
  return tokens;
}
