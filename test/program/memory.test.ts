import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createProbe, PROBED } from '../../bench/measure.ts';
import type { Probe } from '../../bench/measure.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlClient } from '../../src/testing/index.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, ROOT, waitUntilListening } from '../harness/program.ts';

// V8 chooses how far the heap grows before it collects garbage. This measures the memory in use, and what one client adds
// to that of the same run without it.

const MEGABYTE = 1024 * 1024;
const MAX_ADDED = 20 * MEGABYTE;
const TEXT = 'x'.repeat(8_192);
const ROUNDS = 14;
const CONCURRENCY = 250;
const EVENTS =
  'subscription { conversationEvents(conversationId: "Conversation:1") { ... on MessageSent { message { text } } } }';
const SEND =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { id } } }';

let url: string;
let token: string;
let probe: Probe;
let ann: GraphqlClient;
let stop: () => Promise<void>;
/** Bytes that the same run takes without a client. */
let control: number;

beforeAll(async () => {
  const folder = await createDataFolder();
  const child = spawn(process.execPath, [...PROBED, 'src/main.ts'], {
    cwd: ROOT,
    env: { ...PROGRAM_ENV, PORT: '0', DATA_DIR: folder.path, RATE_LIMITS: 'off', LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  stop = async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await folder[Symbol.asyncDispose]();
  };
  url = await waitUntilListening(child);
  probe = createProbe(child);
  await using anonymous = createGraphqlClient(url);
  const { login } = await anonymous.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "parley") { token } }',
  );
  token = login.token;
  ann = createGraphqlClient(url, token);
  // The first run fills caches and compiles code.
  await grownBySends();
  control = await grownBySends();
}, 180_000);

afterAll(async () => {
  await ann[Symbol.asyncDispose]();
  await stop();
});

/** Returns by how many bytes the memory in use grows at most while 28 MB of messages pass. */
async function grownBySends(): Promise<number> {
  const before = (await probe.memory()).used;
  let most = before;
  for (let round = 0; round < ROUNDS; round += 1) {
    await Promise.all(Array.from({ length: CONCURRENCY }, () => ann.run(SEND, { text: TEXT })));
    most = Math.max(most, (await probe.memory()).used);
  }
  return most - before;
}

async function subscriber() {
  const socket = await openGraphqlSocket(url, { token });
  socket.send({ id: '1', type: 'subscribe', payload: { query: EVENTS } });
  await socket.nextOf('next');
  return socket;
}

async function roomMember() {
  const client = await openPacketSocket(url);
  await client.request('authenticate', { token });
  await client.request('join_conversation', { conversation_id: 1 });
  return client;
}

test.for([
  ['GraphQL', subscriber],
  ['Socket.IO', roomMember],
] as const)(
  'a client of %s that does not read adds less than 20 MB to what the same run takes without it',
  { timeout: 180_000 },
  async ([, connect]) => {
    await using client = await connect();
    client.socket.pause();
    expect((await grownBySends()) - control).toBeLessThan(MAX_ADDED);
  },
);
