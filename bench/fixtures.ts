import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import { createCircle, createConversation, createGraphqlClient } from '../src/testing/index.ts';
import type { Entity } from '../src/testing/index.ts';
import { openReceivers } from './load-clients.ts';
import type { Receivers } from './load-clients.ts';
import type { Peer } from './measure.ts';
import { startServer } from './server.ts';
import type { ClientScript } from './load-client-process.ts';

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** Opens clients that receive from a peer, which publishes the text repeatedly. */
export const openPeerReceivers = (peer: Peer, script: ClientScript, text: string): Promise<Receivers> =>
  openReceivers({ script, pid: peer.pid, publish: () => peer.publish(text) });

/** A server with a conversation of two accounts, for any number of subscribers. */
export interface Fixture extends AsyncDisposable {
  /** The URL of its WebSockets. */
  readonly origin: string;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly conversation: Entity;
  /** Opens clients that receive from the server while Ann sends the text repeatedly. */
  openReceivers(script: ClientScript, text: string): Promise<Receivers>;
}

export async function openFixture(): Promise<Fixture> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const server = stack.use(await startServer(dataDir));
  const anonymous = stack.use(createGraphqlClient(server.url));
  const ann = stack.use(await createTestAccount(server.url, anonymous));
  const bob = stack.use(await createTestAccount(server.url, anonymous));
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  const unsubscribedConversation = await createConversation(ann, circle, bob);
  const resources = stack.move();
  return {
    origin: server.url.replace('http', 'ws'),
    ann,
    bob,
    conversation,
    openReceivers: (script, text) =>
      openReceivers({
        script,
        pid: server.pid,
        publish: () => ann.graphql.run(SEND, { id: conversation.id, text }),
        publishWithoutReceivers: () => ann.graphql.run(SEND, { id: unsubscribedConversation.id, text }),
      }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
