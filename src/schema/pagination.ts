import { DomainError, invalidInput } from '../errors.ts';
import { parseId } from '../ids.ts';
import { STATEMENT_COST } from './complexity.ts';
import type { Id } from '../ids.ts';

const DEFAULT_PAGE_SIZE = 20;
const MAX_PAGE_SIZE = 100;

/** The arguments of a connection field. */
export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
}

/** A page of a list ordered by id: `size` items from one end of the range between `after` and `before`, exclusively. */
export interface Page<Type extends string> {
  readonly size: number;
  readonly fromEnd: boolean;
  readonly after: Id<Type> | undefined;
  readonly before: Id<Type> | undefined;
}

export interface Connection<Node> {
  readonly edges: { readonly cursor: string; readonly node: Node }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

/** Parses the arguments of a connection. Throws LIMIT_EXCEEDED for too large a page, INVALID_INPUT. */
export function parsePage<Type extends string>(
  type: Type,
  args: PageArguments,
  fromEndByDefault = false,
): Page<Type> {
  if (typeof args.first === 'number' && typeof args.last === 'number') {
    throw invalidInput('last', 'Pass either first or last, not both.');
  }
  return {
    size: parseSize('last', args.last) ?? parsePageSize(args),
    fromEnd: typeof args.last === 'number' || (fromEndByDefault && typeof args.first !== 'number'),
    after: parsePageCursor(type, 'after', args.after),
    before: parsePageCursor(type, 'before', args.before),
  };
}

/** Parses `first` of a list that is read from its start. Throws as `parsePage`. */
export const parsePageSize = ({ first }: Pick<PageArguments, 'first'>): number =>
  parseSize('first', first) ?? DEFAULT_PAGE_SIZE;

function parseSize(field: 'first' | 'last', size: number | null | undefined): number | undefined {
  if (typeof size !== 'number') return undefined;
  if (size < 0) throw invalidInput(field, `${field} is negative.`);
  if (size <= MAX_PAGE_SIZE) return size;
  throw new DomainError('LIMIT_EXCEEDED', `A page has at most ${MAX_PAGE_SIZE} items.`, {
    field,
    limit: `${field} ${MAX_PAGE_SIZE}`,
  });
}

/** Encodes the type, too, so that a cursor of another list is rejected. */
const encodePageCursor = (type: string, id: number): string =>
  Buffer.from(`${type} ${id}`).toString('base64url');

function parsePageCursor<Type extends string>(
  type: Type,
  field: 'after' | 'before',
  cursor: string | null | undefined,
): Id<Type> | undefined {
  // `relayStylePagination` of Apollo Client sends an empty cursor for an empty page.
  if (typeof cursor !== 'string' || cursor === '') return undefined;
  const id = parseId<Type>(
    Buffer.from(cursor.slice(0, 60), 'base64url')
      .toString()
      .slice(type.length + 1),
  );
  if (id === undefined || encodePageCursor(type, id) !== cursor)
    throw invalidInput(field, `${field} is not a cursor of this list.`);
  return id;
}

/** Returns the requested page of a complete list. */
export function connectionFromArray<Node extends { readonly id: number }>(
  type: string,
  nodes: readonly Node[],
  args: PageArguments,
): Connection<Node> {
  const page = parsePage(type, args);
  const between = nodes
    .filter(({ id }) => id > (page.after ?? 0) && id < (page.before ?? Infinity))
    .sort((a, b) => a.id - b.id);
  const pageNodes = page.fromEnd
    ? between.slice(Math.max(0, between.length - page.size))
    : between.slice(0, page.size);
  const hasMore = between.length > page.size;
  return connectionFromPage(type, pageNodes, {
    hasPreviousPage: page.fromEnd ? hasMore : nodes.some(({ id }) => id <= (page.after ?? 0)),
    hasNextPage: page.fromEnd ? nodes.some(({ id }) => id >= (page.before ?? Infinity)) : hasMore,
  });
}

export const emptyConnection = <Node>(): Connection<Node> => ({
  edges: [],
  pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
});

/** An edge that encodes its cursor on demand: most operations do not select it. */
class Edge<Node extends { readonly id: number }> {
  readonly node: Node;
  readonly #type: string;

  constructor(type: string, node: Node) {
    this.#type = type;
    this.node = node;
  }

  get cursor(): string {
    return encodePageCursor(this.#type, this.node.id);
  }
}

/** Builds a connection from the nodes of a page, in display order. */
export function connectionFromPage<Node extends { readonly id: number }>(
  type: string,
  nodes: readonly Node[],
  pages: { readonly hasNextPage: boolean; readonly hasPreviousPage: boolean },
): Connection<Node> {
  const edges = nodes.map((node) => new Edge(type, node));
  const pageInfo = {
    ...pages,
    get startCursor() {
      return edges.at(0)?.cursor ?? null;
    },
    get endCursor() {
      return edges.at(-1)?.cursor ?? null;
    },
  };
  return { edges, pageInfo };
}

/** Complexity of a connection that runs an SQL statement of its own each time it is selected. */
export const wholeListComplexity = (args: PageArguments): { field: number; multiplier: number } => ({
  ...connectionComplexity(args),
  field: STATEMENT_COST,
});

/** Complexity of a connection: the cost of its selection times the page size. */
export function connectionComplexity({ first, last }: PageArguments): { field: number; multiplier: number } {
  const size = first ?? last ?? DEFAULT_PAGE_SIZE;
  return { field: 1, multiplier: Math.min(Math.max(size, 1), MAX_PAGE_SIZE) };
}
