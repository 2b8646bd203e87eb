import { expect, inject, test } from 'vitest';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { connectLegacy } from '../../src/testing/legacy-client.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';

// Legacy clients on two nodes of one cluster, which the embedded database cannot have.

const alone = inject('database') !== 'postgres';
const env = { AUTH_SECRET: 'a secret that both nodes share' };

const talkOf = (conversation: { legacyId: number }) => ({ conversation_id: conversation.legacyId });
const contentOf = (packet: string) => /"content":"([^"]*)"/.exec(packet)?.[1];

async function login(url: string, account: TestAccount) {
  const client = await openPacketSocket(url);
  expect(await client.request('authenticate', { token: account.token })).toEqual([
    '42["success","User authenticated"]',
  ]);
  return client;
}

test.skipIf(alone)('rooms, kicks, forwards and the newest connection reach across nodes', async () => {
  const database = await openTestDatabase();
  await using here = await createGateway({ database, env });
  await using there = await createGateway({ database, env });
  const { ann, bob, circle, conversation } = await createAnnAndBob(here);

  await using older = await login(there.url, bob);
  await using newer = await login(here.url, bob);
  await using caller = await login(there.url, ann);
  await using beside = createGraphqlClient(there.url, bob.token);
  await using inbox = beside.subscribe('subscription { inboxEvents { __typename } }');
  await inbox.nextOf('StreamLive');
  await older.request('join_conversation', talkOf(conversation));
  await newer.request('join_conversation', talkOf(conversation));

  const answers = await caller.request('message', { ...talkOf(conversation), text_message: 'from there' });
  expect(answers).toHaveLength(1);
  expect(contentOf(await older.next('42["message"'))).toBe('from there');
  expect(contentOf(await newer.next('42["message"'))).toBe('from there');
  await sendMessage(ann, conversation, 'from here');
  expect(contentOf(await older.next('42["message"'))).toBe('from here');

  expect(await caller.request('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' })).toEqual([
    '42["success","Message forwarded"]',
  ]);
  expect(await newer.next('42["webrtc_forward"')).toContain('CALLING');
  const { createConversation } = await ann.graphql.run<{ createConversation: { legacyId: number } }>(
    'mutation ($id: ID!, $emails: [String!]!) { createConversation(circleId: $id, name: "Other", emails: $emails) { legacyId } }',
    { id: circle.id, emails: [bob.login] },
  );
  expect(await newer.next('42["conversation"')).toBe(
    `42["conversation",{"event":"invite","conversation_id":${createConversation.legacyId}}]`,
  );
  // The older one's node has had it too, and asked who is the newest, before the newer one goes.
  await inbox.nextOf('ConversationInvited');
  newer.socket.close();
  await expect
    .poll(async () => {
      await caller.request('webrtc_forward', { email: bob.login, message: 'again' });
      return older.pending().some((packet) => packet.includes('again'));
    })
    .toBe(true);
  expect(
    older.pending().some((packet) => packet.startsWith('42["conversation"') || packet.includes('CALLING')),
  ).toBe(false);

  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
    {
      id: circle.id,
      email: bob.login,
    },
  );
  expect(await older.next('42["conversation"')).toContain('"event":"kick"');
  expect(await older.request('join_conversation', talkOf(conversation))).toContain(
    '42["error","Vous ne faite pas partie de cette conversation"]',
  );
  await bob.graphql.run('mutation { logout }');
  expect(await older.next('42["error"')).toBe('42["error","User not found"]');
  await older.waitForClose();
});

test.skipIf(alone)('binary data in a forward arrives as binary data on another node', async () => {
  const database = await openTestDatabase();
  await using here = await createGateway({ database, env });
  await using there = await createGateway({ database, env });
  const { ann, bob } = await createAnnAndBob(here);
  const callee = await connectLegacy(there.url);
  const caller = await connectLegacy(here.url);
  await callee.push('authenticate', { token: bob.token });
  await caller.push('authenticate', { token: ann.token });
  const message = { type: 'sdp', data: Buffer.from([0, 127, 255]) };
  await caller.push('webrtc_forward', { email: bob.login, message });
  expect(await callee.expect('webrtc_forward')).toEqual({
    sender_id: ann.legacyId,
    is_device: false,
    content: { email: bob.login, message },
  });
  callee.close();
  caller.close();
});
