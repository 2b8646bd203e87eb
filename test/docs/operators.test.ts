import { describe, expect, test } from 'vitest';
import { connectLegacy, createGraphqlClient } from '../../src/testing/index.ts';
import { CONVERSATION_EVENTS } from '../client/subscriptions.ts';
import { CONVERSATION_ID, logIn } from '../harness/demo-server.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import type { GraphqlSocket } from '../harness/graphql-socket.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { listConnections } from '../harness/live-connections.ts';
import { createOperator } from '../harness/operator.ts';
import { startDeployment } from './book.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

// Runs the commands of docs/operations/operators.md on one of two nodes, for clients of the other one.

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';
const LOGIN = 'mutation { login(email: "ann@example.com", password: "parley") { token } }';
const TEXT = '語'.repeat(7_990);
const BATCH = 40;
const ADMIN_TOKEN = 'token-of-operators';

interface Frame {
  readonly payload: { readonly data: { readonly conversationEvents: ReceivedEvent } };
}
interface ReceivedEvent {
  readonly __typename: string;
  readonly cursor: string;
  readonly message?: { readonly text: string };
}

async function openReader(url: string, token: string, after?: string): Promise<GraphqlSocket> {
  const reader = await openGraphqlSocket(url, { token });
  const variables = { id: CONVERSATION_ID, after };
  reader.send({ id: '1', type: 'subscribe', payload: { query: CONVERSATION_EVENTS, variables } });
  return reader;
}

const readEvent = async (reader: GraphqlSocket): Promise<ReceivedEvent> => {
  const { payload } = (await reader.nextOf('next')) as unknown as Frame;
  return payload.data.conversationEvents;
};

const readNumber = async (reader: GraphqlSocket): Promise<number> =>
  Number.parseInt((await readEvent(reader)).message?.text ?? '', 10);

describe.skipIf(isMissing('postgresql', 'curl', 'jq'))('the commands for operators', () => {
  test('find and end the slowest reader, block an account, and list both', { timeout: 120_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const { nodes, run } = await startDeployment(stack, { ADMIN_TOKEN });
    const [definitions = '', endSlowest = '', block = ''] = findCodeBlocks(
      await readProjectFile('docs/operations/operators.md'),
      'sh',
    );
    const [first, second] = nodes;
    const token = await logIn(second.url);
    const slow = stack.use(await openReader(second.url, await logIn(second.url, 'bob@example.com')));
    const { cursor } = await readEvent(slow);
    const fast = stack.use(await openReader(first.url, token));
    await readEvent(fast);
    slow.socket.pause();
    const writer = createGraphqlClient(first.url, token);
    const operator = createOperator(first.url, ADMIN_TOKEN);
    let sent = 0;
    const sendBatch = () =>
      Promise.all(
        Array.from({ length: BATCH }, () =>
          writer.run(SEND, { id: CONVERSATION_ID, text: `${(sent += 1)} ${TEXT}` }),
        ),
      );
    const readLag = async () => (await listConnections(operator, 'orderBy: BEHIND'))[0]?.behind ?? 0;
    // Until what the system buffers for the client is full. A fast reader is one batch behind at most.
    while ((await readLag()) <= BATCH) await sendBatch();

    const ended = await run(`${definitions}${endSlowest}`);
    expect(ended).toMatch(/"account": "User:2",\n +"behind": [1-9]/);
    slow.socket.resume();
    expect(await slow.waitForClose()).toEqual({ code: 1012, reason: 'OPERATOR' });
    const returned = stack.use(
      await openReader(second.url, await logIn(second.url, 'bob@example.com'), cursor),
    );
    const numbers = { fast: [] as number[], returned: [] as number[] };
    for (let read = 0; read < sent; read += 1) {
      numbers.fast.push(await readNumber(fast));
      numbers.returned.push(await readNumber(returned));
    }
    expect(numbers.returned).toEqual(numbers.fast);
    expect(new Set(numbers.fast).size).toBe(sent);

    const legacy = stack.use(await connectLegacy(second.url));
    await legacy.push('authenticate', { token });
    const output = await run(`${definitions}${block}`);
    expect((await fast.waitForClose()).code).toBe(4401);
    await legacy.waitForDisconnect();
    for (const { url } of nodes) {
      expect(await createGraphqlClient(url).expectError(LOGIN)).toBe('FORBIDDEN');
      expect(await createGraphqlClient(url, token).expectError('{ me { __typename } }')).toBe(
        'UNAUTHENTICATED',
      );
      await using refused = await connectLegacy(url);
      await expect(refused.push('authenticate', { token })).rejects.toThrow('User not found');
    }
    const actions = [...output.matchAll(/"action": "(\w+)"/g)].map(([, action]) => action);
    expect(actions).toEqual(['blockAccount', 'endConnection']);
    expect(output.match(/"outcome": "OK"/g)).toHaveLength(2);
  });
});
