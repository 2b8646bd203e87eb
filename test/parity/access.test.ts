import { expect, test } from 'vitest';
import { createCircle, createConversation, createDevice } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { createChangingRule } from '../harness/access-rule.ts';
import { startTestApp } from '../harness/app.ts';
import { openTestDatabase } from '../harness/database.ts';

interface SentMessage extends Entity {
  readonly media: Entity;
}

async function sendMessage(account: TestAccount, { id }: Entity): Promise<SentMessage> {
  const { sendMessage } = await account.graphql.run<{ sendMessage: { message: Entity; media: [Entity] } }>(
    `mutation ($id: ID!) {
      sendMessage(conversationId: $id, text: "Hello", files: ["a.txt"]) { message { id legacyId } media { id legacyId } }
    }`,
    { id },
  );
  return { ...sendMessage.message, media: sendMessage.media[0] };
}

async function upload(url: string, { token }: TestAccount, media: Entity): Promise<boolean> {
  const body = new FormData();
  body.set('file', new Blob(['content']), 'a.txt');
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/media/upload/${media.legacyId}`, { method: 'POST', headers, body });
  if (!response.ok) expect([403, 404]).toContain(response.status);
  return response.ok;
}

async function download(url: string, { token }: TestAccount, media: Entity): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/media/${media.legacyId}`, { headers });
  if (!response.ok) expect(response.status).toBe(404);
  return response.ok;
}

/** Returns whether the first field has a value. Expects it to be null or an access error otherwise. */
async function isSuccessful({ graphql }: TestAccount, document: string, variables: object): Promise<boolean> {
  const { data, errors } = await graphql.send(document, { ...variables });
  if (errors !== undefined) expect(['NOT_FOUND', 'FORBIDDEN']).toContain(errors[0]?.extensions?.['code']);
  const [value] = Object.values(data ?? {});
  return value !== undefined && value !== null;
}

/** Returns whether the subscription becomes live. Expects it to be rejected with NOT_FOUND otherwise. */
async function isSubscribed({ graphql }: TestAccount, id: string): Promise<boolean> {
  await using subscription = graphql.subscribe(
    'subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename } }',
    { id },
  );
  return await subscription.next().then(
    () => true,
    (error: unknown) => {
      expect(String(error)).toContain('NOT_FOUND');
      return false;
    },
  );
}

/** Returns whether the legacy event receives `success`. Expects the `error` of an account without access otherwise. */
async function isAccepted(account: TestAccount, channel: string, payload: object): Promise<boolean> {
  await using legacyClient = await account.connectLegacy();
  return await legacyClient.push(channel, payload).then(
    () => true,
    (error: unknown) => {
      expect(String(error)).toMatch(/Vous ne faites? pas partie de cette conversation/);
      return false;
    },
  );
}

/** Reads the participants and messages of the conversation in the replayed event that invited the account. */
async function readInvitation({ graphql }: TestAccount, after: string) {
  await using inbox = graphql.subscribe<{ conversation?: Record<string, { nodes: unknown[] }> }>(
    `subscription ($after: Cursor) {
      inboxEvents(after: $after) {
        ... on ConversationInvited { conversation { participants { nodes { id } } messages { nodes { id } } } }
      }
    }`,
    { after },
  );
  const { conversation } = await inbox.next();
  return { participants: conversation?.['participants']?.nodes, messages: conversation?.['messages']?.nodes };
}

test('every operation of both APIs follows a change of the access rule', async () => {
  const rule = createChangingRule();
  const database = await openTestDatabase();
  await using app = await startTestApp({ database: { ...database, db: rule.wrapDb(database.db) } });
  const [ann, bob] = [await app.createAccount(), await app.createAccount()];
  const circle = await createCircle(ann, bob);
  await using device = await createDevice(app, ann, circle);
  await using inbox = bob.graphql.subscribe<{ cursor: string }>('subscription { inboxEvents { cursor } }');
  const { cursor } = await inbox.next();
  const conversation = await createConversation(ann, circle, bob);
  const { id, legacyId } = conversation;
  await ann.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    { id },
  );
  const accounts = { ann, bob, device };
  const [annMessage, bobMessage, deviceMessage] = [
    await sendMessage(ann, conversation),
    await sendMessage(bob, conversation),
    await sendMessage(device, conversation),
  ];
  const messagesByAuthor = new Map([
    [ann, annMessage],
    [bob, bobMessage],
    [device, deviceMessage],
  ]);
  const ownMessageOf = (account: TestAccount): SentMessage => messagesByAuthor.get(account) ?? annMessage;
  await upload(app.url, ann, annMessage.media);

  const operations: Readonly<Record<string, (account: TestAccount) => Promise<boolean>>> = {
    conversation: (account) =>
      isSuccessful(account, 'query ($id: ID!) { conversation(id: $id) { id } }', { id }),
    node: (account) => isSuccessful(account, 'query ($id: ID!) { node(id: $id) { id } }', { id }),
    'conversations of a circle': async ({ graphql }) => {
      const data = await graphql.run<{ circle: { conversations: { nodes: Entity[] } } }>(
        'query ($id: ID!) { circle(id: $id) { conversations { nodes { id } } } }',
        { id: circle.id },
      );
      return data.circle.conversations.nodes.length === 1;
    },
    message: (account) =>
      isSuccessful(account, 'query ($id: ID!) { message(id: $id) { id } }', { id: annMessage.id }),
    media: (account) =>
      isSuccessful(account, 'query ($id: ID!) { node(id: $id) { id } }', { id: annMessage.media.id }),
    download: (account) => download(app.url, account, annMessage.media),
    upload: (account) => upload(app.url, account, ownMessageOf(account).media),
    sendMessage: (account) =>
      isSuccessful(
        account,
        'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "Hello") { message { id } } }',
        { id },
      ),
    updateMessage: (account) =>
      isSuccessful(account, 'mutation ($id: ID!) { updateMessage(messageId: $id, text: "Changed") { id } }', {
        id: ownMessageOf(account).id,
      }),
    setTyping: (account) =>
      isSuccessful(account, 'mutation ($id: ID!) { setTyping(conversationId: $id, isTyping: true) }', { id }),
    conversationEvents: (account) => isSubscribed(account, id),
    'legacy join_conversation': (account) =>
      isAccepted(account, 'join_conversation', { conversation_id: legacyId }),
    'legacy join_conversation with replay': (account) =>
      isAccepted(account, 'join_conversation', { conversation_id: legacyId, after_message_id: 1 }),
    'legacy message': (account) =>
      isAccepted(account, 'message', { conversation_id: legacyId, text_message: 'Hello' }),
    'legacy writing': (account) =>
      isAccepted(account, 'writing', { conversation_id: legacyId, is_writing: true }),
  };
  const listAllowed = async (isAllowed: (account: TestAccount) => Promise<boolean>): Promise<string[]> => {
    const names: string[] = [];
    for (const [name, account] of Object.entries(accounts)) if (await isAllowed(account)) names.push(name);
    return names;
  };

  for (const [operation, isAllowed] of Object.entries(operations))
    expect([operation, await listAllowed(isAllowed)]).toEqual([operation, ['ann', 'bob', 'device']]);
  const invitation = await readInvitation(bob, cursor);
  expect(invitation.participants).toHaveLength(2);
  expect(invitation.messages?.length).toBeGreaterThan(0);

  using _tightened = rule.tighten();
  for (const [operation, isAllowed] of Object.entries(operations))
    expect([operation, await listAllowed(isAllowed)]).toEqual([operation, ['ann']]);
  expect(await readInvitation(bob, cursor)).toEqual({ participants: [], messages: [] });
});
