// The checks of `npm run bench -- --guard`, with rounds that are short but many deliveries long.
import { startPostgres } from '../test/harness/postgres.ts';
import { createGraphqlClient } from '../src/testing/index.ts';
import { allocatedPerDelivery, allocatedPerSend } from './allocated.ts';
import {
  createFrame,
  createJoinScript,
  createLegacyScript,
  createPayload,
  createRoomScript,
  createSubscribeScript,
} from './client-scripts.ts';
import type { Counts, DatabaseCounter } from './database-counter.ts';
import { openFirstScreens } from './first-screen.ts';
import { openPeerReceivers } from './fixtures.ts';
import type { Fixture } from './fixtures.ts';
import type { ClientScript } from './load-client-process.ts';
import { burstCostOf, costOf } from './load-clients.ts';
import type { RoundOptions } from './load-clients.ts';
import { startPeer } from './measure.ts';
import { isPgbenchInstalled, runPgbench } from './pgbench.ts';
import { openPublisher } from './publisher.ts';
import { openResumer } from './resumer.ts';
import type { Selection } from './resumer.ts';
import { measurePairs } from './rounds.ts';
import type { Measurement } from './rounds.ts';
import { startSeededServer } from './seed-accounts.ts';
import { startSenders } from './sender-process.ts';
import type { CountFigure, RatioFigure } from './verdict.ts';

const SUBSCRIBERS = 300;
const BYTES = 200;
const BURST = 128;
const BURST_BYTES = 100;
const ROUND: RoundOptions = { deliveries: 20_000, ms: 2_000 };
const BURST_ROUND: RoundOptions = { deliveries: 2 * BURST * SUBSCRIBERS, ms: 5_000 };
const SINGLE_SENDS = 41;
const MISSED = 500;
const SENDERS = 50;
const PGBENCH_CONNECTIONS = 16;
const SEND_MS = 1_500;
/** V8 optimises code earlier or later, which matters most where little is allocated. */
const [SEND_ALLOCATION_MARGIN, DELIVERY_ALLOCATION_MARGIN] = [0.1, 0.25];
/** A page of the replay may be cut elsewhere. */
const REPLAY_MARGIN = 0.15;
/** Other writes of the server, for example to PostgreSQL. */
const WRITE_MARGIN = 0.05;

/** A ratio that can be measured again, in more rounds. */
export interface RatioCheck {
  readonly name: string;
  measure(rounds: number): Promise<RatioFigure>;
}

/** Measures a peer twice in each round, so that the run shows its own noise. */
const createCheck = <Figure extends string>(
  name: string,
  figure: NoInfer<Figure>,
  parley: Measurement<Figure>,
  peer: Measurement<Figure>,
): RatioCheck => ({
  name,
  async measure(rounds) {
    const targets = { parley, peer, again: peer };
    const { ratios } = await measurePairs(targets, { steady: figure, rounds });
    return { name, ratios: ratios('parley', 'peer', figure), noise: ratios('again', 'peer', figure) };
  },
});

interface Transport {
  readonly name: string;
  readonly peer: string;
  parleyScript(fixture: Fixture): ClientScript;
  peerScript(port: number, fixture: Fixture): ClientScript;
  payload(bytes: number): string;
}

export const TRANSPORTS: readonly Transport[] = [
  {
    name: 'GraphQL',
    peer: 'bare-ws',
    parleyScript: ({ origin, ann }) => createSubscribeScript(origin, SUBSCRIBERS, [ann]),
    peerScript: (port, { ann }) => createJoinScript(port, SUBSCRIBERS, [ann]),
    payload: createFrame,
  },
  {
    name: 'Socket.IO',
    peer: 'bare-socket-io',
    parleyScript: ({ origin, bob }) => createLegacyScript(origin, SUBSCRIBERS, [bob]),
    peerScript: (port) => createRoomScript(port, SUBSCRIBERS),
    payload: createPayload,
  },
];

/** What the guard does with the figures of a transport. */
export interface Visitor {
  ratio(check: RatioCheck): Promise<void>;
  count(figure: CountFigure): void;
}

