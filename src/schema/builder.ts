import type { Readable } from 'node:stream';
import SchemaBuilder from '@pothos/core';
import RelayPlugin from '@pothos/plugin-relay';
import { connectionComplexity } from './pagination.ts';
import type { Context } from './context.ts';
import { PAGE_OPTIONS } from './relay-options.ts';
import { LIMITS, DEFAULT_LIST_SIZE, MAX_COMPLEXITY, MAX_DEPTH, tooComplexError } from './complexity.ts';

/** A file of a multipart request, readable once while it is received. */
export interface FileUpload {
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
    Upload: { Input: FileUpload; Output: never };
  };
}

/**
 * Marks a field whose value depends on the caller. An event is executed once for many subscribers unless the operation
 * selects such a field.
 */
export const perActor = { extensions: { perActor: true } } as const;

/** Complexity of `edges` and `nodes`: the connection field has already multiplied by the page size. */
const COUNTED_ONCE = { field: 1, multiplier: 1 };

export const builder = new SchemaBuilder<SchemaTypes>({
  plugins: [RelayPlugin, LIMITS],
  defaultFieldNullability: false,
  complexity: {
    defaultListMultiplier: DEFAULT_LIST_SIZE,
    limit: { complexity: MAX_COMPLEXITY, depth: MAX_DEPTH },
    complexityError: tooComplexError,
  },
  relay: {
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    nodesOnConnection: {
      description: 'The nodes of this page, without their edges.',
      complexity: COUNTED_ONCE,
    },
    nodeTypeOptions: {
      description: 'An object with a global id, which `node` can read again.',
    },
    idFieldOptions: { description: 'Global id: type name and number, for example `Circle:3`.' },
    ...PAGE_OPTIONS,
    firstArgOptions: {
      description:
        'Page size from the start of the list, 0 to 100; default 20 if `last` is absent, too. LIMIT_EXCEEDED above 100, INVALID_INPUT together with `last`.',
    },
    lastArgOptions: {
      description:
        'Page size from the end of the list, 0 to 100. LIMIT_EXCEEDED above 100, INVALID_INPUT together with `first`.',
    },
    afterArgOptions: {
      description:
        'Returns only edges after this cursor; `""` counts as null. INVALID_INPUT if it is not a cursor of this list.',
    },
    beforeArgOptions: {
      description:
        'Returns only edges before this cursor; `""` counts as null. INVALID_INPUT if it is not a cursor of this list.',
    },
    cursorFieldOptions: { description: 'Cursor of the edge, for the arguments `after` and `before`.' },
    edgesFieldOptions: { ...PAGE_OPTIONS.edgesFieldOptions, complexity: COUNTED_ONCE },
    defaultConnectionFieldOptions: { complexity: connectionComplexity },
  },
});

builder.queryType({
  description:
    'All queries. Every error has a code in `extensions.code`. Besides the codes listed at a field, every operation can fail with UNAUTHENTICATED for an invalid token, INVALID_INPUT for a malformed document or variable, LIMIT_EXCEEDED for an operation that is too large or too deep, UNAVAILABLE and INTERNAL.',
});
builder.mutationType({
  description:
    'All mutations. Each returns the object that it changed. Unless stated otherwise, it requires a token.',
});
builder.subscriptionType({
  description:
    'All subscriptions, over WebSocket (`graphql-transport-ws`) and Server-Sent Events. Each requires a token. When the server ends one, the error has the reason in `extensions.reason`.',
});
