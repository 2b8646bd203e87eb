import { GraphQLError, Lexer, parse, Source, TokenKind, visit } from 'graphql';
import type { DocumentNode } from 'graphql';

const MAX_TOKENS = 10_000;
/** Limit of nested brackets: parsing and validation recurse. Far above the depth limit of the schema. */
const MAX_NESTING = 200;

/** Results and error messages repeat the names and aliases of a document, for each item of a list. */
const MAX_NAME_LENGTH = 128;

const OPENING: ReadonlySet<string> = new Set([TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L]);
const CLOSING: ReadonlySet<string> = new Set([TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R]);

/** Parses a document. Throws INVALID_INPUT for a syntax error, LIMIT_EXCEEDED for too many tokens or too deep nesting. */
export function parseDocument(text: string): DocumentNode {
  try {
    checkNesting(text);
    const document = parse(text, { maxTokens: MAX_TOKENS });
    if (text.length > MAX_NAME_LENGTH) checkNames(document);
    return document;
  } catch (error) {
    if (!(error instanceof GraphQLError) || error.extensions['code'] !== undefined) throw error;
    const { message, source, positions } = error;
    if (message.includes('tokens')) throw documentTooLargeError(message, `${MAX_TOKENS} tokens`);
    throw new GraphQLError(message, { source, positions, extensions: { code: 'INVALID_INPUT' } });
  }
}

/** Runs the lexer only over text with more than `MAX_NESTING` opening brackets, as few documents have. */
function checkNesting(text: string): void {
  if (text.split(/[{[(]/, MAX_NESTING + 1).length <= MAX_NESTING) return;
  const lexer = new Lexer(new Source(text));
  let depth = 0;
  for (let tokens = 0; tokens < MAX_TOKENS; tokens += 1) {
    const { kind } = lexer.advance();
    if (kind === TokenKind.EOF) return;
    if (OPENING.has(kind)) depth += 1;
    if (CLOSING.has(kind)) depth -= 1;
    if (depth > MAX_NESTING)
      throw documentTooLargeError('The document is nested too deeply.', `${MAX_NESTING} levels`);
  }
}

function checkNames(document: DocumentNode): void {
  visit(document, {
    Name({ value }) {
      if (value.length > MAX_NAME_LENGTH)
        throw documentTooLargeError('A name or alias is too long.', `names ${MAX_NAME_LENGTH}`);
    },
  });
}

const documentTooLargeError = (message: string, limit: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code: 'LIMIT_EXCEEDED', limit } });
