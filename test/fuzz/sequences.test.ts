import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestAccount } from '../../src/testing/account.ts';
import { createCircle, createConversation, createGraphqlClient } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { draws } from './draw.ts';
import type { Draw } from './draw.ts';
import { TIMEOUT_MS, fuzz } from './fuzz.ts';
import { LogReader } from './log-reader.ts';
import type { ReaderTransport } from './log-reader.ts';
import { startFuzzServer } from './server.ts';
import type { FuzzServer } from './server.ts';

// Random sequences of writes, departures, cuts and resumptions, against a model: after it has resumed, each subscriber has
// received exactly what the log contains since it subscribed, once and in order.

const RUNS = 25;
const CONVERSATIONS = 4;
const STEPS = 100;

let server: FuzzServer;
let accounts: readonly [TestAccount, TestAccount, TestAccount];
let circle: Entity;

beforeAll(async () => {
  server = await startFuzzServer();
  const anonymous = createGraphqlClient(server.url);
  const createAccount = () => createTestAccount(server.url, anonymous);
  accounts = [await createAccount(), await createAccount(), await createAccount()];
  const [ann, ...others] = accounts;
  circle = await createCircle(ann, ...others);
});

afterAll(async () => {
  for (const account of accounts) await account[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** A reader of an account, and the index of the first event that it should receive. */
interface Subscription {
  readonly account: TestAccount;
  readonly transport: ReaderTransport;
  reader: LogReader;
  startIndex: number;
}

/** What the model knows of a conversation. */
interface Model {
  readonly conversation: Entity;
  /** Each event, as `LogReader` describes it. */
  readonly log: string[];
  readonly participants: Set<TestAccount>;
  /** The messages that exist, with their authors. */
  readonly messages: Map<string, TestAccount>;
  readonly subscriptions: readonly Subscription[];
}

const describeEvent = (type: string, fields: object): string => `${type} ${JSON.stringify(fields)}`;

async function createModel(): Promise<Model> {
  const [ann, bob, eve] = accounts;
  const conversation = await createConversation(ann, circle, bob, eve);
  const after = await readCursor(ann, conversation);
  const open = (account: TestAccount, transport: ReaderTransport): Subscription => ({
    account,
    transport,
    reader: new LogReader(server.url, account, conversation.id, { transport, after }),
    startIndex: 0,
  });
  return {
    conversation,
    log: [],
    participants: new Set(accounts),
    messages: new Map(),
    subscriptions: [open(ann, 'websocket'), open(bob, 'websocket'), open(bob, 'sse'), open(eve, 'sse')],
  };
}

async function readCursor({ graphql }: TestAccount, { id }: Entity): Promise<string> {
  const { conversation } = await graphql.run<{ conversation: { eventCursor: string } }>(
    'query ($id: ID!) { conversation(id: $id) { eventCursor } }',
    { id },
  );
  return conversation.eventCursor;
}

/** Runs a mutation on an object, and returns the id in its result. */
async function mutate({ graphql }: TestAccount, field: string, id: string): Promise<string> {
  const { result } = await graphql.run<{ result: { id: string } }>(
    `mutation ($id: ID!) { result: ${field} }`,
    { id },
  );
  return result.id;
}

/** A step; `send` returns how many steps it took. */
type Step = (draw: Draw, model: Model) => Promise<number | void>;

/** Sends up to four messages in one document, in order. */
const send: Step = async (draw, { conversation: { id }, participants, messages, log }) => {
  const author = draw.pickFrom([...participants]);
  const count = 1 + draw.nat(3);
  const fields = Array.from(
    { length: count },
    (_, index) => `m${index}: sendMessage(conversationId: "${id}", text: "${log.length}") { message { id } }`,
  );
  const sent = await author.graphql.run<Record<string, { message: { id: string } }>>(
    `mutation { ${fields.join(' ')} }`,
  );
  for (const { message } of Object.values(sent)) {
    messages.set(message.id, author);
    log.push(describeEvent('MessageSent', { message: { id: message.id } }));
  }
  return count;
};

/** Picks a message of a participant. */
function pickOwn(draw: Draw, { messages, participants }: Model): [string, TestAccount] | undefined {
  const own = [...messages].filter(([, author]) => participants.has(author));
  return own.length === 0 ? undefined : draw.pickFrom(own);
}

const update: Step = async (draw, model) => {
  const [id, author] = pickOwn(draw, model) ?? [];
  if (id === undefined || author === undefined) return;
  await mutate(author, 'updateMessage(messageId: $id, text: "changed") { id }', id);
  model.log.push(describeEvent('MessageUpdated', { message: { id } }));
};

const remove: Step = async (draw, model) => {
  const [id, author] = pickOwn(draw, model) ?? [];
  if (id === undefined || author === undefined) return;
  await mutate(author, 'deleteMessage(messageId: $id) { id }', id);
  model.messages.delete(id);
  model.log.push(describeEvent('MessageDeleted', { messageId: id }));
};

const rename: Step = async (_draw, { conversation: { id }, log }) => {
  await mutate(accounts[0], `updateConversation(conversationId: $id, name: "${log.length}") { id }`, id);
  log.push(describeEvent('ConversationUpdated', { conversation: { id } }));
};

/** Ann stays, with at least one other: a conversation of one is deleted. */
const leave: Step = async (draw, { conversation, participants, log, subscriptions }) => {
  if (participants.size < 3) return;
  const [, bob, eve] = accounts;
  const account = draw.pick(bob, eve);
  await mutate(account, 'leaveConversation(conversationId: $id) { id }', conversation.id);
  participants.delete(account);
  log.push(describeEvent('ParticipantLeft', { user: { id: account.id } }));
  for (const subscription of subscriptions.filter((one) => one.account === account)) {
    const { reader, startIndex } = subscription;
    if (reader.isConnected) {
      await reader.waitFor(() => reader.endReason !== undefined);
      // It was connected, perhaps before its subscription was accepted: then it was rejected instead.
      if (reader.isLive) expect(reader.endReason).toBe('LEFT');
    }
    reader.cut();
    expectReceived(reader, log, startIndex, reader.isLive && reader.endReason === 'LEFT');
  }
};

const invite: Step = async (_draw, { conversation, participants, log, subscriptions }) => {
  const account = accounts.find((one) => !participants.has(one));
  if (account === undefined) return;
  const field = `inviteToConversation(conversationId: $id, email: "${account.login}") { id }`;
  await mutate(accounts[0], field, conversation.id);
  participants.add(account);
  log.push(describeEvent('ParticipantJoined', { user: { id: account.id } }));
  const after = await readCursor(account, conversation);
  for (const subscription of subscriptions.filter((one) => one.account === account)) {
    const { transport } = subscription;
    subscription.reader = new LogReader(server.url, account, conversation.id, { transport, after });
    subscription.startIndex = log.length;
  }
};

const cut: Step = async (draw, { subscriptions }) => draw.pickFrom(subscriptions).reader.cut();

const resume: Step = async (draw, { subscriptions, participants }) => {
  const { reader, account } = draw.pickFrom(subscriptions);
  if (participants.has(account)) reader.resume();
};

const STEP_WEIGHTS: readonly (readonly [Step, number])[] = [
  [send, 9],
  [update, 2],
  [remove, 1],
  [rename, 1],
  [leave, 1],
  [invite, 1],
  [cut, 4],
  [resume, 6],
];
const WEIGHTED_STEPS = STEP_WEIGHTS.flatMap(([step, weight]) => Array<Step>(weight).fill(step));

/** Expects the events of the log from an index on: all of them, or the first of them. */
function expectReceived(
  { received }: LogReader,
  log: readonly string[],
  startIndex: number,
  isComplete: boolean,
): void {
  const expected = log.slice(startIndex, isComplete ? undefined : startIndex + received.length);
  expect(received.map(({ text }) => text)).toEqual(expected);
}

async function runSequence(draw: Draw): Promise<void> {
  const model = await createModel();
  for (let taken = 0; taken < STEPS;) taken += (await draw.pickFrom(WEIGHTED_STEPS)(draw, model)) ?? 1;
  const { subscriptions, participants, log } = model;
  const current = subscriptions.filter(({ account }) => participants.has(account));
  for (const { reader } of current) reader.resume();
  for (const { reader, startIndex } of current) {
    await reader.waitFor(() => reader.isLive && reader.received.length >= log.length - startIndex);
    expect(reader.endReason).toBe(undefined);
    expectReceived(reader, log, startIndex, true);
    reader.cut();
  }
}

test(
  `each subscriber has received the log, over ${RUNS * CONVERSATIONS * STEPS} steps`,
  { timeout: TIMEOUT_MS },
  async () => {
    const property = fc.asyncProperty(
      fc.array(draws(), { minLength: CONVERSATIONS, maxLength: CONVERSATIONS }),
      async (all) => void (await Promise.all(all.map(runSequence))),
    );
    await fuzz(property, RUNS, { shrinks: false });
    await server.expectHealthy();
  },
);
