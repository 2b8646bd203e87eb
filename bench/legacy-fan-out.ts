// Measures the CPU time per delivery to legacy clients. Peers: a bare Socket.IO room, and the stack of the original server.
import { findPython } from '../test/harness/commands.ts';
import { startPeer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { costOf } from './load-clients.ts';
import { formatRatio, formatUs, measurePairs, printRow } from './rounds.ts';
import { print } from './server.ts';
import { createLegacyScript, createPayload, createRoomScript } from './client-scripts.ts';
import { openPeerReceivers, openFixture } from './fixtures.ts';

const CASES = [
  { clients: 100, bytes: 200, hasFlask: false },
  { clients: 1_000, bytes: 200, hasFlask: true },
  { clients: 5_000, bytes: 200, hasFlask: false },
  { clients: 1_000, bytes: 4_096, hasFlask: true },
];
const COLUMNS = [
  'clients',
  ' bytes',
  '   Parley',
  'bare room',
  'Flask-SocketIO',
  'to bare room',
  '     to Flask',
];

await using stack = new AsyncDisposableStack();
const fixture = stack.use(await openFixture());
const bareSocketIo = stack.use(await startPeer('bare-socket-io'));
const python = findPython('eventlet', 'flask_socketio');
const flaskSocketIo =
  python === undefined ? undefined : stack.use(await startPeer('flask-socketio', { python }));

async function compare({ clients: count, bytes, hasFlask }: (typeof CASES)[number]) {
  await using clients = new AsyncDisposableStack();
  const script = createLegacyScript(fixture.origin, count, [fixture.bob]);
  const parley = clients.use(await fixture.openReceivers(script, '.'.repeat(bytes)));
  const payload = createPayload(bytes);
  const room = createRoomScript(bareSocketIo.port, count);
  const bare = clients.use(await openPeerReceivers(bareSocketIo, room, payload));
  const flask =
    hasFlask && flaskSocketIo !== undefined
      ? clients.use(
          await openPeerReceivers(flaskSocketIo, createRoomScript(flaskSocketIo.port, count), payload),
        )
      : undefined;
  const targets = { parley: costOf(parley), bare: costOf(bare), flask: flask && costOf(flask) };
  return await measurePairs(targets, { steady: 'us' });
}

print('Socket.IO: server CPU time per delivery, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const { median, ratio } = await compare(testCase);
  const [parley, bare, flask] = [median('parley', 'us'), median('bare', 'us'), median('flask', 'us')];
  const [toBare, toFlask] = [ratio('parley', 'bare', 'us'), ratio('parley', 'flask', 'us')];
  const { clients, bytes } = testCase;
  printRow(COLUMNS, [
    String(clients),
    String(bytes),
    formatUs(parley),
    formatUs(bare),
    formatUs(flask),
    formatRatio(toBare),
    formatRatio(toFlask),
  ]);
  rows.push({
    clients,
    bytes,
    parleyUs: parley,
    bareRoomUs: bare,
    toBareRoom: toBare,
    parleyInstructions: median('parley', 'instructions'),
    bareRoomInstructions: median('bare', 'instructions'),
    flaskSocketIoUs: flask,
    toFlaskSocketIo: toFlask,
  });
}
await record('legacy-fan-out', rows);
