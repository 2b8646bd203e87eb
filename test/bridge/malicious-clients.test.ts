import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { logIn } from '../harness/demo-server.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';
import type { Program } from '../harness/program.ts';

// Malicious legacy clients against a server process: the tests check its memory, its log and its metrics, and that it still
// serves another client.

const MEGABYTE = 1024 * 1024;
/** Memory that an attack may take. Without limits, each of these attacks took hundreds of megabytes. */
const MAX_MEMORY_GROWTH = 150 * MEGABYTE;

let url: string;
let token: string;
let otherClient: PacketSocket;
let program: Program;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  const folder = stack.use(await createDataFolder());
  program = stack.use(
    // Without rate limits, which would slow the floods down before they reach the bounds of this file.
    startProgram(SERVER_COMMAND, {
      ...PROGRAM_ENV,
      PORT: '0',
      HOST: '127.0.0.1',
      DATA_DIR: folder.path,
      RATE_LIMITS: 'off',
    }),
  );
  url = await waitUntilListening(program.child);
  token = await logIn(url);
  otherClient = await connectAuthenticated();
});

afterAll(async () => {
  expect(program.child.exitCode, program.printed.stdout.slice(-3_000)).toBeNull();
  await otherClient[Symbol.asyncDispose]();
  await stack.disposeAsync();
});

async function connectAuthenticated(protocol: 3 | 4 = 3): Promise<PacketSocket> {
  const client = await openPacketSocket(url, protocol);
  expect(await client.request('authenticate', { token })).toEqual(['42["success","User authenticated"]']);
  return client;
}

async function readMetric(name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((entry) => entry.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1));
}

const countConnections = () => readMetric('parley_connections{transport="socket.io"}');
const readMemory = () => readMetric('process_resident_memory_bytes');

/** Runs an attack, and checks that another client is served, memory is bounded, no connection stays open, and the log is short. */
async function expectHarmless(attack: () => Promise<unknown>): Promise<void> {
  await countConnections();
  const [memoryBefore, linesBefore] = [await readMemory(), program.printed.stdout.split('\n').length];
  await attack();
  expect(await otherClient.request('webrtc_credentials')).toHaveLength(1);
  expect((await readMemory()) - memoryBefore).toBeLessThan(MAX_MEMORY_GROWTH);
  await expect.poll(countConnections, { timeout: 10_000 }).toBe(1);
  expect(program.printed.stdout.split('\n').length - linesBefore).toBeLessThan(10);
}

async function openSession(query: string): Promise<string> {
  const address = `${url}/socket.io/?transport=polling&${query}`;
  const sid = /"sid\\?":\\?"([^"\\]+)/.exec(await (await fetch(address)).text())?.[1];
  return `${address}&sid=${sid}`;
}

async function post(address: string, body: string | Buffer<ArrayBuffer>, type = 'text/plain'): Promise<void> {
  // A post that closes its own connection may never receive a response.
  await fetch(address, { method: 'POST', body, headers: { 'content-type': type } }).catch(() => undefined);
}

/** Just below the largest payload that the server accepts. */
const PAYLOAD_BYTES = 5 * MEGABYTE - 10;
const repeatText = (text: string) => text.repeat(Math.floor(PAYLOAD_BYTES / text.length));
const repeatBytes = (...bytes: number[]) =>
  Buffer.alloc(PAYLOAD_BYTES - (PAYLOAD_BYTES % bytes.length), Buffer.from(bytes));

test.for([
  ['pings', 'EIO=3', repeatText('1:2')],
  ['empty packets', 'EIO=3', repeatText('0:')],
  ['messages', 'EIO=3', repeatText('2:42')],
  ['acknowledgements', 'EIO=3', repeatText('5:430[]')],
  ['an endless length', 'EIO=3', repeatText('1')],
  ['pings in binary', 'EIO=3', repeatBytes(0, 1, 255, 50)],
  ['empty packets in binary', 'EIO=3', repeatBytes(0, 255)],
  ['invalid lengths in binary', 'EIO=3', repeatBytes(0, 200, 255)],
  ['pongs', 'EIO=4', repeatText('3\u001e')],
  ['empty packets', 'EIO=4', repeatText('\u001e')],
  ['empty attachments', 'EIO=4', repeatText('b\u001e')],
] as const)(
  'five megabytes of %s, with %s, in one post close only their own connection',
  async ([, query, body]) => {
    const address = await openSession(query);
    const type = typeof body === 'string' ? 'text/plain' : 'application/octet-stream';
    await expectHarmless(() => post(address, body, type));
    const response = await fetch(address);
    expect([response.status, await response.json()]).toEqual([
      400,
      { code: 1, message: 'Session ID unknown' },
    ]);
  },
);

