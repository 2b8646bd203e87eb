import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { connectLegacy } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { startTestApp } from '../harness/app.ts';
import { CALL_EVENTS, readCalls, startCall, subscribeToCalls } from '../harness/calls.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { openTcpProxy } from '../harness/tcp-proxy.ts';

/** A client whose network is lost has left within this time. */
const MAX_GHOST_MS = 15_000;

test(
  'participants whose network is lost without a close have left within 15 s, but for those that return',
  { timeout: 90_000 },
  async () => {
    await using app = await startTestApp();
    const { ann, bob, conversation } = await createAnnAndBob(app);
    const proxy = await openTcpProxy(Number(new URL(app.url).port));
    await using stack = new AsyncDisposableStack();
    stack.use(proxy);
    const lostUrl = `http://127.0.0.1:${proxy.port}`;
    const keep = async (account: TestAccount, url: string, participantId: string) => {
      const socket = stack.use(await openGraphqlSocket(url, { token: account.token }));
      const variables = { id: conversation.id, participantId };
      socket.send({ id: 'calls', type: 'subscribe', payload: { query: CALL_EVENTS, variables } });
      await socket.nextOf('next');
      return socket;
    };
    await using events = await subscribeToCalls(bob, conversation);
    const own = await startCall(bob, conversation);
    const ownSocket = await keep(bob, app.url, own.participant.id);
    const joining = stack.use(await openGraphqlSocket(lostUrl, { token: ann.token }));
    const query = `mutation { startCall(conversationId: "${conversation.id}") { participant { id } } }`;
    joining.send({ id: 'start', type: 'subscribe', payload: { query } });
    await joining.nextOf('complete');
    const [streaming, returning] = [await startCall(ann, conversation), await startCall(ann, conversation)];
    await keep(ann, lostUrl, streaming.participant.id);
    await keep(ann, lostUrl, returning.participant.id);
    const legacyClient = stack.use(await connectLegacy(lostUrl, { transports: ['websocket'] }));
    await legacyClient.push('authenticate', { token: ann.token });
    stack.use(await bob.connectLegacy());
    const answer = { type: 'sdp', data: { type: 'answer', sdp: 'v=0' } };
    await legacyClient.push('webrtc_forward', { user_id: bob.legacyId, message: answer });
    for (let joined = 0; joined < 5; joined += 1) await events.nextOf('CallParticipantJoined');

    const lostAt = performance.now();
    proxy.mute();
    await keep(ann, app.url, returning.participant.id);
    for (let left = 0; left < 3; left += 1) {
      const leftIn = MAX_GHOST_MS - (performance.now() - lostAt);
      expect(
        await events.next(({ __typename }) => __typename === 'CallParticipantLeft', leftIn),
      ).toMatchObject({ reason: 'DISCONNECTED' });
    }
    const [call] = await readCalls(bob, conversation);
    expect(call?.participants.map(({ id }) => id).sort()).toEqual(
      [own.participant.id, returning.participant.id].sort(),
    );
    // Nothing has changed for Socket.IO clients: they stay connected until the timeout of Engine.IO.
    await bob.graphql.run(
      'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }',
      { to: { userId: ann.id }, content: 'CALLING' },
    );
    expect(ownSocket.socket.readyState).toBe(WebSocket.OPEN);
  },
);