/** Checks single deliveries, bursts, and what they allocate and write. */
export async function checkDelivery(fixture: Fixture, transport: Transport, visit: Visitor): Promise<void> {
  const { name } = transport;
  const open = async (burst: number, bytes: number, stack: AsyncDisposableStack) => {
    const peer = stack.use(await startPeer(transport.peer));
    const script = transport.parleyScript(fixture);
    const peerScript = transport.peerScript(peer.port, fixture);
    return {
      parley: stack.use(await fixture.openReceivers(script, '.'.repeat(bytes), burst)),
      bare: stack.use(await openPeerReceivers(peer, peerScript, transport.payload(bytes), burst)),
    };
  };
  {
    await using stack = new AsyncDisposableStack();
    const { parley, bare } = await open(1, BYTES, stack);
    const [cost, peerCost] = [costOf(parley, ROUND), costOf(bare, ROUND)];
    await visit.ratio(createCheck(`${name}, CPU time of a delivery`, 'us', cost, peerCost));
    const value = await allocatedPerDelivery(parley, fixture.server.probe);
    visit.count({
      name: `${name}, bytes allocated for a delivery`,
      value,
      margin: DELIVERY_ALLOCATION_MARGIN,
    });
  }
  {
    await using stack = new AsyncDisposableStack();
    const { parley, bare } = await open(BURST, BURST_BYTES, stack);
    const [cost, peerCost] = [burstCostOf(parley, BURST, BURST_ROUND), burstCostOf(bare, BURST, BURST_ROUND)];
    await visit.ratio(createCheck(`${name}, CPU time of a delivery in a burst`, 'us', cost, peerCost));
    // The fewest: under load, a burst may arrive in several turns.
    const rounds = [await cost(), await cost(), await cost()];
    const value = Math.min(...rounds.map(({ writes }) => writes));
    visit.count({ name: `${name}, writes to a socket for a burst of ${BURST}`, value, margin: WRITE_MARGIN });
  }
}

/** Counts what sends and replays ask of the database, and what sends allocate. */
export async function countWork(fixture: Fixture, counter: DatabaseCounter, visit: Visitor): Promise<void> {
  const allocated = await allocatedPerSend(fixture, '.'.repeat(BYTES));
  visit.count({ name: 'bytes allocated for a send', value: allocated, margin: SEND_ALLOCATION_MARGIN });
  const countDuring = async (work: () => Promise<void>): Promise<Counts> => {
    const before = counter.read();
    await work();
    const after = counter.read();
    return { turns: after.turns - before.turns, statements: after.statements - before.statements };
  };
  // The fewest, as the server also does other work meanwhile.
  const countMany = async (times: number, work: () => Promise<void>): Promise<Counts> => {
    const counts: Counts[] = [];
    for (let count = 0; count < times; count += 1) counts.push(await countDuring(work));
    return {
      turns: Math.min(...counts.map(({ turns }) => turns)),
      statements: Math.min(...counts.map(({ statements }) => statements)),
    };
  };
  const send = await countMany(SINGLE_SENDS, () => fixture.send('counted'));
  visit.count({ name: 'turns to the database for a send', value: send.turns, margin: 0 });
  visit.count({ name: 'statements for a send', value: send.statements, margin: 0 });

  const { server, ann, bob } = fixture;
  await using graphql = createGraphqlClient(server.url, bob.token);
  const { conversation } = await graphql.run<{ conversation: { eventCursor: string } }>(
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id: ann.conversation },
  );
  await using publisher = await openPublisher(server.url, ann.token);
  for (let sent = 0; sent < MISSED; sent += 50) await publisher.send(ann.conversation, 'missed', 50);
  await using resumer = await openResumer(server.url, bob, MISSED);
  for (const selection of ['small', 'leaving the event'] satisfies Selection[]) {
    const { statements } = await countMany(9, () => resumer.resume(conversation.eventCursor, selection));
    const name = `statements for the replay of ${MISSED} events, selection ${selection}`;
    visit.count({ name, value: statements, margin: REPLAY_MARGIN });
  }
}

/** Compares concurrent sends with pgbench. */
export async function checkSends(visit: Visitor): Promise<void> {
  if (!isPgbenchInstalled) throw new Error('The guard needs pgbench (Debian: postgresql-contrib).');
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const seed = { accounts: 2 * SENDERS, perConversation: 2 };
  const { server, members } = stack.use(await startSeededServer(seed, postgres.url));
  const senders = stack.use(startSenders());
  const url = `${server.url.replace('http', 'ws')}/graphql`;
  const each = members.filter((_, index) => index % 2 === 0);
  await senders.run({ type: 'open', url, senders: each });
  const parley = async () => ({
    us: (SEND_MS * 1_000) / (await senders.run({ type: 'send', ms: SEND_MS })).sends,
  });
  const load = { connections: PGBENCH_CONNECTIONS, perConversation: 2, seconds: Math.ceil(SEND_MS / 1_000) };
  const pgbench = async () => ({ us: 1e6 / (await runPgbench(postgres, load)) });
  await visit.ratio(createCheck(`time of a send, ${SENDERS} senders`, 'us', parley, pgbench));
}

export async function checkFirstScreen(visit: Visitor): Promise<void> {
  await using screens = await openFirstScreens();
  const { parley, mercurius } = await screens.open({ circles: 3, conversations: 3, queries: 200 });
  await visit.ratio(createCheck('CPU time of a first screen', 'us', parley, mercurius));
}
