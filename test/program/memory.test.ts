import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createProbe, PROBED } from '../../bench/measure.ts';
import type { Probe } from '../../bench/measure.ts';
import { createGraphqlClient } from '../../src/testing/index.ts';
import type { GraphqlClient } from '../../src/testing/index.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { logIn } from '../harness/demo-server.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, ROOT, waitUntilListening } from '../harness/program.ts';

// V8 chooses how far the heap grows before it collects garbage, so these tests measure memory in use after a collection, and
// compare a run with one client to the same run without it.

const MEGABYTE = 1024 * 1024;
const MAX_ADDED = 20 * MEGABYTE;
const TEXT = 'x'.repeat(8_192);
const ROUNDS = 14;
const CONCURRENCY = 250;
const EVENTS =
  'subscription { conversationEvents(conversationId: "Conversation:1") { ... on MessageSent { message { text } } } }';
const SEND_MESSAGE =
  'mutation ($text: String!) { sendMessage(conversationId: "Conversation:1", text: $text) { message { id } } }';

let url: string;
let token: string;
let probe: Probe;
let ann: GraphqlClient;
let stop: () => Promise<void>;
/** Growth in bytes of the same run without a client. */
let baseline: number;

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
  token = await logIn(url);
  ann = createGraphqlClient(url, token);
  // The first run fills caches and compiles code.
  await measureGrowth();
  baseline = await measureGrowth();
}, 180_000);

afterAll(async () => {
  await ann[Symbol.asyncDispose]();
  await stop();
});

/** Sends 28 MB of messages, and returns the peak growth of memory in use, in bytes. */
async function measureGrowth(): Promise<number> {
  const before = (await probe.memory()).used;
  let peak = before;
  for (let round = 0; round < ROUNDS; round += 1) {
    await Promise.all(Array.from({ length: CONCURRENCY }, () => ann.run(SEND_MESSAGE, { text: TEXT })));
    peak = Math.max(peak, (await probe.memory()).used);
  }
  return peak - before;
}

async function connectSubscriber() {
  const socket = await openGraphqlSocket(url, { token });
  socket.send({ id: '1', type: 'subscribe', payload: { query: EVENTS } });
  await socket.nextOf('next');
  return socket;
}

async function connectRoomMember() {
  const client = await openPacketSocket(url);
  await client.request('authenticate', { token });
  await client.request('join_conversation', { conversation_id: 1 });
  return client;
}

test.for([
  ['GraphQL', connectSubscriber],
  ['Socket.IO', connectRoomMember],
] as const)(
  'a %s client that does not read adds less than 20 MB to the memory of the same run without it',
  { timeout: 180_000 },
  async ([, connect]) => {
    await using client = await connect();
    client.socket.pause();
    expect((await measureGrowth()) - baseline).toBeLessThan(MAX_ADDED);
  },
);
