import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { detectClient } from '../../src/bridge/engine-io/client-detection.ts';
import type { ClientKind } from '../../src/bridge/engine-io/client-detection.ts';
import type { LegacyIo } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import type { ClientVersion } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';

// The usage of legacy clients: detected by their handshakes, counted, and reported.

/** Connects a client, and returns the kind detected from its first request. */
async function detectKind(version: ClientVersion, transport: 'polling' | 'websocket'): Promise<ClientKind> {
  const { promise, resolve } = Promise.withResolvers<ClientKind>();
  const detect = ({ url = '/', headers }: IncomingMessage): void => {
    const { searchParams } = new URL(url, 'http://localhost');
    resolve(detectClient(Object.fromEntries(searchParams), headers));
  };
  const server = createServer((request, response) => {
    detect(request);
    response.writeHead(503).end();
  });
  server.on('upgrade', (request, socket) => {
    detect(request);
    socket.destroy();
  });
  await new Promise<void>((resolveListening) => server.listen(0, '127.0.0.1', resolveListening));
  const socket = loadClient(version)(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    transports: [transport],
    forceNew: true,
    reconnection: false,
  });
  for (const event of ['error', 'connect_error']) socket.on(event, () => {});
  try {
    return await promise;
  } finally {
    socket.close();
    server.close();
    server.closeAllConnections();
  }
}

test.for([
  ['1.0.6', 3, 'js 1.0-1.3'],
  ['1.3.6', 3, 'js 1.0-1.3'],
  ['1.4.8', 3, 'js 1.4-2.x'],
  ['1.7.4', 3, 'js 1.4-2.x'],
  ['2.5.0', 3, 'js 1.4-2.x'],
  ['3.1.3', 4, 'js 3.x-4.x'],
  ['4.0.1', 4, 'js 3.x-4.x'],
  ['4.8.4', 4, 'js 3.x-4.x'],
] as const)('client %s is detected as protocol %i, %s', async ([version, protocol, library]) => {
  expect(await detectKind(version, 'polling')).toEqual({ protocol, library });
  // Without polling, the handshake shows only the protocol.
  expect(await detectKind(version, 'websocket')).toEqual({ protocol, library: 'unknown' });
});

test.for([
  ['a browser of 1.0, which sends EIO=2', 'EIO=2&transport=websocket', 'Mozilla/5.0', 3, 'js 1.0-1.3'],
  ['a browser on WebSocket alone', 'EIO=3&transport=websocket', 'Mozilla/5.0', 3, 'js 1.0-2.x'],
  ['a recent browser on WebSocket alone', 'EIO=4&transport=websocket', 'Mozilla/5.0', 4, 'js 3.x-4.x'],
  ['the iOS app', 'transport=polling&b64=1', '', 3, 'swift'],
  ['a recent Swift client', 'EIO=4&transport=polling', 'App/1 CFNetwork/1410 Darwin/22.6.0', 4, 'swift'],
  ['the Android app', 'EIO=3&transport=polling', 'Dalvik/2.1.0 (Linux; U; Android 8.0)', 3, 'java'],
  ['a Java client', 'EIO=4&transport=polling', 'okhttp/3.12.12', 4, 'java'],
  ['python-socketio', 'transport=polling&EIO=4&t=1732600000.1', 'python-requests/2.28.1', 4, 'python'],
  [
    'the older Python client',
    'EIO=3&transport=polling&t=1416412345678-0',
    'python-requests/2.9',
    3,
    'python',
  ],
] as const)('%s is detected', ([, query, agent, protocol, library]) => {
  const kind = detectClient(Object.fromEntries(new URLSearchParams(query)), { 'user-agent': agent });
  expect(kind).toEqual({ protocol, library });
});

const ioOf = (version: ClientVersion) => loadClient(version) as unknown as LegacyIo;
const maskDates = (text: string) => text.replaceAll(/\d{4}-\d\d-\d\d/g, '<date>');

test('the report lists clients and channels, and the number of accounts that used them', async () => {
  await using app = await startTestApp();
  const emptyReport = await (await fetch(`${app.url}/legacy-report`)).text();
  expect(emptyReport).toContain('No legacy clients connected');
  const { ann, bob, conversation } = await createAnnAndBob(app);
  const conversationRef = { conversation_id: conversation.legacyId };
  const annV1Client = await ann.connectLegacy({ io: ioOf('1.3.6'), transports: ['polling'] });
  const bobV4Client = await bob.connectLegacy({ io: ioOf('4.8.4'), transports: ['polling'] });
  const annV4Client = await ann.connectLegacy({ io: ioOf('4.8.4'), transports: ['polling'] });
  await annV1Client.push('join_conversation', conversationRef);
  await bobV4Client.push('join_conversation', conversationRef);
  await annV4Client.push('join_conversation', conversationRef);
  await annV1Client.push('message', { ...conversationRef, text_message: 'one' });
  await annV1Client.push('message', { ...conversationRef, text_message: 'two' });
  const anonymousClient = await app.connectLegacy({ transports: ['websocket'] });
  anonymousClient.emit('webrtc_stun_info');
  await anonymousClient.expect('webrtc_config');
  const report = await (await fetch(`${app.url}/legacy-report?days=7`)).text();
  expect(maskDates(report)).toMatchInlineSnapshot(`
    "Legacy clients from <date> to <date> (7 days, UTC)

    No data before <date>.

    protocol   library      accounts   uses   last used
           4   js 3.x-4.x          2      6   <date>
           3   js 1.0-1.3          1      5   <date>
           4   unknown             0      2   <date>

    channel             accounts   protocol 3   protocol 4   uses   last used
    connect                    2            1            2      4   <date>
    authenticate               2            1            2      3   <date>
    join_conversation          2            1            2      3   <date>
    message                    1            1            0      2   <date>
    webrtc_stun_info           0            0            0      1   <date>

    Not used: leave_conversation, join_circle, leave_circle, writing, webrtc_credentials, webrtc_turn_info, webrtc_forward, webrtc_join_room, webrtc_leave_room, webrtc_room_forward

    Protocol 3 is Socket.IO 1.x and 2.x, protocol 4 is 3.x and 4.x. An account that uses both counts in both.
    \`connect\` counts each connection once per day, clients that only listen included.
    "
  `);
  anonymousClient.close();
  for (const days of ['0', '91', '-1', '1.5', 'x', '']) {
    const response = await fetch(`${app.url}/legacy-report?days=${days}`);
    expect([response.status, await response.text()]).toEqual([400, 'days is a number from 1 to 90.\n']);
  }
});

const runProgram = promisify(execFile);

test('npm run legacy-report prints the report, or fails if no gateway responds', async () => {
  await using app = await startTestApp();
  const { stdout } = await runProgram(process.execPath, ['src/main.ts', 'legacy-report', '7', app.url]);
  expect(stdout).toContain('(7 days, UTC)');
  await expect(
    runProgram(process.execPath, ['src/main.ts', 'legacy-report', 'x', app.url]),
  ).rejects.toMatchObject({
    code: 1,
    stderr: 'days is a number from 1 to 90.\n',
  });
  await expect(
    runProgram(process.execPath, ['src/main.ts', 'legacy-report', '7', 'http://127.0.0.1:9']),
  ).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('No gateway responds at http://127.0.0.1:9') as string,
  });
});
