import { expect, inject, test } from 'vitest';
import { createGateway, createGraphqlClient } from '../../src/testing/index.ts';
import type { TestAccount } from '../../src/testing/index.ts';
import { connectLegacy } from '../../src/testing/legacy-client.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createAnnAndBob, sendMessage } from '../harness/ann-and-bob.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';

// Legacy clients on two nodes of one cluster. The embedded database serves one node only.

const isEmbedded = inject('database') !== 'postgres';
const env = { AUTH_SECRET: 'a secret that both nodes share' };

const conversationRefOf = (conversation: { legacyId: number }) => ({
  conversation_id: conversation.legacyId,
});
const contentOf = (packet: string) => /"content":"([^"]*)"/.exec(packet)?.[1];

async function login(url: string, account: TestAccount) {
  const client = await openPacketSocket(url);
  expect(await client.request('authenticate', { token: account.token })).toEqual([
    '42["success","User authenticated"]',
  ]);
  return client;
}

test.skipIf(isEmbedded)('rooms, kicks, forwards and the newest connection reach across nodes', async () => {
  const database = await openTestDatabase();
  await using firstNode = await createGateway({ database, env });
  await using secondNode = await createGateway({ database, env });
  const { ann, bob, circle, conversation } = await createAnnAndBob(firstNode);

  await using olderClient = await login(secondNode.url, bob);
  await using newerClient = await login(firstNode.url, bob);
  await using caller = await login(secondNode.url, ann);
  await using graphql = createGraphqlClient(secondNode.url, bob.token);
  await using inbox = graphql.subscribe('subscription { inboxEvents { __typename } }');
  await inbox.nextOf('StreamLive');
  await olderClient.request('join_conversation', conversationRefOf(conversation));
  await newerClient.request('join_conversation', conversationRefOf(conversation));

  const replies = await caller.request('message', {
    ...conversationRefOf(conversation),
    text_message: 'from there',
  });
  expect(replies).toHaveLength(1);
  expect(contentOf(await olderClient.next('42["message"'))).toBe('from there');
  expect(contentOf(await newerClient.next('42["message"'))).toBe('from there');
  await sendMessage(ann, conversation, 'from here');
  expect(contentOf(await olderClient.next('42["message"'))).toBe('from here');

  expect(await caller.request('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' })).toEqual([
    '42["success","Message forwarded"]',
  ]);
  expect(await newerClient.next('42["webrtc_forward"')).toContain('CALLING');
  const { createConversation } = await ann.graphql.run<{ createConversation: { legacyId: number } }>(
    'mutation ($id: ID!, $emails: [String!]!) { createConversation(circleId: $id, name: "Other", emails: $emails) { legacyId } }',
    { id: circle.id, emails: [bob.login] },
  );
  expect(await newerClient.next('42["conversation"')).toBe(
    `42["conversation",{"event":"invite","conversation_id":${createConversation.legacyId}}]`,
  );
  // The node of the older client has processed the invitation too, and looked up the newest connection, before the newer
  // client disconnects.
  await inbox.nextOf('ConversationInvited');
  newerClient.socket.close();
  await expect
    .poll(async () => {
      await caller.request('webrtc_forward', { email: bob.login, message: 'again' });
      return olderClient.pending().some((packet) => packet.includes('again'));
    })
    .toBe(true);
  expect(
    olderClient
      .pending()
      .some((packet) => packet.startsWith('42["conversation"') || packet.includes('CALLING')),
  ).toBe(false);

  await ann.graphql.run(
    'mutation ($id: ID!, $email: String!) { kickFromCircle(circleId: $id, email: $email) { id } }',
    {
      id: circle.id,
      email: bob.login,
    },
  );
  expect(await olderClient.next('42["conversation"')).toContain('"event":"kick"');
  expect(await olderClient.request('join_conversation', conversationRefOf(conversation))).toContain(
    '42["error","Vous ne faite pas partie de cette conversation"]',
  );
  await bob.graphql.run('mutation { logout }');
  expect(await olderClient.next('42["error"')).toBe('42["error","User not found"]');
  await olderClient.waitForClose();
});

test.skipIf(isEmbedded)('binary data in a forward arrives as binary data on another node', async () => {
  const database = await openTestDatabase();
  await using firstNode = await createGateway({ database, env });
  await using secondNode = await createGateway({ database, env });
  const { ann, bob } = await createAnnAndBob(firstNode);
  const callee = await connectLegacy(secondNode.url);
  const caller = await connectLegacy(firstNode.url);
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
