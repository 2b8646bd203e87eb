import { expect, test } from 'vitest';
import type { Notifier } from '../../src/db/notifier.ts';
import type { Notice } from '../../src/events/bus.ts';
import { createNoticeSender } from '../../src/events/cluster/notice-sender.ts';
import { createDecoder } from '../../src/events/cluster/notice-codec.ts';
import { createActorView } from '../harness/event-core.ts';
import { waitQuietPeriod } from '../harness/waiting.ts';

/** Creates a notifier that records texts, or rejects them while `state.isRejecting`. */
function createFakeNotifier() {
  const decode = createDecoder({ origin: 'ffff', withTopic: true });
  const state = { isConnected: true, isRejecting: false, attempts: 0, notices: [] as (Notice | undefined)[] };
  const notifier: Pick<Notifier, 'listening' | 'maxTextBytes' | 'send'> = {
    maxTextBytes: 7_900,
    get listening() {
      return state.isConnected;
    },
    async send(messages) {
      state.attempts += 1;
      if (state.isRejecting) throw new Error('NOPERM');
      state.notices.push(...messages.map(({ text }) => decode(text)?.notice));
    },
  };
  const createSender = (hasNoPeers: () => boolean) =>
    createNoticeSender({
      origin: 'abcd',
      notifier,
      hasNoPeers,
      channelOf: (topic) => topic,
      commonChannel: 'parley',
    });
  return { createSender, state };
}

const createDeletionNotice = (id: number, seq: number): Notice => ({
  kind: 'event',
  envelope: {
    topic: `user:${id}`,
    seq,
    at: '2018-12-07T10:00:00.000Z',
    event: { type: 'account.deleted', account: { kind: 'user', id: id as never } },
  },
});

/** Longer than the sender waits before it retries. */
const waitUntilSettled = () => waitQuietPeriod(10);

test('rejected events are not retried in a loop, but sent at the next opportunity, without payload', async () => {
  const { createSender, state } = createFakeNotifier();
  const sender = createSender(() => false);
  state.isRejecting = true;
  sender.add([createDeletionNotice(7, 3)]);
  await waitUntilSettled();
  expect(state.attempts).toBe(1);
  state.isRejecting = false;
  sender.catchUp();
  await waitUntilSettled();
  expect(state.notices).toEqual([{ kind: 'advanced', topic: 'user:7', seq: 3 }]);
});

test('nothing is sent while no other node is listening, and recent positions are sent to a node that joins', async () => {
  const { createSender, state } = createFakeNotifier();
  let hasNoPeers = true;
  const sender = createSender(() => hasNoPeers);
  sender.add([createDeletionNotice(1, 1)]);
  sender.expireDirtyTopics();
  sender.add([createDeletionNotice(2, 1), createDeletionNotice(3, 1)]);
  sender.expireDirtyTopics();
  sender.add([createDeletionNotice(3, 2)]);
  sender.catchUp();
  await waitUntilSettled();
  expect(state.attempts).toBe(0);
  hasNoPeers = false;
  sender.expireDirtyTopics();
  sender.catchUp();
  await waitUntilSettled();
  expect(state.notices).toEqual([
    { kind: 'advanced', topic: 'user:2', seq: 1 },
    { kind: 'advanced', topic: 'user:3', seq: 2 },
  ]);
});

test('positions are kept while disconnected, regardless of how long', async () => {
  const { createSender, state } = createFakeNotifier();
  let hasNoPeers = true;
  const sender = createSender(() => hasNoPeers);
  state.isConnected = false;
  sender.add([createDeletionNotice(1, 1)]);
  sender.expireDirtyTopics();
  sender.expireDirtyTopics();
  state.isConnected = true;
  hasNoPeers = false;
  sender.catchUp();
  await waitUntilSettled();
  expect(state.notices).toEqual([{ kind: 'advanced', topic: 'user:1', seq: 1 }]);
});

test('ephemeral notices are not sent to a node that joins later', async () => {
  const { createSender, state } = createFakeNotifier();
  let hasNoPeers = false;
  const sender = createSender(() => hasNoPeers);
  const typing: Notice = {
    kind: 'ephemeral',
    ephemeral: { type: 'typing', topic: 'conversation:1', actor: createActorView(1), isTyping: true },
  };
  sender.add([createDeletionNotice(1, 1)]);
  // The first one is in flight.
  sender.add([typing, createDeletionNotice(2, 1)]);
  hasNoPeers = true;
  await waitUntilSettled();
  hasNoPeers = false;
  sender.catchUp();
  await waitUntilSettled();
  expect(state.notices.map((notice) => notice?.kind)).toEqual(['event', 'advanced']);
});
