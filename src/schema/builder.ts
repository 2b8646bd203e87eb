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
    nodesOnConnection: { description: 'The things of this page, without their edges.', complexity: ONCE },
    nodeTypeOptions: {
      description: 'Anything that has a global id, and so can be read again with `node(id:)`.',
    },
    idFieldOptions: { description: 'Global id: the name of the type and the number, as in `Circle:3`.' },
    pageInfoTypeOptions: {
      description: 'Where a page lies in its list: https://relay.dev/graphql/connections.htm.',
    },
    hasNextPageFieldOptions: { description: 'Whether more follows after `endCursor`.' },
    hasPreviousPageFieldOptions: { description: 'Whether more comes before `startCursor`.' },
    startCursorFieldOptions: { description: 'Cursor of the first edge; null when the page is empty.' },
    endCursorFieldOptions: { description: 'Cursor of the last edge; null when the page is empty.' },
    firstArgOptions: {
      description:
        'How many to answer, from the beginning: 0 to 100, more is LIMIT_EXCEEDED. Not together with `last`; with neither, a page has 20.',
    },
    lastArgOptions: {
      description:
        'How many to answer, from the end: 0 to 100, more is LIMIT_EXCEEDED. Not together with `first`.',
    },
    afterArgOptions: {
      description:
        'Only what comes after the edge with this cursor; `""` counts as null. INVALID_INPUT for other text.',
    },
    beforeArgOptions: {
      description:
        'Only what comes before the edge with this cursor; `""` counts as null. INVALID_INPUT for other text.',
    },
    cursorFieldOptions: { description: 'Place of this edge in the list, for `after` and `before`.' },
    nodeFieldOptions: { description: 'The thing itself.' },
    edgesFieldOptions: {
      description: 'The things of this page, with their cursors.',
      nullable: { list: false, items: false },
      complexity: ONCE,
    },
    pageInfoFieldOptions: { description: 'Where this page lies in the whole list.' },
    defaultConnectionTypeOptions: { description: 'A page of a list.' },
    defaultEdgeTypeOptions: { description: 'A thing in a list, with its place.' },
    defaultConnectionFieldOptions: { complexity: connectionComplexity },
  },
});

builder.queryType({
  description: 'What can be read. Every error carries its code, out of a closed list, in `extensions.code`.',
});
builder.mutationType({
  description: 'What can be changed. Every mutation answers the thing that it changed.',
});
builder.subscriptionType({ description: 'What can be followed live.' });
