import { afterEach, expect, test } from 'vitest';
import { openPacketSocket } from '../harness/packet-connection.ts';
import { startFakeBridge } from './fake-bridge.ts';
import type { FakeBridge } from './fake-bridge.ts';

// The log entries with which an operator diagnoses a legacy connection.

const conversationRef = { conversation_id: 12 };

let fake: FakeBridge;

afterEach(async () => {
  await fake[Symbol.asyncDispose]();
});

const findEntries = (message: string) => fake.logEntries.filter(({ msg }) => msg === message);

test('the end of a connection is logged with its account, client, reason and duration', async () => {
  fake = await startFakeBridge();
  await using client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token: 'user:7' });
  fake.endSession('user:7', 'LOGGED_OUT');
  await client.waitForClose();
  expect(findEntries('connection closed')).toEqual([
    expect.objectContaining({
      level: 30,
      connection: expect.any(String),
      account: 'user:7',
      transport: 'socket.io',
      protocol: 3,
      library: 'unknown',
      reason: 'LOGGED_OUT',
      durationMs: expect.any(Number),
    }),
  ]);
});

test('a close by the client is logged at debug, with no account before a login', async () => {
  fake = await startFakeBridge();
  {
    await using client = await openPacketSocket(fake.url);
    await client.request('webrtc_stun_info');
  }
  await expect.poll(() => findEntries('connection closed')).toHaveLength(1);
  const [entry] = findEntries('connection closed');
  expect(entry).toMatchObject({ level: 20, reason: 'CLIENT', transport: 'socket.io' });
  expect(entry).not.toHaveProperty('account');
});

test('a login, joins and leaves are logged at debug, with one connection id', async () => {
  fake = await startFakeBridge();
  await using client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token: 'device:4' });
  await client.request('join_conversation', conversationRef);
  await client.request('leave_conversation', conversationRef);
  const fields = { level: 20, account: 'device:4', transport: 'socket.io' };
  const topic = 'conversation:12';
  expect(findEntries('connection authenticated')).toEqual([expect.objectContaining(fields)]);
  expect(findEntries('room joined')).toEqual([expect.objectContaining({ ...fields, topic })]);
  expect(findEntries('room left')).toEqual([expect.objectContaining({ ...fields, topic, reason: 'CLIENT' })]);
  const ids = new Set(fake.logEntries.map(({ connection }) => connection));
  expect(ids.size).toBe(1);
});

test('rooms that a closed connection was in are logged as left, with the reason of the close', async () => {
  fake = await startFakeBridge();
  await using client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token: 'user:7' });
  await client.request('join_conversation', conversationRef);
  fake.endSession('user:7', 'TOKEN_EXPIRED');
  await client.waitForClose();
  expect(findEntries('room left')).toEqual([
    expect.objectContaining({ topic: 'conversation:12', reason: 'TOKEN_EXPIRED', account: 'user:7' }),
  ]);
});

test('a slow consumer is logged with the cause and the sizes of its queues', async () => {
  fake = await startFakeBridge({ queuedEvents: 5 });
  await using client = await openPacketSocket(fake.url);
  await client.request('authenticate', { token: 'user:7' });
  fake.operations['LegacyWriting'] = () => new Promise<never>(() => {});
  for (let n = 0; n < 10; n += 1) client.emit('writing', { ...conversationRef, is_writing: true });
  await client.waitForClose();
  expect(findEntries('disconnecting legacy client')).toEqual([
    expect.objectContaining({
      level: 40,
      connection: expect.any(String),
      account: 'user:7',
      transport: 'socket.io',
      cause: 'event queue full',
      queuedPackets: 0,
      bufferedBytes: 0,
      queuedEvents: 5,
      queuedBytes: expect.any(Number),
      heldFrames: 0,
      heldBytes: 0,
    }),
  ]);
  expect(findEntries('connection closed')).toEqual([expect.objectContaining({ reason: 'SLOW' })]);
});
