// Counts the bytes that the server allocates on the heap for a send and for a delivery. Peers: a bare WebSocket server and a bare
// Socket.IO room. The counts are nearly the same on every machine, however busy it is.
import { print } from './server.ts';
import { record } from './results.ts';
import { openFixture, openPeerReceivers } from './fixtures.ts';
import { startPeer } from './measure.ts';
import {
  createFrame,
  createJoinScript,
  createLegacyScript,
  createPayload,
  createRoomScript,
  createSubscribeScript,
} from './client-scripts.ts';
import { allocatedPerDelivery, allocatedPerSend } from './allocated.ts';
import { printRow } from './rounds.ts';

const SUBSCRIBERS = 1_000;
const BYTES = 200;

await using stack = new AsyncDisposableStack();
const fixture = stack.use(await openFixture());
const { server, origin, ann, bob } = fixture;
const bareWs = stack.use(await startPeer('bare-ws'));
const bareRoom = stack.use(await startPeer('bare-socket-io'));
const text = '.'.repeat(BYTES);

const cases = {
  'GraphQL delivery': {
    parley: () => fixture.openReceivers(createSubscribeScript(origin, SUBSCRIBERS, [ann]), text),
    bare: () =>
      openPeerReceivers(bareWs, createJoinScript(bareWs.port, SUBSCRIBERS, [ann]), createFrame(BYTES)),
    peer: bareWs,
  },
  'Socket.IO delivery': {
    parley: () => fixture.openReceivers(createLegacyScript(origin, SUBSCRIBERS, [bob]), text),
    bare: () =>
      openPeerReceivers(bareRoom, createRoomScript(bareRoom.port, SUBSCRIBERS), createPayload(BYTES)),
    peer: bareRoom,
  },
};

const rows: { case: string; parleyBytes: number; bareBytes?: number; toBare?: number }[] = [
  { case: 'send', parleyBytes: await allocatedPerSend(fixture, text) },
];
for (const [name, { parley, bare, peer }] of Object.entries(cases)) {
  await using clients = new AsyncDisposableStack();
  const [receivers, peerReceivers] = [clients.use(await parley()), clients.use(await bare())];
  const parleyBytes = await allocatedPerDelivery(receivers, server.probe);
  const bareBytes = await allocatedPerDelivery(peerReceivers, peer.probe);
  rows.push({ case: name, parleyBytes, bareBytes, toBare: parleyBytes / bareBytes });
}
const COLUMNS = ['bytes allocated   ', ' Parley', '   bare'];
printRow(COLUMNS, COLUMNS);
for (const row of rows)
  printRow(COLUMNS, [row.case.padEnd(18), row.parleyBytes.toFixed(0), row.bareBytes?.toFixed(0) ?? '-']);
print('');
await record('allocation', rows);
