// What it costs to bring one message to many old clients, beside a bare Socket.IO room and what the original stood on.
import { findPython } from '../test/harness/commands.ts';
import { startPeer } from './measure.ts';
import type { Peer } from './measure.ts';
import { record } from './results.ts';
import type { Row } from './results.ts';
import { measureRounds, printRow, times, us } from './rounds.ts';
import { print } from './server.ts';
import { openSeatsOf, openStage } from './fixtures.ts';
import type { Opening } from './load-client-process.ts';

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
const stage = stack.use(await openStage());
const bareSocketIo = stack.use(await startPeer('bare-socket-io'));
const python = findPython('eventlet', 'flask_socketio');
const flaskSocketIo =
  python === undefined ? undefined : stack.use(await startPeer('flask-socketio', { python }));

const joining = (origin: string, count: number, events: readonly string[], ready: string): Opening => ({
  type: 'open',
  url: `${origin}/socket.io/?EIO=4&transport=websocket`,
  count,
  greeting: ['', '40', ...events],
  ready,
  counted: '42["message",',
});

/** As long as the frame that Parley sends. */
function payloadOf(bytes: number): string {
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
    `42["authenticate",${JSON.stringify({ token: stage.bob.token })}]`,
    `42["join_conversation",${JSON.stringify({ conversation_id: stage.conversation.legacyId })}]`,
  ];
  const inRoomOf = (peer: Peer) => () => {
    const opening = joining(`ws://127.0.0.1:${peer.port}`, clients, ['42["join"]'], '42["ready"]');
    return openSeatsOf(peer, opening, payloadOf(bytes));
  };
  const opening = joining(stage.origin, clients, events, 'Vous avez rejoins');
  return measureRounds({
    parley: () => stage.openSeats(opening, '.'.repeat(bytes)),
    bare: inRoomOf(bareSocketIo),
    flask: flaskSocketIo && inRoomOf(flaskSocketIo),
  });
}

print('Socket.IO: processor time of the server for each delivery, medians of paired rounds\n');
printRow(COLUMNS, COLUMNS);
const rows: Row[] = [];
for (const given of CASES) {
  const { cost, ratio } = await compare(given);
  const [parley, bare, flask] = [cost('parley'), cost('bare'), cost('flask')];
  const [toBare, toFlask] = [ratio('parley', 'bare'), ratio('parley', 'flask')];
  printRow(COLUMNS, [
    String(given.clients),
    String(given.bytes),
    us(parley),
    us(bare),
    us(flask),
    times(toBare),
    times(toFlask),
  ]);
  rows.push({
    ...given,
    parleyUs: parley,
    bareRoomUs: bare,
    toBareRoom: toBare,
    flaskSocketIoUs: flask,
    toFlaskSocketIo: toFlask,
  });
}
await record('legacy-fan-out', rows);
