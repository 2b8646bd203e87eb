import { expect } from 'vitest';

/** Matches a domain error by its code, and by those of its details that are given. */
export const errorWithCode = (code: string, details: object = {}) =>
  expect.objectContaining({ code, details: expect.objectContaining(details) as object });
