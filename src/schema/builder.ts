import type { Readable } from 'node:stream';
import SchemaBuilder from '@pothos/core';
import RelayPlugin from '@pothos/plugin-relay';
import { connectionComplexity } from './pagination.ts';
import type { Context } from './context.ts';
import { LIMITS, LIST_SIZE, MAX_COMPLEXITY, MAX_DEPTH, tooComplex } from './complexity.ts';

/** A file of a multipart request, while it arrives. */
export interface UploadedFile {
  readonly filename: string;
  readonly content: Readable;
}

type Text = { Input: string; Output: string };

export interface SchemaTypes {
  Context: Context;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  Scalars: {
    ID: { Input: string; Output: string };
    Cursor: Text;
    Date: Text;
    DateTime: Text;
    JSON: { Input: unknown; Output: unknown };
    Upload: { Input: UploadedFile; Output: never };
  };
}

/** Marks a field whose value depends on who is asking: of an event, all others are the same for every reader. */
export const perActor = { extensions: { perActor: true } } as const;

/** The lists of a page: the connection has counted its size already. */
const ONCE = { field: 1, multiplier: 1 };

export const builder = new SchemaBuilder<SchemaTypes>({
  plugins: [RelayPlugin, LIMITS],
  defaultFieldNullability: false,
  complexity: {
    defaultListMultiplier: LIST_SIZE,
    limit: { complexity: MAX_COMPLEXITY, depth: MAX_DEPTH },
    complexityError: tooComplex,
  },
  relay: {
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    nodesOnConnection: { description: 'The nodes of this page, without edges.', complexity: ONCE },
    nodeTypeOptions: {
      description: 'An object with a global id, which `node(id:)` returns.',
    },
    idFieldOptions: { description: 'Global id: type name and number, for example `Circle:3`.' },
    pageInfoTypeOptions: {
      description: 'Pagination state of a page: https://relay.dev/graphql/connections.htm.',
    },
    hasNextPageFieldOptions: { description: 'Whether there are edges after `endCursor`.' },
    hasPreviousPageFieldOptions: { description: 'Whether there are edges before `startCursor`.' },
    startCursorFieldOptions: { description: 'Cursor of the first edge; null for an empty page.' },
    endCursorFieldOptions: { description: 'Cursor of the last edge; null for an empty page.' },
    firstArgOptions: {
      description:
        'Page size from the start of the list, 0 to 100; 20 without `first` and `last`. Excludes `last`. Errors: LIMIT_EXCEEDED, INVALID_INPUT.',
    },
    lastArgOptions: {
      description:
        'Page size from the end of the list, 0 to 100. Excludes `first`. Errors: LIMIT_EXCEEDED, INVALID_INPUT.',
    },
    afterArgOptions: {
      description: 'Returns edges after this cursor; `""` counts as null. Errors: INVALID_INPUT.',
    },
    beforeArgOptions: {
      description: 'Returns edges before this cursor; `""` counts as null. Errors: INVALID_INPUT.',
    },
    cursorFieldOptions: { description: 'Cursor of this edge, for `after` and `before`.' },
    nodeFieldOptions: { description: 'The node at the end of the edge.' },
    edgesFieldOptions: {
      description: 'The edges of this page.',
      nullable: { list: false, items: false },
      complexity: ONCE,
    },
    pageInfoFieldOptions: { description: 'The pagination state of this page.' },
    defaultConnectionTypeOptions: { description: 'A page of a list.' },
    defaultEdgeTypeOptions: { description: 'An edge in a connection.' },
    defaultConnectionFieldOptions: { complexity: connectionComplexity },
  },
});

builder.queryType({
  description:
    'The queries. Every error has a code of a closed list in `extensions.code`. Any field can also fail with UNAVAILABLE or INTERNAL, and without a session with UNAUTHENTICATED.',
});
builder.mutationType({
  description:
    'The mutations. Each returns the object that it changed. Any can also fail with INVALID_INPUT for a malformed argument, UNAVAILABLE or INTERNAL, and without a session with UNAUTHENTICATED.',
});
builder.subscriptionType({
  description:
    'The subscriptions. Any can also fail with INVALID_INPUT for a malformed argument, and without a session with UNAUTHENTICATED.',
});
