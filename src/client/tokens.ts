/** One token of a document, after what is ignored before it: a string, a name, or anything else. */
const TOKEN =
  /(?:[\s,\uFEFF]|#[^\n\r]*)*(?:("""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*")|([A-Za-z_]\w*|-?\d[\w.+-]*|\.\.\.|[!$&()/:=@[\]{|}])|$)/y;

/** Stands for every string: what it says does not matter here. */
const STRING = '"';

/** Takes the tokens of a document one after the other; after the last one it is `undefined`. */
export interface Tokens {
  readonly next: string | undefined;
  take(): string;
  /** Takes the next token if it is this one. */
  skip(token: string): boolean;
  /** Takes this token, or throws. */
  expect(token: string): void;
  takeName(): string;
  /** Takes descriptions. */
  skipStrings(): void;
}

/** Throws SyntaxError for text that is no GraphQL, as do all that take what is not there. */
export function readTokens(text: string): Tokens {
  const tokens = splitTokens(text);
  let index = 0;
  const take = (): string => {
    const token = tokens[index];
    if (token === undefined) throw new SyntaxError('The document ends too early.');
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
      if (!skip(token)) throw new SyntaxError(`The document has no ${token} where one is due.`);
    },
    takeName() {
      const name = take();
      if (!/^[A-Za-z_]/.test(name)) throw new SyntaxError(`The document has ${name} where a name is due.`);
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
