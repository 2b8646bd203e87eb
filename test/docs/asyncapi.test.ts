import { readFile } from 'node:fs/promises';
import parserModule from '@asyncapi/parser';
import { Ajv } from 'ajv';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { asyncapi } from '../../scripts/asyncapi.ts';
import { emittedChannels, shapesOf } from '../../scripts/legacy-contract.ts';
import { CHANNELS } from '../../src/bridge/channels.ts';
import { circleOf, conversationOf, createGateway, deviceOf } from '../../src/testing/index.ts';
import type { TestAccount, TestGateway } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/story.ts';
import { wire } from '../harness/wire.ts';
import type { Wire } from '../harness/wire.ts';

interface Message {
  readonly name: string;
  readonly payload: object;
  readonly examples?: readonly { readonly payload: unknown }[];
  readonly 'x-ack'?: unknown;
}

interface Document {
  readonly channels: Record<string, { address: string; messages: Record<string, Message> }>;
  readonly operations: Record<
    string,
    { action: string; channel: { $ref: string }; messages: { $ref: string }[] }
  >;
  readonly components: { schemas: Record<string, object> };
}

let text: string;
let document: Document;
const ajv = new Ajv({ strict: true, allowUnionTypes: true });

beforeAll(async () => {
  text = await readFile(new URL('../../asyncapi.yaml', import.meta.url), 'utf8');
  document = parse(text) as Document;
  ajv.addVocabulary([
    'asyncapi',
    'info',
    'defaultContentType',
    'servers',
    'channels',
    'operations',
    'components',
  ]);
  ajv.addSchema(document, 'asyncapi.yaml');
});

const escaped = (key: string) => encodeURIComponent(key);

/** Whether something is a payload of a message of the document. */
function isPayload(channel: string, message: string, payload: unknown): boolean {
  const validate = ajv.getSchema(
    `asyncapi.yaml#/channels/${escaped(channel)}/messages/${escaped(message)}/payload`,
  );
  if (validate === undefined) throw new Error(`the document has no ${channel} ${message}`);
  return validate(payload) === true;
}

/** What the document calls an event that a client heard: `message.done`. Empty when it is nothing of it. */
function nameOf(packet: string): string {
  const [channel, payload] = JSON.parse(packet.slice('42'.length)) as [string, unknown];
  const entry = Object.entries(document.channels).find(([, { address }]) => address === channel);
  const messages = Object.keys(entry?.[1].messages ?? {}).filter((message) => message !== 'request');
  const fitting = messages.filter((message) => isPayload(entry?.[0] ?? '', message, payload));
  return fitting.length === 1 ? `${channel}.${fitting[0]}` : '';
}

const allNames = () =>
  emittedChannels.flatMap((channel) => Object.keys(shapesOf(channel)).map((shape) => `${channel}.${shape}`));

test('asyncapi.yaml is what the code says, and the parser of AsyncAPI finds nothing to say of it', async () => {
  expect(document).toEqual(asyncapi());
  const { document: parsed, diagnostics } = await new parserModule.Parser().parse(text);
  expect(diagnostics).toEqual([]);
  expect(parsed?.version()).toBe('3.1.0');
});

test('every channel and every shape is in it, in its direction', () => {
  const operations = Object.values(document.operations).map(({ action, channel, messages }) => {
    const key = channel.$ref.replace('#/channels/', '');
    return {
      action,
      channel: document.channels[key]?.address,
      messages: messages.map(({ $ref }) => $ref.replace(`#/channels/${key}/messages/`, '')),
    };
  });
  expect(operations).toEqual([
    ...CHANNELS.map(({ name }) => ({ action: 'receive', channel: name, messages: ['request'] })),
    ...emittedChannels.map((channel) => ({
      action: 'send',
      channel,
      messages: Object.keys(shapesOf(channel)),
    })),
  ]);
});

test('every message has an example, each of its schema, and what clients send an empty acknowledgement', () => {
  for (const [key, { messages }] of Object.entries(document.channels)) {
    for (const [message, { examples = [], 'x-ack': acknowledgement }] of Object.entries(messages)) {
      expect(examples.length, `${key} ${message}`).toBeGreaterThan(0);
      for (const { payload } of examples)
        expect(isPayload(key, message, payload), `${key} ${message} ${JSON.stringify(payload)}`).toBe(true);
      expect(acknowledgement).toEqual(message === 'request' ? [] : undefined);
    }
  }
});

test.for([
  ['a key too many', 'circle', 'changed', { event: 'update', circle_id: 3, name: 'Clan' }],
  ['a key too few', 'writing', 'user', { conversation_id: 12, device: false, is_writing: true }],
  ['a float for an id', 'device_created', 'created', { circle_id: 3.5 }],
  ['an id beyond int32', 'device_created', 'created', { circle_id: 2 ** 31 }],
  ['a text for an id', 'device_created', 'created', { circle_id: '3' }],
  ['an unknown text', 'error', 'refused', 'Something else'],
] as const)('%s is not of the shape', ([, channel, message, payload]) => {
  expect(isPayload(channel, message, payload)).toBe(false);
});

test('a date with a zone, and a null where none may be, are not of the shape', () => {
  const [example] = document.channels['message']?.messages['done']?.examples ?? [];
  const done = example?.payload as { time: string; sender: object; message: object };
  expect(isPayload('message', 'done', done)).toBe(true);
  expect(isPayload('message', 'done', { ...done, time: `${done.time}Z` })).toBe(false);
  expect(isPayload('message', 'done', { ...done, message: { ...done.message, link_id: null } })).toBe(false);
  expect(isPayload('message', 'done', { ...done, sender: { ...done.sender, birthday: null } })).toBe(true);
});

