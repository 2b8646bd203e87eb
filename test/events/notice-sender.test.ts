import { expect, test } from 'vitest';
import type { Notifier } from '../../src/db/notify.ts';
import type { Notice } from '../../src/events/bus.ts';
import { createNoticeSender } from '../../src/events/cluster/notice-sender.ts';
import { createDecoder } from '../../src/events/cluster/notice-codec.ts';
import { createActorView } from '../harness/event-core.ts';
import { quietPeriod } from '../harness/waiting.ts';

/** Creates a notifier that accepts or rejects texts. */
function notifier() {
  const decode = createDecoder('ffff');
  const state = { connected: true, refuses: false, attempts: 0, notices: [] as (Notice | undefined)[] };
  const fake: Notifier = {
    get listening() {
      return state.connected;
    },
    async send(texts) {
      state.attempts += 1;
      if (state.refuses) throw new Error('NOPERM');
      state.notices.push(...texts.map(decode));
    },
    check: async () => {},
    async [Symbol.asyncDispose]() {},
  };
  return Object.assign(state, { fake });
}

const deletion = (id: number, seq: number): Notice => ({
  kind: 'event',
  envelope: {
    topic: `user:${id}`,
    seq,
    at: '2018-12-07T10:00:00.000Z',
    event: { type: 'account.deleted', account: { kind: 'user', id: id as never } },
  },
});

/** Longer than the sender waits before it retries. */
const settled = () => quietPeriod(10);

test('rejected events are not retried in a loop, but sent at the next opportunity, without payload', async () => {
  const server = notifier();
  const outbox = createNoticeSender('abcd', server.fake, () => false);
  server.refuses = true;
  outbox.add([deletion(7, 3)]);
  await settled();
  expect(server.attempts).toBe(1);
  server.refuses = false;
  outbox.catchUp();
  await settled();
  expect(server.notices).toEqual([{ kind: 'advanced', topic: 'user:7', seq: 3 }]);
});

test('nothing is sent while no other node is listening, and recent positions are sent to a node that joins', async () => {
  const server = notifier();
  let isAlone = true;
  const outbox = createNoticeSender('abcd', server.fake, () => isAlone);
  outbox.add([deletion(1, 1)]);
  outbox.forgetOld();
  outbox.add([deletion(2, 1), deletion(3, 1)]);
  outbox.forgetOld();
  outbox.add([deletion(3, 2)]);
  outbox.catchUp();
  await settled();
  expect(server.attempts).toBe(0);
  isAlone = false;
  outbox.forgetOld();
  outbox.catchUp();
  await settled();
  expect(server.notices).toEqual([
    { kind: 'advanced', topic: 'user:2', seq: 1 },
    { kind: 'advanced', topic: 'user:3', seq: 2 },
  ]);
});

test('positions are kept while disconnected, regardless of how long', async () => {
  const server = notifier();
  let isAlone = true;
  const outbox = createNoticeSender('abcd', server.fake, () => isAlone);
  server.connected = false;
  outbox.add([deletion(1, 1)]);
  outbox.forgetOld();
  outbox.forgetOld();
  server.connected = true;
  isAlone = false;
  outbox.catchUp();
  await settled();
  expect(server.notices).toEqual([{ kind: 'advanced', topic: 'user:1', seq: 1 }]);
});

test('ephemeral notices are not sent to a node that joins later', async () => {
  const server = notifier();
  let isAlone = false;
  const outbox = createNoticeSender('abcd', server.fake, () => isAlone);
  const typing: Notice = {
    kind: 'ephemeral',
    ephemeral: { type: 'typing', topic: 'conversation:1', actor: createActorView(1), isTyping: true },
  };
  outbox.add([deletion(1, 1)]);
  // The first one is in flight.
  outbox.add([typing, deletion(2, 1)]);
  isAlone = true;
  await settled();
  isAlone = false;
  outbox.catchUp();
  await settled();
  expect(server.notices.map((notice) => notice?.kind)).toEqual(['event', 'advanced']);
});
