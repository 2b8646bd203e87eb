import { tokenize } from './tokens.ts';
import type { TokenReader } from './tokens.ts';

export interface Field {
  readonly name: string;
  /** The key in the result: the alias or the name. */
  readonly key: string;
  /** The variables in its arguments. */
  readonly variables: readonly string[];
  readonly selections: readonly Selection[];
}

export type Selection =
  | { readonly type: 'field'; readonly field: Field }
  | { readonly type: 'spread'; readonly name: string }
  | { readonly type: 'inline'; readonly selections: readonly Selection[] };

export interface OperationDefinition {
  readonly kind: string;
  readonly name: string | undefined;
  /** The types of its variables without `!`, as written: `Cursor`, `[ID]`. */
  readonly variables: ReadonlyMap<string, string>;
  readonly selections: readonly Selection[];
}

export interface Document {
  readonly operations: readonly OperationDefinition[];
  readonly fragments: ReadonlyMap<string, readonly Selection[]>;
}

const KINDS: ReadonlySet<string> = new Set(['query', 'mutation', 'subscription']);

/** Parses an executable document. Throws SyntaxError for anything else, and RangeError if it nests too deep. */
export function parseDocument(text: string): Document {
  const tokens = tokenize(text);
  const operations: OperationDefinition[] = [];
  const fragments = new Map<string, readonly Selection[]>();
  while (tokens.next !== undefined) {
    tokens.skipStrings();
    if (tokens.skip('fragment')) {
      const name = tokens.takeName();
      tokens.expect('on');
      tokens.takeName();
      skipDirectives(tokens);
      fragments.set(name, parseSelections(tokens));
    } else operations.push(parseOperation(tokens));
  }
  return { operations, fragments };
}

function parseOperation(tokens: TokenReader): OperationDefinition {
  if (tokens.next === '{')
    return { kind: 'query', name: undefined, variables: new Map(), selections: parseSelections(tokens) };
  const kind = tokens.takeName();
  if (!KINDS.has(kind)) throw new SyntaxError(`The document defines ${kind}, which is not executable.`);
  const isNamed = tokens.next !== '(' && tokens.next !== '@' && tokens.next !== '{';
  const name = isNamed ? tokens.takeName() : undefined;
  const variables = parseVariables(tokens);
  skipDirectives(tokens);
  return { kind, name, variables, selections: parseSelections(tokens) };
}

function parseVariables(tokens: TokenReader): Map<string, string> {
  const variables = new Map<string, string>();
  if (!tokens.skip('(')) return variables;
  while (!tokens.skip(')')) {
    tokens.skipStrings();
    tokens.expect('$');
    const name = tokens.takeName();
    tokens.expect(':');
    variables.set(name, parseType(tokens));
    if (tokens.skip('=')) skipValue(tokens);
    skipDirectives(tokens);
  }
  return variables;
}

function parseType(tokens: TokenReader): string {
  let type: string;
  if (tokens.skip('[')) {
    type = `[${parseType(tokens)}]`;
    tokens.expect(']');
  } else type = tokens.takeName();
  tokens.skip('!');
  return type;
}

function parseSelections(tokens: TokenReader): Selection[] {
  const selections: Selection[] = [];
  tokens.expect('{');
  while (!tokens.skip('}')) selections.push(parseSelection(tokens));
  return selections;
}

function parseSelection(tokens: TokenReader): Selection {
  if (!tokens.skip('...')) return { type: 'field', field: parseField(tokens) };
  if (tokens.skip('on')) tokens.takeName();
  else if (tokens.next !== '@' && tokens.next !== '{') {
    const name = tokens.takeName();
    skipDirectives(tokens);
    return { type: 'spread', name };
  }
  skipDirectives(tokens);
  return { type: 'inline', selections: parseSelections(tokens) };
}

function parseField(tokens: TokenReader): Field {
  const key = tokens.takeName();
  const name = tokens.skip(':') ? tokens.takeName() : key;
  const variables = tokens.next === '(' ? skipValue(tokens) : [];
  skipDirectives(tokens);
  const selections = tokens.next === '{' ? parseSelections(tokens) : [];
  return { name, key, variables, selections };
}

function skipDirectives(tokens: TokenReader): void {
  while (tokens.skip('@')) {
    tokens.takeName();
    if (tokens.next === '(') skipValue(tokens);
  }
}

const OPENING: ReadonlySet<string> = new Set(['(', '[', '{']);
const CLOSING: ReadonlySet<string> = new Set([')', ']', '}']);

/** Skips a value, or a bracketed group, and returns the variables in it. */
function skipValue(tokens: TokenReader): string[] {
  const variables: string[] = [];
  let depth = 0;
  do {
    const token = tokens.take();
    if (OPENING.has(token)) depth += 1;
    else if (CLOSING.has(token)) depth -= 1;
    else if (token === '$') variables.push(tokens.takeName());
  } while (depth > 0);
  return variables;
}