const run = (account: TestAccount, field: string, variables: Record<string, unknown>) => {
  const types: Record<string, string> = {
    id: 'ID!',
    email: 'String!',
    name: 'String!',
    text: 'String!',
    is: 'Boolean!',
  };
  const declared = Object.keys(variables).map((name) => `$${name}: ${types[name]}`);
  return account.graphql.run(`mutation (${declared.join(', ')}) { ${field} { id } }`, variables);
};

/** Connects a client that notes the name of all it hears. */
async function listen(app: TestGateway, heard: Set<string>): Promise<Wire> {
  const client = await wire(app.url);
  client.socket.on('message', (data: Buffer) => {
    const packet = data.toString();
    if (packet.startsWith('42[')) heard.add(nameOf(packet) || packet);
  });
  return client;
}

async function upload(app: TestGateway, account: TestAccount, mediaId: number): Promise<void> {
  const body = new FormData();
  body.set('file', new Blob(['content']), 'cake.png');
  const headers = { authorization: account.token };
  const { status } = await fetch(`${app.url}/media/upload/${mediaId}`, { method: 'POST', body, headers });
  expect(status).toBe(200);
}

test(
  'whatever clients hear from the product is in the document, and all of the document is heard',
  { timeout: 60_000 },
  async () => {
    await using app = await createGateway();
    const [ann, bob, zoe, yan, pat] = [
      await app.account(),
      await app.account(),
      await app.account(),
      await app.account(),
      await app.account(),
    ];
    const circle = await circleOf(ann, bob, zoe, yan);
    const talk = await conversationOf(ann, circle, bob, zoe, yan);
    const room = { conversation_id: talk.legacyId };
    const heard = new Set<string>();

    await using phone = await listen(app, heard);
    await phone.ask('message', room);
    await phone.ask('authenticate', { token: bob.token });
    for (const verb of ['join', 'leave', 'join']) {
      await phone.ask(`${verb}_circle`, { circle_id: circle.legacyId });
      await phone.ask(`${verb}_conversation`, room);
    }
    for (const name of ['credentials', 'stun_info', 'turn_info']) await phone.ask(`webrtc_${name}`);
    await phone.ask('message', { ...room, text_message: 'Bonjour', files: ['cake.png'] });
    await phone.ask('writing', { ...room, is_writing: true });

    await using device = await deviceOf(app, ann, circle);
    await run(ann, 'setDeviceAccess(conversationId: $id, allowed: $is)', { id: talk.id, is: true });
    await using machine = await listen(app, heard);
    await machine.ask('authenticate', { token: device.token });
    await machine.ask('writing', { ...room, is_writing: false });
    await machine.ask('message', { ...room, text_message: 'Of the device' });

    const { sendMessage: sent } = await sendMessage(ann, talk, 'Look', ['a.png', 'b.png']);
    for (const { legacyId } of sent.media) await upload(app, ann, legacyId);
    await run(ann, 'updateMessage(messageId: $id, text: $text)', { id: sent.message.id, text: 'Look!' });
    await run(ann, 'updateCircle(circleId: $id, name: $name)', { id: circle.id, name: 'Clan' });
    await run(ann, 'updateConversation(conversationId: $id, name: $name)', { id: talk.id, name: 'Chat' });
    await run(zoe, 'leaveConversation(conversationId: $id)', { id: talk.id });
    await run(ann, 'kickFromCircle(circleId: $id, email: $email)', { id: circle.id, email: yan.login });

    await using other = await listen(app, heard);
    await other.ask('authenticate', { token: pat.token });
    await run(ann, 'inviteToCircle(circleId: $id, email: $email)', { id: circle.id, email: pat.login });
    await using caller = await listen(app, heard);
    await caller.ask('authenticate', { token: ann.token });
    await caller.ask('webrtc_forward', { user_id: bob.legacyId, message: 'CALLING' });
    await expect.poll(() => [...heard].toSorted()).toEqual(allNames().toSorted());
  },
);

test('every channel answers what its row says, in that order', { timeout: 60_000 }, async () => {
  await using app = await createGateway();
  const [ann, bob] = [await app.account(), await app.account()];
  const circle = await circleOf(ann, bob);
  const talk = await conversationOf(ann, circle, bob);
  const { sendMessage: seen } = await sendMessage(bob, talk, 'seen');
  await sendMessage(bob, talk, 'missed');
  await using callee = await wire(app.url);
  await callee.ask('authenticate', { token: bob.token });
  const given: Record<string, unknown> = {
    token: ann.token,
    conversation_id: talk.legacyId,
    circle_id: circle.legacyId,
    user_id: bob.legacyId,
    after_message_id: seen.message.legacyId,
  };

  await using client = await wire(app.url);
  for (const { name, example, answers } of CHANNELS) {
    if (name === 'message') await client.ask('join_conversation', { conversation_id: talk.legacyId });
    const payload = Object.fromEntries(
      Object.entries(example).map(([key, value]) => [key, given[key] ?? value]),
    );
    const heard = (await client.ask(name, payload)).map(nameOf);
    const said = answers.map(({ channel, shape }) =>
      shape === undefined ? expect.stringContaining(`${channel}.`) : `${channel}.${shape}`,
    );
    expect({ name, heard }).toEqual({ name, heard: said });
  }
});
