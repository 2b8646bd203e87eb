import { expect } from 'vitest';
import { openTcpProxy } from '../../../harness/tcp-proxy.ts';
import { error, success } from '../check.ts';
import type { Check } from '../check.ts';
import { createToken, logout } from '../fixture.ts';

const HEARTBEAT_COUNT = 3;

export const connectCheck: Check = {
  title: 'connects',
  description: 'Connects over the configured transport, and logs in with `authenticate`.',
  async run({ connect, transport, bob }) {
    using client = await connect();
    expect(client.transport).toBe(transport === 'upgrade' ? 'websocket' : transport);
    expect(await client.request('authenticate')).toEqual([error('Json web token introuvable')]);
    expect(await client.request('authenticate', { token: 'x' })).toEqual([error('User not found')]);
    expect(await client.request('authenticate', { token: bob.token })).toEqual([
      success('User authenticated'),
    ]);
    return undefined;
  },
};

export const heartbeatCheck: Check = {
  title: 'heartbeats',
  description: 'Stays connected over several heartbeats, and then still sends and receives.',
  async run({ connectInRooms, runMutation, conversation, conversationRef }) {
    using client = await connectInRooms();
    for (let n = 0; n < HEARTBEAT_COUNT; n += 1) await client.waitForHeartbeat();
    expect(client.connectCount).toBe(1);
    await runMutation('updateConversation', { conversationId: conversation.id, name: 'Still here' });
    expect(await client.next()).toEqual(['conversation', { event: 'update', ...conversationRef }]);
    expect(await client.emitWithAck('leave_conversation', conversationRef)).toEqual([]);
    return undefined;
  },
};

export const reconnectCheck: Check = {
  title: 'reconnects',
  description:
    'Reconnects automatically after a network failure, and is served again after another `authenticate`.',
  async run({ app, kind, connect, runMutation, bob, conversation, conversationRef }) {
    await using proxy = await openTcpProxy(Number(new URL(app.url).port));
    using client = await connect({
      url: `http://127.0.0.1:${proxy.port}`,
      reconnection: true,
      framesOnConnect: [
        ['authenticate', { token: bob.token }],
        ['join_conversation', conversationRef],
      ],
    });
    const replies = [
      success('User authenticated'),
      success(`Vous avez rejoins la conversation : conversation_${conversationRef.conversation_id}`),
    ];
    for (const connection of [1, 2]) {
      await client.waitForConnect(connection);
      expect([await client.next(), await client.next()]).toEqual(replies);
      await runMutation('updateConversation', {
        conversationId: conversation.id,
        name: `Connection ${connection}`,
      });
      expect(await client.next()).toEqual(['conversation', { event: 'update', ...conversationRef }]);
      if (connection === 1) {
        proxy.refuse();
        expect(await client.waitForDisconnect()).toMatch(kind.disconnectReasons.network);
        proxy.accept();
      }
    }
    expect(client.connectCount).toBe(2);
    return undefined;
  },
};

export const serverDisconnectCheck: Check = {
  title: 'is closed',
  description:
    'When its token is revoked, it receives `error` `"User not found"`, is disconnected, and does not reconnect.',
  async run({ app, kind, connect, bob }) {
    const token = await createToken(bob);
    const options = { reconnection: true, framesOnConnect: [['authenticate', { token }]] } as const;
    using client = await connect(options);
    expect(await client.next()).toEqual(success('User authenticated'));
    await logout(app, token);
    expect(await client.next()).toEqual(error('User not found'));
    expect(await client.waitForDisconnect()).toBe(kind.disconnectReasons.server);
    // A second login gives the first client time to reconnect: its delay is at most 20 ms.
    using secondClient = await connect(options);
    expect(await secondClient.next()).toEqual(error('User not found'));
    expect(client.connectCount).toBe(1);
    return undefined;
  },
};