test.for([
  ['with a content-length', { 'content-length': String(100 * MEGABYTE) }],
  ['chunked', { 'transfer-encoding': 'chunked' }],
] as const)(
  'a body of a hundred megabytes, %s, is rejected, and its session stays open',
  async ([, headers]) => {
    const address = await openSession('EIO=3&b64=1');
    await expectHarmless(async () => {
      const upload = request(address, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'text/plain' },
      });
      upload.on('error', () => {});
      const responseEvent = once(upload, 'response');
      const chunk = Buffer.alloc(64 * 1024, 120);
      let isOver = false;
      const write = (): void => {
        while (!isOver) if (!upload.write(chunk)) return void upload.once('drain', write);
      };
      write();
      const [response] = (await responseEvent) as [{ statusCode: number }];
      isOver = true;
      upload.destroy();
      expect(response.statusCode).toBe(413);
      expect(await (await fetch(address, { method: 'POST', body: '1:1' })).text()).toBe('ok');
    });
  },
);

/** Encodes a WebSocket frame of a client, with a mask of zeros. */
function encodeFrame(opcode: number, body: string, length = body.length): Buffer {
  const header = length < 126 ? Buffer.from([opcode, 0x80 | length]) : Buffer.alloc(10);
  if (length >= 126) {
    header.set([opcode, 0x80 | 127]);
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, Buffer.alloc(4), Buffer.from(body)]);
}

interface TcpSocket {
  write(data: Buffer, done?: () => void): boolean;
  pause(): void;
  once(event: 'close', listener: () => void): void;
}

/** Returns the TCP socket of a client. */
const tcpSocketOf = (client: PacketSocket): TcpSocket =>
  (client.socket as unknown as { _socket: TcpSocket })._socket;

/** Writes the same data repeatedly, as fast as the server reads it, until the connection is closed. */
async function flood(client: PacketSocket, data: Buffer, times = 3_000): Promise<void> {
  let isOpen = true;
  client.socket.on('close', () => (isOpen = false)).on('error', () => {});
  tcpSocketOf(client).once('close', () => (isOpen = false));
  for (let n = 0; n < times && isOpen; n += 1)
    await new Promise<void>((resolve) => void tcpSocketOf(client).write(data, () => resolve()));
}

test('a WebSocket frame with a length of a hundred megabytes is rejected immediately', async () => {
  await expectHarmless(async () => {
    await using client = await connectAuthenticated();
    tcpSocketOf(client).write(encodeFrame(0x81, '42["message"', 100 * MEGABYTE));
    expect(await client.waitForClose()).toBe(1009);
  });
});

test.for([
  ['of one-byte fragments', encodeFrame(0x00, 'x')],
  ['of empty fragments', encodeFrame(0x00, '')],
] as const)('an endless fragmented message %s is rejected', async ([, fragment]) => {
  await expectHarmless(async () => {
    await using client = await connectAuthenticated();
    tcpSocketOf(client).write(encodeFrame(0x01, '42["message"'));
    await flood(client, Buffer.concat(Array.from({ length: 1_000 }, () => fragment)));
    expect(await client.waitForClose()).toBe(1008);
  });
});

test('a client that reads may send any number of WebSocket pings', async () => {
  await expectHarmless(async () => {
    await using client = await connectAuthenticated();
    await flood(
      client,
      Buffer.concat(Array.from({ length: 1_000 }, () => encodeFrame(0x89, 'x'.repeat(125)))),
      50,
    );
    expect(await client.request('webrtc_stun_info')).toHaveLength(1);
  });
});

test('a client that sends Engine.IO pings and reads nothing is disconnected', async () => {
  await expectHarmless(async () => {
    await using client = await openPacketSocket(url);
    tcpSocketOf(client).pause();
    await flood(client, Buffer.concat(Array.from({ length: 1_000 }, () => encodeFrame(0x81, '2'))));
  });
  expect(program.printed.stdout.trimEnd().split('\n').slice(-2).join('\n')).toMatch(
    /disconnecting legacy client/,
  );
});

