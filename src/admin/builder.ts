import SchemaBuilder from '@pothos/core';
import RelayPlugin from '@pothos/plugin-relay';
import { PAGE_OPTIONS } from '../schema/relay-options.ts';
import { JSON_VALUE, OPERATOR_DATE_TIME } from '../schema/scalar-options.ts';
import type { AdminContext } from './context.ts';

export interface AdminSchemaTypes {
  Context: AdminContext;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: string; Output: string };
    JSON: { Input: unknown; Output: unknown };
  };
}

/** The builder of the operators' schema. Operators are trusted: it has no limits by complexity, only those by size. */
export const builder = new SchemaBuilder<AdminSchemaTypes>({
  plugins: [RelayPlugin],
  defaultFieldNullability: false,
  relay: {
    ...PAGE_OPTIONS,
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    nodesOnConnection: { description: 'The nodes of this page, without their edges.' },
    cursorFieldOptions: { description: 'Cursor of the edge, for the argument `after`.' },
  },
});

builder.scalarType('DateTime', OPERATOR_DATE_TIME);
builder.scalarType('JSON', JSON_VALUE);

builder.queryType({
  description:
    'All queries of operators. Every error has a code in `extensions.code`. Every operation can fail with INVALID_INPUT for a malformed document or variable, LIMIT_EXCEEDED for a document that is too large, UNAVAILABLE and INTERNAL.',
});
builder.mutationType({
  description:
    'All mutations of operators. Each is recorded in `auditLog` before it runs, and does not run if that fails.',
});
