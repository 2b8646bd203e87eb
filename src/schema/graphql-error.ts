import type { GraphQLError } from 'graphql';

/** Compares the shape, as a process can load two copies of graphql, and `instanceof` fails between them. */
export const isGraphQLError = (error: unknown): error is GraphQLError =>
  error instanceof Error && error.name === 'GraphQLError' && 'extensions' in error;
