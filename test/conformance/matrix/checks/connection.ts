import { expect } from 'vitest';
import { openTcpProxy } from '../../../harness/tcp-proxy.ts';
import { refusal, success } from '../check.ts';
import type { Check } from '../check.ts';
import { anotherToken, logout } from '../matrix-fixtures.ts';

const HEARTBEATS = 3;

export const connects: Check = {
  title: 'connects',
  about: 'Connects over the configured transport, and logs in with `authenticate`.',
  async run({ open, transport, bob }) {
    using client = await open();
    expect(client.transport).toBe(transport === 'upgrade' ? 'websocket' : transport);
    expect(await client.ask('authenticate')).toEqual([refusal('Json web token introuvable')]);
    expect(await client.ask('authenticate', { token: 'x' })).toEqual([refusal('User not found')]);
    expect(await client.ask('authenticate', { token: bob.token })).toEqual([success('User authenticated')]);
    return undefined;
  },
};

export const heartbeats: Check = {
  title: 'heartbeats',
  about: 'Stays connected over several heartbeats, and then still sends and receives.',
  async run({ openInRooms, act, conversation, talk }) {
    using client = await openInRooms();
    for (let beat = 0; beat < HEARTBEATS; beat += 1) await client.heartbeat();
    expect(client.connects).toBe(1);
    await act('updateConversation', { conversationId: conversation.id, name: 'Still here' });
    expect(await client.next()).toEqual(['conversation', { event: 'update', ...talk }]);
    expect(await client.acknowledged('leave_conversation', talk)).toEqual([]);
    return undefined;
  },
};

export const reconnects: Check = {
  title: 'reconnects',
  about:
    'Reconnects automatically after a network failure, and is served again after another `authenticate`.',
  async run({ app, kind, open, act, bob, conversation, talk }) {
    await using relay = await openTcpProxy(Number(new URL(app.url).port));
    using client = await open({
      url: `http://127.0.0.1:${relay.port}`,
      reconnection: true,
      greeting: [
        ['authenticate', { token: bob.token }],
        ['join_conversation', talk],
      ],
    });
    const greeted = [
      success('User authenticated'),
      success(`Vous avez rejoins la conversation : conversation_${talk.conversation_id}`),
    ];
    for (const life of [1, 2]) {
      await client.connected(life);
      expect([await client.next(), await client.next()]).toEqual(greeted);
      await act('updateConversation', { conversationId: conversation.id, name: `Life ${life}` });
      expect(await client.next()).toEqual(['conversation', { event: 'update', ...talk }]);
      if (life === 1) {
        relay.refuse();
        expect(await client.disconnected()).toMatch(kind.reasons.network);
        relay.accept();
      }
    }
    expect(client.connects).toBe(2);
    return undefined;
  },
};

export const closed: Check = {
  title: 'is closed',
  about:
    'When its token is revoked, it receives `error` `"User not found"`, is disconnected, and does not reconnect.',
  async run({ app, kind, open, bob }) {
    const token = await anotherToken(bob);
    const options = { reconnection: true, greeting: [['authenticate', { token }]] } as const;
    using client = await open(options);
    expect(await client.next()).toEqual(success('User authenticated'));
    await logout(app, token);
    expect(await client.next()).toEqual(refusal('User not found'));
    expect(await client.disconnected()).toBe(kind.reasons.server);
    // Time enough for one that would come back after some milliseconds.
    using again = await open(options);
    expect(await again.next()).toEqual(refusal('User not found'));
    expect(client.connects).toBe(1);
    return undefined;
  },
};
