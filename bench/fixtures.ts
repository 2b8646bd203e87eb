import { startPostgres } from '../test/harness/postgres.ts';
import { openReceivers } from './load-clients.ts';
import type { Receivers } from './load-clients.ts';
import type { Peer } from './measure.ts';
import { openPublisher } from './publisher.ts';
import { startSeededServer } from './seed-accounts.ts';
import type { Member } from './seed-accounts.ts';
import type { Server } from './server.ts';
import type { ClientScript } from './load-client-process.ts';

/** Opens clients that receive from a peer, which publishes the text repeatedly, in bursts. */
export const openPeerReceivers = (
  peer: Peer,
  script: ClientScript,
  text: string,
  burst = 1,
): Promise<Receivers> => {
  const texts = burst === 1 ? text : Array.from({ length: burst }, () => text);
  return openReceivers({ script, pid: peer.pid, burst, publish: () => peer.publish(texts) });
};

/** A server on PostgreSQL with a conversation of two accounts, for any number of subscribers. */
export interface Fixture extends AsyncDisposable {
  readonly server: Server;
  /** The URL of its WebSockets. */
  readonly origin: string;
  readonly ann: Member;
  readonly bob: Member;
  /** Sends a text that no one receives. */
  send(text: string): Promise<void>;
  /** Opens clients that receive from the server while Ann sends the text repeatedly, in bursts. */
  openReceivers(script: ClientScript, text: string, burst?: number): Promise<Receivers>;
}

/** Starts the server on a PostgreSQL of its own, or on that at a URL. */
export async function openFixture(postgresUrl?: string): Promise<Fixture> {
  await using stack = new AsyncDisposableStack();
  const url = postgresUrl ?? stack.use(await startPostgres()).url;
  const seed = { accounts: 4, perConversation: 2 };
  const { server, members } = stack.use(await startSeededServer(seed, url));
  const [ann, bob, , eve] = members;
  if (ann === undefined || bob === undefined || eve === undefined) throw new Error('No accounts');
  const publisher = stack.use(await openPublisher(server.url, ann.token));
  // No one subscribes to the second conversation.
  const unreceived = stack.use(await openPublisher(server.url, eve.token));
  const resources = stack.move();
  return {
    server,
    origin: server.url.replace('http', 'ws'),
    ann,
    bob,
    send: (text) => unreceived.send(eve.conversation, text),
    openReceivers: (script, text, burst = 1) =>
      openReceivers({
        script,
        pid: server.pid,
        burst,
        publish: () => publisher.send(ann.conversation, text, burst),
        publishWithoutReceivers: () => unreceived.send(eve.conversation, text, burst),
      }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
