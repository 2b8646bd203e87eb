import { builder } from './builder.ts';

/** Arguments of a list that is read from its start. */
export const forwardArguments = builder.args((t) => ({
  first: t.int({
    description: 'Page size, 0 to 100; default 20. LIMIT_EXCEEDED above 100.',
  }),
  after: t.string({
    description:
      'Returns only edges after this cursor; `""` counts as null. INVALID_INPUT if it is not a cursor of this list.',
  }),
}));
