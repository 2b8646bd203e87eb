import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { getOperationAST, Kind, print } from 'graphql';
import type { DefinitionNode, DocumentNode } from 'graphql';
import { z } from 'zod';
import { requireForStartup, StartError } from '../../lib/startup-error.ts';
import type { Engine } from './engine.ts';

/** The documents that an operator has listed, by their ids. */
export interface PersistedOperations {
  /** The text with this id, which may be the SHA-256 of the text, too; also as `sha256:<hex>`. */
  find(id: string): string | undefined;
  /** The text in the list that is the same document, however it is printed. */
  findSame(document: DocumentNode): string | undefined;
}

/** Apollo's manifest, as `@apollo/generate-persisted-query-manifest` makes it. */
const manifestSchema = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(z.object({ id: z.string().min(1), body: z.string() })),
});
/** Texts by id, as Relay, graphql-codegen and gql.tada make them. */
const mapSchema = z.record(z.string().min(1), z.string());

interface Listed {
  readonly id: string;
  readonly text: string;
}

/** Reads the list from a file. Throws a `StartError` with one line for each problem in it. */
export async function readPersistedOperations(
  path: string,
  engine: Pick<Engine, 'keep' | 'validate'>,
): Promise<PersistedOperations> {
  const attempt = `Cannot read the persisted operations in ${path} (PERSISTED_OPERATIONS)`;
  const content = await requireForStartup(attempt, readFile(path, 'utf8'));
  const listed = parseList(content);
  if (listed === undefined)
    throw new StartError(
      `${attempt}: it must be JSON, an object of texts by id or a manifest of format apollo-persisted-query-manifest, version 1.`,
    );
  const problems: string[] = [];
  const byId = new Map<string, string>();
  const byPrint = new Map<string, string>();
  for (const { id, text } of listed) {
    try {
      const document = engine.keep(text);
      const faults = engine.validate(document).map(({ message }) => message);
      if (!document.definitions.some(({ kind }) => kind === Kind.OPERATION_DEFINITION))
        faults.push('There is no operation in it.');
      const former = byId.get(id);
      if (former !== undefined && former !== text) faults.push('The id is there twice, for different texts.');
      problems.push(...faults.map((fault) => `${id}${nameOf(document)}: ${fault}`));
      const printed = printSorted(document);
      byPrint.set(printed, byPrint.get(printed) ?? text);
      byId.set(id, text);
      for (const form of [text, print(document)]) {
        const hash = sha256(form);
        byId.set(hash, byId.get(hash) ?? text);
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
    find: (id) => byId.get(id) ?? byId.get(id.replace(/^sha256:/i, '').toLowerCase()),
    findSame: (document) => byPrint.get(printSorted(document)),
  };
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function parseList(content: string): Listed[] | undefined {
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

/** The definitions in an order of their own: tools sort them in different ways. */
function printSorted({ definitions, ...document }: DocumentNode): string {
  const keyOf = (definition: DefinitionNode): string =>
    `${definition.kind} ${'name' in definition ? (definition.name?.value ?? '') : ''}`;
  const sorted = definitions.toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
  return print({ ...document, definitions: sorted });
}
