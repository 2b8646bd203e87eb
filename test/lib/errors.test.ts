import { expect, test } from 'vitest';
import { notFound, withoutStackTraces } from '../../src/errors.ts';
import { createFormatError } from '../../src/gateway/execution/format-error.ts';
import { createLogger } from '../../src/log.ts';

test('a refusal has no stack trace, as thrown and as sent', () => {
  const refusal = notFound('The message');
  expect(refusal.stack).toBe('DomainError: The message was not found.');
  const formatError = createFormatError(createLogger('silent'));
  const sent = formatError(refusal);
  expect(sent.extensions).toEqual({ code: 'NOT_FOUND' });
  expect(sent.stack).not.toContain('\n');
});

test('all other errors have one, also after a refusal and after work that fails', () => {
  notFound('The message');
  const fail = () => {
    throw new Error('failed');
  };
  expect(() => withoutStackTraces(fail)).toThrow('failed');
  expect(new Error('afterwards').stack).toContain('\n    at ');
});
