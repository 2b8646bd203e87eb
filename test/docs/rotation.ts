import { expect } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { CONVERSATION_EVENTS, openClient, subscribe } from '../client/subscriptions.ts';
import { CONVERSATION_ID } from '../harness/demo-server.ts';
import type { Server } from '../harness/server.ts';
import { pause } from '../harness/waiting.ts';
import { readCommands } from './book.ts';
import type { Deployment } from './book.ts';
import { findCodeBlocks, readProjectFile } from './snippets.ts';

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** Opens a subscription on each node with a token. Its messages must arrive on both, once and in order. */
export function openSession(
  stack: AsyncDisposableStack,
  nodes: readonly Server[],
  token: string,
  id = CONVERSATION_ID,
) {
  const texts: string[] = [];
  const subscriptions = nodes.map(({ url }) => {
    const options = { retryDelay: () => 200 };
    const client = openClient('graphql-ws', url, token, options, { retryAttempts: 0 });
    stack.defer(() => client.dispose());
    return subscribe(client, { query: CONVERSATION_EVENTS, variables: { id } });
  });
  const clients = nodes.map(({ url }) => createGraphqlClient(url, token));
  return {
    async expectLive(): Promise<void> {
      for (const subscription of subscriptions)
        await subscription.waitUntil(() => subscription.events.length > 0);
      for (const client of clients) {
        const text = `message ${texts.length}`;
        await client.run(SEND, { id, text });
        texts.push(text);
      }
      for (const subscription of subscriptions) {
        await subscription.waitUntil(() => subscription.texts().length >= texts.length, 30_000);
        expect(subscription.texts()).toEqual(texts);
        expect(subscription.end).toBeUndefined();
      }
    },
  };
}

/** Runs a step while an account logs in on each node in turn. Expects that no node refuses the token of another one. */
export async function runBesideLogins(
  nodes: readonly Server[],
  logIn: (url: string) => Promise<string>,
  step: () => Promise<unknown>,
): Promise<void> {
  let isRunning = true;
  const running = step().finally(() => (isRunning = false));
  // Reported at the end.
  running.catch(() => undefined);
  let logins = 0;
  try {
    while (isRunning) {
      for (const { url } of nodes) {
        // A node that restarts issues none.
        const token = await logIn(url).catch(() => undefined);
        if (token === undefined) continue;
        logins += 1;
        for (const node of nodes) expect(await readStatus(node.url, token), node.url).not.toBe(401);
      }
      // Leaves the processors to the nodes that start.
      await pause(200);
    }
  } finally {
    await running;
  }
  expect(logins).toBeGreaterThan(0);
}

/** Returns the status of a query that requires a login; undefined if the node does not respond. */
async function readStatus(url: string, token: string): Promise<number | undefined> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: '{ me { __typename } }' }),
  }).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status;
}

export const readPage = (): Promise<string> => readProjectFile('docs/operations/secrets.md');

/** Returns a function that runs commands of the page after its definitions. */
export async function openSteps(run: Deployment['run']): Promise<Deployment['run']> {
  const [definitions = ''] = findCodeBlocks(await readPage(), 'sh');
  return (commands = '') => run(`${definitions}${commands}`);
}

/** Returns the three steps that replace a secret that may be a list, by the given one. */
export async function readListSteps(name: string, oldSecret: string, newSecret: string) {
  const [rotate = '', drop = ''] = await readCommands('secrets', 'AUTH_SECRET and AUTH_DEVICE_SECRET');
  const [, ...steps] = rotate.split(/^(?=rotate)/m);
  expect(steps).toHaveLength(2);
  const [accept = '', sign = ''] = steps;
  const secrets = `OLD=${oldSecret} NEW=${newSecret}\n`;
  const named = (step: string): string => step.replaceAll('AUTH_SECRET', name);
  return { accept: `${secrets}${named(accept)}`, sign: `${secrets}${named(sign)}`, drop: named(drop) };
}
