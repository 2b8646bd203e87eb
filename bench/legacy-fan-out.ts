// Measures the CPU time per delivery to legacy clients. Peers: a bare Socket.IO room, and the stack of the original server.
import { findPython } from '../test/harness/commands.ts';
import { startPeer } from './measure.ts';
import type { Peer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measureRounds, printRow, formatRatio, formatUs } from './rounds.ts';
import { print } from './server.ts';
import { openPeerReceivers, openFixture } from './fixtures.ts';
import type { ClientScript } from './load-client-process.ts';

const CASES = [
  { clients: 100, bytes: 200 },
  { clients: 1_000, bytes: 200 },
  { clients: 5_000, bytes: 200 },
  { clients: 1_000, bytes: 4_096 },
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

const createScript = (
  origin: string,
  count: number,
  events: readonly string[],
  readyText: string,
): ClientScript => ({
  type: 'open',
  url: `${origin}/socket.io/?EIO=4&transport=websocket`,
  count,
  messages: ['', '40', ...events],
  readyText,
  countedPrefix: '42["message",',
});

/** Creates a payload of the same size as the frame of Parley. */
function createPayload(bytes: number): string {
  const [time, content] = ['2026-11-26T00:00:00.123000', '.'.repeat(bytes)];
  const message = { id: 1234, link_id: 1, sent: time, read: null, content, medias: 0 };
  const person = {
    id: 1,
    email: '12345678@example.com',
    first_name: 'Test',
    last_name: '12345678',
    birthday: null,
  };
  const sender = { ...person, created: time, updated: time, isOnline: true, type: 'DEFAULT' };
  return JSON.stringify({ conversation_id: 1, message, time, sender, media_list: [], status: 'done' });
}

function compare({ clients, bytes }: (typeof CASES)[number]) {
  const events = [
    `42["authenticate",${JSON.stringify({ token: fixture.bob.token })}]`,
    `42["join_conversation",${JSON.stringify({ conversation_id: fixture.conversation.legacyId })}]`,
  ];
  const inRoomOf = (peer: Peer) => () => {
    const script = createScript(`ws://127.0.0.1:${peer.port}`, clients, ['42["join"]'], '42["ready"]');
    return openPeerReceivers(peer, script, createPayload(bytes));
  };
  const script = createScript(fixture.origin, clients, events, 'Vous avez rejoins');
  return measureRounds({
    parley: () => fixture.openReceivers(script, '.'.repeat(bytes)),
    bare: inRoomOf(bareSocketIo),
    flask: flaskSocketIo && inRoomOf(flaskSocketIo),
  });
}

print('Socket.IO: server CPU time per delivery, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const testCase of CASES) {
  const { medianCost, medianRatio } = await compare(testCase);
  const [parley, bare, flask] = [medianCost('parley'), medianCost('bare'), medianCost('flask')];
  const [toBare, toFlask] = [medianRatio('parley', 'bare'), medianRatio('parley', 'flask')];
  printRow(COLUMNS, [
    String(testCase.clients),
    String(testCase.bytes),
    formatUs(parley),
    formatUs(bare),
    formatUs(flask),
    formatRatio(toBare),
    formatRatio(toFlask),
  ]);
  rows.push({
    ...testCase,
    parleyUs: parley,
    bareRoomUs: bare,
    toBareRoom: toBare,
    flaskSocketIoUs: flask,
    toFlaskSocketIo: toFlask,
  });
}
await record('legacy-fan-out', rows);
