import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { createOperationCost } from '../../src/gateway/execution/operation-cost.ts';

const send = (selection: string) => `sendMessage(conversationId: "1", text: "a") { ${selection} }`;

test.for([
  [`mutation { ${send('message { id sentAt }')} }`, true],
  [`mutation { ...F } fragment F on Mutation { a: ${send('cursor')} b: ${send('message { id }')} }`, true],
  [
    `mutation { ${send('message { id author { ...A } media { id } } media { id }')} } fragment A on User { id }`,
    true,
  ],
  [`mutation { ${send('media { message { id } }')} }`, false],
  [`mutation { ${send('message { conversation { name } }')} }`, false],
  [
    `mutation { ${send('message { author { ...A } }')} } fragment A on User { circles { nodes { id } } }`,
    false,
  ],
  [`mutation { ${send('message { id }')} logout }`, false],
  ['mutation { logout }', false],
  ['{ me { id } }', false],
] as const)('the statements of %s run in batches of several accounts: %s', ([text, isBatched]) => {
  expect(createOperationCost().of(parse(text), undefined, undefined)).toMatchObject({ isBatched });
});
