import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { getOperationAST, Kind, print } from 'graphql';
import type { DefinitionNode, DocumentNode } from 'graphql';
import { z } from 'zod';
import { requireForStartup, StartError } from '../../lib/startup-error.ts';
import type { Engine } from './engine.ts';

/** The documents of the operator's list, by id. */
export interface PersistedOperations {
  /** Returns the text with this id, which may also be the SHA-256 of the text, as `<hex>` or `sha256:<hex>`. */
  find(id: string): string | undefined;
  /** Returns the listed text that is the same document, whatever its formatting and order of definitions. */
  findSame(document: DocumentNode): string | undefined;
}

/** The manifest of `@apollo/generate-persisted-query-manifest`. */
const manifestSchema = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(z.object({ id: z.string().min(1), body: z.string() })),
});
/** Texts by id, the format of Relay, graphql-codegen and gql.tada. */
const mapSchema = z.record(z.string().min(1), z.string());

interface ListedOperation {
  readonly id: string;
  readonly text: string;
}

/** Reads the list from a file. Throws a `StartError` with one line per problem in the file. */
export async function readPersistedOperations(
  path: string,
  engine: Pick<Engine, 'parsePersisted' | 'validate'>,
): Promise<PersistedOperations> {
  const attempt = `Cannot read the persisted operations in ${path} (PERSISTED_OPERATIONS)`;
  const content = await requireForStartup(attempt, readFile(path, 'utf8'));
  const operations = parseList(content);
  if (operations === undefined)
    throw new StartError(
      `${attempt}: the file must contain JSON: an object of texts by id, or a manifest of format apollo-persisted-query-manifest, version 1.`,
    );
  const problems: string[] = [];
  const textById = new Map<string, string>();
  const textByPrint = new Map<string, string>();
  for (const { id, text } of operations) {
    try {
      const document = engine.parsePersisted(text);
      const invalid = engine.validate(document).map(({ message }) => message);
      if (!document.definitions.some(({ kind }) => kind === Kind.OPERATION_DEFINITION))
        invalid.push('It contains no operation.');
      const existingText = textById.get(id);
      if (existingText !== undefined && existingText !== text)
        invalid.push('The id is used twice, for different texts.');
      problems.push(...invalid.map((problem) => `${id}${nameOf(document)}: ${problem}`));
      const printedDocument = printSorted(document);
      textByPrint.set(printedDocument, textByPrint.get(printedDocument) ?? text);
      textById.set(id, text);
      for (const form of [text, print(document)]) {
        const hash = sha256(form);
        textById.set(hash, textById.get(hash) ?? text);
      }
    } catch (error) {
      problems.push(`${id}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (problems.length > 0)
    throw new StartError(
      `${attempt}: ${problems.length} problem(s):\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
  return {
    find: (id) => textById.get(id) ?? textById.get(id.replace(/^sha256:/i, '').toLowerCase()),
    findSame: (document) => textByPrint.get(printSorted(document)),
  };
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function parseList(content: string): ListedOperation[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
  const manifest = manifestSchema.safeParse(json);
  if (manifest.success) return manifest.data.operations.map(({ id, body }) => ({ id, text: body }));
  const map = mapSchema.safeParse(json);
  return map.success ? Object.entries(map.data).map(([id, text]) => ({ id, text })) : undefined;
}

function nameOf(document: DocumentNode): string {
  const name = getOperationAST(document)?.name?.value;
  return name === undefined ? '' : ` (${name})`;
}

/** Prints the definitions sorted by kind and name, as tools emit them in different orders. */
function printSorted({ definitions, ...document }: DocumentNode): string {
  const keyOf = (definition: DefinitionNode): string =>
    `${definition.kind} ${'name' in definition ? (definition.name?.value ?? '') : ''}`;
  const sorted = definitions.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return print({ ...document, definitions: sorted });
}
