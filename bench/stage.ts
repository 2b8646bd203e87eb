import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import { circleOf, conversationOf, createGraphqlClient } from '../src/testing/index.ts';
import type { Named } from '../src/testing/index.ts';
import { costOf, startAudience } from './audience.ts';
import type { Peer } from './measure.ts';
import { startServer } from './server.ts';
import type { Opening } from './subscribers.ts';

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** A server with a conversation of two, and an audience for it and for what it is compared with. */
export interface Stage extends AsyncDisposable {
  /** Where its WebSockets are. */
  readonly origin: string;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly conversation: Named;
  /** What it costs the server to deliver a message of Ann's, in microseconds of processor time. */
  costOfParley(opening: Opening, text: string): Promise<number>;
  /** The same of a peer that publishes a text. */
  costOfPeer(peer: Peer, opening: Opening, text: string): Promise<number>;
}

export async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const server = stack.use(await startServer(dataDir));
  const audience = stack.use(startAudience());
  const anonymous = stack.use(createGraphqlClient(server.url));
  const ann = stack.use(await createTestAccount(server.url, anonymous));
  const bob = stack.use(await createTestAccount(server.url, anonymous));
  const circle = await circleOf(ann, bob);
  const conversation = await conversationOf(ann, circle, bob);
  const quiet = await conversationOf(ann, circle, bob);
  const owned = stack.move();
  return {
    origin: server.url.replace('http', 'ws'),
    ann,
    bob,
    conversation,
    costOfParley: (opening, text) =>
      costOf(audience, {
        opening,
        pid: server.pid,
        publish: () => ann.graphql.run(SEND, { id: conversation.id, text }),
        publishToNobody: () => ann.graphql.run(SEND, { id: quiet.id, text }),
      }),
    costOfPeer: (peer, opening, text) =>
      costOf(audience, { opening, pid: peer.pid, publish: () => peer.publish(text) }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
