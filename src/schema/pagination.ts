import { DomainError, invalidInput } from '../errors.ts';
import { parseId } from '../ids.ts';
import { STATEMENT } from './complexity.ts';
import type { Id } from '../ids.ts';

const DEFAULT_PAGE = 20;
const MAX_PAGE = 100;

/** What a client says about the page it wants. */
export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly last?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly before?: string | null | undefined;
}

/** A page of a list in order of id: so many, from one of its ends, between two places. */
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

/** Reads and checks the arguments of a connection. Throws LIMIT_EXCEEDED and INVALID_INPUT. */
export function parsePage<Type extends string>(
  type: Type,
  args: PageArguments,
  fromEndByDefault = false,
): Page<Type> {
  if (typeof args.first === 'number' && typeof args.last === 'number') {
    throw invalidInput('last', 'Give either first or last, not both.');
  }
  return {
    size: parseSize('first', args.first) ?? parseSize('last', args.last) ?? DEFAULT_PAGE,
    fromEnd: typeof args.last === 'number' || (fromEndByDefault && typeof args.first !== 'number'),
    after: parsePlace(type, 'after', args.after),
    before: parsePlace(type, 'before', args.before),
  };
}

function parseSize(field: 'first' | 'last', size: number | null | undefined): number | undefined {
  if (typeof size !== 'number') return undefined;
  if (size < 0) throw invalidInput(field, `${field} is negative.`);
  if (size <= MAX_PAGE) return size;
  throw new DomainError('LIMIT_EXCEEDED', `A page holds at most ${MAX_PAGE}.`, {
    field,
    limit: `${field} ${MAX_PAGE}`,
  });
}

/** Names the type, so that a place in another list is not taken for one in this. */
const encodePageCursor = (type: string, id: number): string =>
  Buffer.from(`${type} ${id}`).toString('base64url');

function parsePlace<Type extends string>(
  type: Type,
  field: 'after' | 'before',
  cursor: string | null | undefined,
): Id<Type> | undefined {
  // What `relayStylePagination` of Apollo Client sends beside an empty page.
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

/** The page that the arguments ask for, of a list that is all there. */
export function pageOf<Node extends { readonly id: number }>(
  type: string,
  nodes: readonly Node[],
  args: PageArguments,
): Connection<Node> {
  const page = parsePage(type, args);
  const between = nodes
    .filter(({ id }) => id > (page.after ?? 0) && id < (page.before ?? Infinity))
    .sort((a, b) => a.id - b.id);
  const shown = page.fromEnd
    ? between.slice(Math.max(0, between.length - page.size))
    : between.slice(0, page.size);
  const isCut = between.length > page.size;
  return connectionOf(type, shown, {
    hasPreviousPage: page.fromEnd ? isCut : nodes.some(({ id }) => id <= (page.after ?? 0)),
    hasNextPage: page.fromEnd ? nodes.some(({ id }) => id >= (page.before ?? Infinity)) : isCut,
  });
}

export const emptyPage = <Node>(): Connection<Node> => ({
  edges: [],
  pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
});

/** An edge whose cursor is encoded when it is asked for, which most operations do not. */
class PlacedEdge<Node extends { readonly id: number }> {
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

/** The connection of nodes that were read as a page, in the order in which they are shown. */
export function connectionOf<Node extends { readonly id: number }>(
  type: string,
  nodes: readonly Node[],
  more: { readonly hasNextPage: boolean; readonly hasPreviousPage: boolean },
): Connection<Node> {
  const edges = nodes.map((node) => new PlacedEdge(type, node));
  const pageInfo = {
    ...more,
    get startCursor() {
      return edges.at(0)?.cursor ?? null;
    },
    get endCursor() {
      return edges.at(-1)?.cursor ?? null;
    },
  };
  return { edges, pageInfo };
}

/** A connection whose list is read whole, in a statement of its own, for each time that it is asked for. */
export const wholeListComplexity = (args: PageArguments): { field: number; multiplier: number } => ({
  ...connectionComplexity(args),
  field: STATEMENT,
});

/** A connection costs as many times its selection as the page may hold. */
export function connectionComplexity({ first, last }: PageArguments): { field: number; multiplier: number } {
  const size = first ?? last ?? DEFAULT_PAGE;
  return { field: 1, multiplier: Math.min(Math.max(size, 1), MAX_PAGE) };
}
