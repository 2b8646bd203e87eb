import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestAccount } from '../src/testing/account.ts';
import type { TestAccount } from '../src/testing/account.ts';
import { circleOf, conversationOf, createGraphqlClient } from '../src/testing/index.ts';
import type { Named } from '../src/testing/index.ts';
import { openSeats } from './load-clients.ts';
import type { Seats } from './load-clients.ts';
import type { Peer } from './measure.ts';
import { startServer } from './server.ts';
import type { Opening } from './load-client-process.ts';

const SEND =
  'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }';

/** Who listens to a peer, which publishes a text again and again. */
export const openSeatsOf = (peer: Peer, opening: Opening, text: string): Promise<Seats> =>
  openSeats({ opening, pid: peer.pid, publish: () => peer.publish(text) });

/** A server with a conversation of two, before which many can sit. */
export interface Stage extends AsyncDisposable {
  /** Where its WebSockets are. */
  readonly origin: string;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly conversation: Named;
  /** Who listens to the server, which is sent a text of Ann's again and again. */
  openSeats(opening: Opening, text: string): Promise<Seats>;
}

export async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const server = stack.use(await startServer(dataDir));
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
    openSeats: (opening, text) =>
      openSeats({
        opening,
        pid: server.pid,
        publish: () => ann.graphql.run(SEND, { id: conversation.id, text }),
        publishToNobody: () => ann.graphql.run(SEND, { id: quiet.id, text }),
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
