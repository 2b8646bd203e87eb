import { expect, test } from 'vitest';
import type { Notifier } from '../../src/db/notify.ts';
import type { Notice } from '../../src/events/bus.ts';
import { createOutbox } from '../../src/events/outbox.ts';
import { createDecoder } from '../../src/events/wire.ts';

/** A connection that is there, and takes what it is sent or refuses it. */
function notifier() {
  const decode = createDecoder('ffff');
  const state = { refuses: false, attempts: 0, notices: [] as (Notice | undefined)[] };
  const fake: Notifier = {
    listening: true,
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

const settled = () => new Promise((resolve) => setTimeout(resolve, 10));

test('what is refused is not sent again and again, but with the next occasion, as news of the topic', async () => {
  const server = notifier();
  const outbox = createOutbox('abcd', server.fake);
  server.refuses = true;
  outbox.add([
    {
      kind: 'event',
      envelope: {
        topic: 'user:7',
        seq: 3,
        at: '2018-12-07T10:00:00.000Z',
        event: { type: 'account.deleted', account: { kind: 'user', id: 7 as never } },
      },
    },
  ]);
  await settled();
  expect(server.attempts).toBe(1);
  server.refuses = false;
  outbox.catchUp();
  await settled();
  expect(server.notices).toEqual([{ kind: 'advanced', topic: 'user:7', seq: 3 }]);
});