test.for([
  ['WebSocket pings', encodeFrame(0x89, 'x'.repeat(125))],
  ['requests', encodeFrame(0x81, '421["webrtc_stun_info"]')],
  ['unknown channels with acknowledgements', encodeFrame(0x81, '421["nothing",{"a":1}]')],
  ['wrong tokens', encodeFrame(0x81, '421["authenticate",{"token":"a.b.c"}]')],
] as const)(
  'a client that sends %s and reads nothing is read no faster than it is served',
  async ([, packet]) => {
    await expectHarmless(async () => {
      await using client = await openPacketSocket(url);
      client.socket.on('error', () => {});
      tcpSocketOf(client).pause();
      tcpSocketOf(client).write(Buffer.concat(Array.from({ length: 200_000 }, () => packet)));
      for (let count = 0; count < 5; count += 1)
        expect(await otherClient.request('webrtc_credentials')).toHaveLength(1);
    });
  },
);

test.for([
  ['before it authenticates', 'message', { conversation_id: 1 }, '42["error","Socket user introuvable"]'],
  ['with wrong tokens', 'authenticate', { token: 'a.b.c' }, '42["error","User not found"]'],
  ['to unknown channels', 'nothing', {}, undefined],
] as const)('a client that sends no faster than it reads replies, %s, stays connected', async (sample) => {
  const [, channel, payload, reply] = sample;
  await expectHarmless(async () => {
    await using client = await openPacketSocket(url);
    for (let round = 0; round < 10; round += 1) {
      for (let n = 0; n < 300; n += 1) client.emit(channel, payload);
      expect(await client.request(channel, payload)).toEqual(
        reply === undefined ? [] : Array.from({ length: 301 }, () => reply),
      );
    }
  });
});

test('an event with too many values closes its connection', async () => {
  await expectHarmless(async () => {
    await using client = await connectAuthenticated();
    client.send(`42["message",{"files":[${'{},'.repeat(1_500_000)}{}]}]`);
    await client.waitForClose();
  });
});

test('the attachments of an incomplete packet are limited', async () => {
  await expectHarmless(async () => {
    const clients = await Promise.all(Array.from({ length: 2 }, () => connectAuthenticated()));
    const attachment = Buffer.alloc(4.9 * MEGABYTE, 4);
    for (const client of clients) {
      client.send(`4510-["x"${',{"_placeholder":true,"num":0}'.repeat(10)}]`);
      for (let n = 0; n < 5; n += 1) client.socket.send(attachment);
    }
    await Promise.all(clients.map((client) => client.waitForClose()));
  });
});

test.for([
  ['files of a message', 'message', { conversation_id: 1, files: 'HERE' }],
  ['a text', 'message', { conversation_id: 1, text_message: 'HERE' }],
  ['a forward', 'webrtc_forward', { user_id: 1, message: 'HERE' }],
] as const)(
  'several references to one attachment, as %s, close the connection',
  async ([, channel, payload]) => {
    const references = JSON.stringify(Array.from({ length: 300 }, () => ({ _placeholder: true, num: 0 })));
    const event = JSON.stringify([channel, payload]).replace('"HERE"', references);
    await expectHarmless(async () => {
      await using client = await connectAuthenticated();
      client.send(`451-${event}`);
      client.socket.send(Buffer.alloc(4 * MEGABYTE, 4));
      await client.waitForClose();
    });
  },
);

test.for(['files', 'text_message'])('megabytes of binary data as %s are rejected', async (field) => {
  await expectHarmless(async () => {
    await using client = await connectAuthenticated();
    const payload = { conversation_id: 1, [field]: field === 'files' ? ['HERE'] : 'HERE' };
    const event = JSON.stringify(['message', payload]).replace('"HERE"', '{"_placeholder":true,"num":0}');
    client.send(`451-${event}`);
    client.socket.send(Buffer.alloc(4 * MEGABYTE, 4));
    expect(await client.next()).toBe('42["error","Message invalide"]');
  });
});

test.for(['459999999-["x"]', '4511-["x"]', '45-["x"]', '451.5-["x"]'])(
  'malformed attachment counts are rejected: %s',
  async (packet) => {
    await expectHarmless(async () => {
      await using client = await connectAuthenticated();
      client.send(packet);
      await client.waitForClose();
    });
  },
);
