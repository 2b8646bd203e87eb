// Measures the CPU time per delivery and the writes per socket of bursts: messages that are sent in one write. Peers: a bare
// WebSocket server and a bare Socket.IO room, which send the messages in one turn of the event loop.
import { createFrame, createJoinScript, createSubscribeScript } from './client-scripts.ts';
import { createLegacyScript, createPayload, createRoomScript } from './client-scripts.ts';
import { openFixture, openPeerReceivers } from './fixtures.ts';
import { costOf } from './load-clients.ts';
import { median, startPeer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { formatRatio, formatUs, measurePairs, printRow } from './rounds.ts';
import { print } from './server.ts';
import { writesOfBursts } from './socket-writes.ts';

const SUBSCRIBERS = 1_000;
const BURST = 128;
/** So that the frames of a burst fit into one read of the server. */
const BYTES = 100;
const COLUMNS = ['clients  ', '   Parley', '     bare', '   ratio', 'writes per socket', 'bare writes'];

await using stack = new AsyncDisposableStack();
const fixture = stack.use(await openFixture());
const text = '.'.repeat(BYTES);

async function openGraphql(clients: AsyncDisposableStack) {
  const peer = stack.use(await startPeer('bare-ws'));
  const toParley = createSubscribeScript(fixture.origin, SUBSCRIBERS, [fixture.ann]);
  const toPeer = createJoinScript(peer.port, SUBSCRIBERS, [fixture.ann]);
  return {
    parley: clients.use(await fixture.openReceivers(toParley, text, BURST)),
    bare: clients.use(await openPeerReceivers(peer, toPeer, createFrame(BYTES), BURST)),
    peer,
  };
}

async function openSocketIo(clients: AsyncDisposableStack) {
  const peer = stack.use(await startPeer('bare-socket-io'));
  const toParley = createLegacyScript(fixture.origin, SUBSCRIBERS, [fixture.bob]);
  const toPeer = createRoomScript(peer.port, SUBSCRIBERS);
  return {
    parley: clients.use(await fixture.openReceivers(toParley, text, BURST)),
    bare: clients.use(await openPeerReceivers(peer, toPeer, createPayload(BYTES), BURST)),
    peer,
  };
}

print(`Bursts of ${BURST} messages to ${SUBSCRIBERS} subscribers, medians of paired rounds\n`);
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const [clients, open] of Object.entries({ GraphQL: openGraphql, 'Socket.IO': openSocketIo })) {
  await using receivers = new AsyncDisposableStack();
  const { parley, bare, peer } = await open(receivers);
  const targets = { parley: costOf(parley), bare: costOf(bare) };
  const { median: medianOf, ratio } = await measurePairs(targets, { steady: 'us' });
  const row = {
    clients,
    subscribers: SUBSCRIBERS,
    messages: BURST,
    parleyUs: medianOf('parley', 'us'),
    bareUs: medianOf('bare', 'us'),
    toBare: ratio('parley', 'bare', 'us'),
    parleyWrites: median(await writesOfBursts(parley, fixture.server.probe)),
    bareWrites: median(await writesOfBursts(bare, peer.probe)),
  };
  rows.push(row);
  printRow(COLUMNS, [
    clients.padEnd(9),
    formatUs(row.parleyUs),
    formatUs(row.bareUs),
    formatRatio(row.toBare),
    row.parleyWrites.toFixed(2),
    row.bareWrites.toFixed(2),
  ]);
}
await record('burst', rows);
