import { createTestAccount } from '../../src/testing/account.ts';
import {
  createCircle,
  createConversation,
  createGraphqlClient,
  loginTestDevice,
} from '../../src/testing/index.ts';
import type { Entity, GraphqlClient, TestAccount } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import type { Examples } from './operations.ts';

/** Two users and a device with a conversation, on a server in another process. */
export interface FuzzAccounts extends AsyncDisposable {
  readonly anonymous: GraphqlClient;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly device: TestAccount;
  readonly circle: Entity;
  readonly conversation: Entity;
  readonly message: Entity;
  readonly media: Entity;
  /** Cursors of the circle, of the conversation and of Bob's inbox. */
  readonly cursors: readonly string[];
}

export async function createFuzzAccounts(url: string): Promise<FuzzAccounts> {
  const anonymous = createGraphqlClient(url);
  const [ann, bob] = [await createTestAccount(url, anonymous), await createTestAccount(url, anonymous)];
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  const { addDevice } = await ann.graphql.run<{ addDevice: { username: string; password: string } }>(
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { username password } }',
    { id: circle.id },
  );
  const device = await loginTestDevice(url, addDevice.username, addDevice.password);
  const id = conversation.id;
  await ann.graphql.run(
    'mutation ($id: ID!) { setDeviceAccess(conversationId: $id, allowed: true) { id } }',
    { id },
  );
  const { sendMessage: sent } = await sendMessage(ann, conversation, 'Hello', ['a.txt']);
  const data = await ann.graphql.run<Record<'circle' | 'conversation', { eventCursor: string }>>(
    'query ($circle: ID!, $id: ID!) { circle(id: $circle) { eventCursor } conversation(id: $id) { eventCursor } }',
    { circle: circle.id, id },
  );
  const [media] = sent.media;
  if (media === undefined) throw new Error('The message has no media.');
  return {
    anonymous,
    ann,
    bob,
    device,
    circle,
    conversation,
    message: sent.message,
    media,
    cursors: [data.circle.eventCursor, data.conversation.eventCursor],
    async [Symbol.asyncDispose]() {
      for (const client of [anonymous, ann, bob, device]) await client[Symbol.asyncDispose]();
    },
  };
}

/** How often the right id is drawn, rather than any. */
const WEIGHT = 20;

/** Lists values of arguments that refer to the accounts and their objects. */
export function listExamples(accounts: FuzzAccounts): Examples {
  const { ann, bob, device, circle, conversation, message, media, cursors } = accounts;
  const quote = (text: string) => JSON.stringify(text);
  const entities = [ann, bob, device, circle, conversation, message, media, { id: 'CircleMembership:1' }];
  const ids = entities.map(({ id }) => quote(id));
  const mostly = ({ id }: { readonly id: string }) => [...Array<string>(WEIGHT).fill(quote(id)), ...ids];
  return {
    ID: ids,
    'circle.id': mostly(circle),
    'conversation.id': mostly(conversation),
    'message.id': mostly(message),
    circleId: mostly(circle),
    conversationId: mostly(conversation),
    messageId: mostly(message),
    deviceId: mostly(device),
    userId: mostly(ann),
    mediaId: mostly(media),
    email: [quote(ann.login), quote(bob.login), '"nobody@example.com"'],
    emails: [quote(bob.login)],
    username: [quote(device.login)],
    password: ['"correct horse"', ...Array<string>(WEIGHT).fill('"x"')],
    birthday: ['"2000-02-29"', '"2001-02-29"', '"0000-01-01"'],
    Cursor: cursors.map(quote),
    after: ['""'],
    before: ['""'],
    content: ['{ type: "offer" }', '[1, [2, [3]]]', '1.5'],
    idempotencyKey: ['"a"', '"b"', '""'],
  };
}
