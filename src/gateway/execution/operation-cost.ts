import { getOperationAST, Kind } from 'graphql';
import type { DocumentNode, FieldNode, FragmentDefinitionNode, SelectionSetNode } from 'graphql';
import { MAX_JSON_DEPTH } from '../../lib/json-weight.ts';
import { tooDeepError } from '../json-limits.ts';

/** SQL statements that one operation may cause, by the estimate of `Cost.statements`. */
export const MAX_STATEMENTS = 150;

/** Points of an operation, beside those of its statements. */
const OPERATION_POINTS = 1;
/** Further points of a mutation: it runs a transaction of several statements, and its event is delivered to others. */
const MUTATION_POINTS = 40;
/** Mutations that have a limit of their own, and those that run often and are cheap. */
const CHEAP_MUTATIONS: ReadonlySet<string> = new Set([
  'createAccount',
  'deleteMessage',
  'login',
  'loginDevice',
  'logout',
  'refreshToken',
  'sendMessage',
  'sendSignal',
  'setTyping',
  'updateMessage',
  'uploadMedia',
]);
/**
 * The mutation whose statements run in batches of several accounts, if its selection reads nothing beyond the message. It is
 * by far the most frequent one, and attributing its statements to a payer costs 6 % of the CPU time of a send.
 */
const BATCHED_MUTATION = 'sendMessage';
/** Length of an unknown document that costs a point to parse and validate, in characters. */
const CHARACTERS_PER_POINT = 25;
/** Size of the variables that costs a point, in characters. */
const VARIABLE_CHARACTERS_PER_POINT = 4_000;

/** Fields of its result, and of the message in it, that read nothing: the send knows their values. */
const SENT_FIELDS: ReadonlySet<string> = new Set(['author', 'media', 'message']);

/** Fields with a selection that read nothing: the field above has read their values. */
const STRUCTURAL_FIELDS: ReadonlySet<string> = new Set(['edges', 'node', 'nodes', 'pageInfo']);

type Variables = Readonly<Record<string, unknown>> | null | undefined;

/** The greatest cost of an operation. */
export interface Cost {
  readonly isQuery: boolean;
  /** Whether all its statements run in batches of several accounts. */
  readonly isBatched: boolean;
  readonly statements: number;
  readonly points: number;
}

/** Root fields, fields of the result of a send and of its message, and all others. */
type Level = 'root' | 'sent' | 'inner';

interface CountedDocument {
  readonly isQuery: boolean;
  readonly isBatched: boolean;
  /** Statements, without those of the root field `nodes`. */
  readonly statements: number;
  readonly mutationPoints: number;
  /** The root fields `nodes`, which read each of their ids. */
  readonly nodesFields: readonly FieldNode[];
}

/** Estimates the cost of operations before they run. Counts are cached by document. */
export interface OperationCost {
  of(document: DocumentNode, operationName: string | null | undefined, variables: Variables): Cost;
}

export function createOperationCost(): OperationCost {
  const cache = new WeakMap<DocumentNode, Map<string, CountedDocument>>();
  const read = (document: DocumentNode, operationName: string): CountedDocument => {
    const known = cache.get(document)?.get(operationName);
    if (known !== undefined) return known;
    const counted = countDocument(document, operationName);
    const byName = cache.get(document) ?? new Map<string, CountedDocument>();
    cache.set(document, byName);
    return byName.set(operationName, counted).get(operationName) ?? counted;
  };
  return {
    of(document, operationName, variables) {
      const counted = read(document, operationName ?? '');
      const { isQuery, isBatched, statements: ownStatements, mutationPoints, nodesFields } = counted;
      let statements = ownStatements;
      for (const field of nodesFields) statements += countIds(field, variables);
      const points =
        OPERATION_POINTS +
        Math.min(statements, MAX_STATEMENTS) +
        mutationPoints +
        pointsOfVariables(variables);
      return { isQuery, isBatched, statements, points };
    },
  };
}

/**
 * Counts the fields that read: every root field, and every field with a selection. Reads of one field for several parents
 * are batched into one statement, so the length of lists does not count.
 */
function countDocument(document: DocumentNode, operationName: string): CountedDocument {
  const operation = getOperationAST(document, operationName === '' ? undefined : operationName);
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const nodesFields: FieldNode[] = [];
  let mutationPoints = 0;
  let isBatched = operation?.operation === 'mutation';
  const counts = new Map<string, number>();

  const countOfFragment = (name: string, level: Level): number => {
    const key = `${level} ${name}`;
    const count = counts.get(key) ?? countOf(fragments.get(name)?.selectionSet, level);
    counts.set(key, count);
    return count;
  };
  const countOf = (set: SelectionSetNode | undefined, level: Level): number => {
    let count = 0;
    for (const selection of set?.selections ?? []) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) count += countOfFragment(selection.name.value, level);
      else if (selection.kind === Kind.INLINE_FRAGMENT) count += countOf(selection.selectionSet, level);
      else count += countOfField(selection, level);
    }
    return count;
  };
  const countOfField = (field: FieldNode, level: Level): number => {
    const name = field.name.value;
    // Introspection has a limit of its own.
    if (name.startsWith('__')) return 0;
    if (level === 'sent' && SENT_FIELDS.has(name))
      return countOf(field.selectionSet, name === 'message' ? 'sent' : 'inner');
    const inner = countOf(field.selectionSet, 'inner');
    const isRoot = level === 'root';
    if (isRoot && (name !== BATCHED_MUTATION || countOf(field.selectionSet, 'sent') > 0)) isBatched = false;
    if (isRoot && name === 'nodes') {
      nodesFields.push(field);
      return inner;
    }
    if (isRoot && operation?.operation === 'mutation' && !CHEAP_MUTATIONS.has(name))
      mutationPoints += MUTATION_POINTS;
    const reads = isRoot || (field.selectionSet !== undefined && !STRUCTURAL_FIELDS.has(name));
    return reads ? 1 + inner : inner;
  };

  const statements = countOf(operation?.selectionSet, 'root');
  return { isQuery: operation?.operation === 'query', isBatched, statements, mutationPoints, nodesFields };
}

function countIds({ arguments: args = [] }: FieldNode, variables: Variables): number {
  const value = args.find(({ name }) => name.value === 'ids')?.value;
  if (value?.kind === Kind.LIST) return value.values.length;
  const ids = value?.kind === Kind.VARIABLE ? variables?.[value.name.value] : undefined;
  return Array.isArray(ids) ? ids.length : 1;
}

/** Returns the points for parsing and validating a document that is not cached. */
export const pointsOfDocument = (text: string): number => Math.ceil(text.length / CHARACTERS_PER_POINT);

/** Returns the points for the size of an operation's variables. Files and other class instances are not counted. */
const pointsOfVariables = (variables: Variables): number =>
  Math.floor(countCharacters(variables) / VARIABLE_CHARACTERS_PER_POINT);

/** Throws LIMIT_EXCEEDED for a value that is nested too deep: it may come from a URL, whose JSON is not measured. */
export function countCharacters(value: unknown, levels = MAX_JSON_DEPTH): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 1;
  if (levels === 0) throw tooDeepError();
  let characters = 1;
  if (Array.isArray(value)) for (const item of value) characters += countCharacters(item, levels - 1);
  else if (isPlain(value))
    for (const item of Object.values(value)) characters += countCharacters(item, levels - 1);
  return characters;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
