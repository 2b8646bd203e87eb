import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTestAccount } from '../../src/testing/account.ts';
import { createCircle, createConversation, createGraphqlClient } from '../../src/testing/index.ts';
import type { Entity, TestAccount } from '../../src/testing/index.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { startPostgres } from '../harness/postgres.ts';
import { draws } from './draw.ts';
import type { Draw } from './draw.ts';
import { TIMEOUT_MS, fuzz } from './fuzz.ts';
import { LegacyReader } from './legacy-reader.ts';
import { LogReader, describeEvent } from './log-reader.ts';
import type { ReaderTransport } from './log-reader.ts';
import { startFuzzServer } from './server.ts';
import type { FuzzServer } from './server.ts';

// Random sequences of writes, departures, cuts and resumptions, against a model: after it has resumed, each subscriber has
// received exactly what the log contains since it subscribed, once and in order; but not what was redacted before it
// connected: the events of deleted messages, and texts that were replaced. Legacy clients have received each message that exists.

/** On each kind of database. */
const RUNS = 13;
const CONVERSATIONS = 4;
const STEPS = 100;

let server: FuzzServer;
let accounts: readonly [TestAccount, TestAccount, TestAccount];
let circle: Entity;

/** Starts a server over a database of the kind, with the accounts. */
async function start(kind: 'embedded' | 'PostgreSQL', stack: AsyncDisposableStack): Promise<void> {
  const postgres = kind === 'PostgreSQL' ? stack.use(await startPostgres()) : undefined;
  const env = postgres && {
    DATABASE_URL: postgres.url,
    AUTH_SECRET: 'a secret of the sequences, for tokens',
  };
  server = stack.use(await startFuzzServer(env));
  const anonymous = createGraphqlClient(server.url);
  const createAccount = async () => stack.use(await createTestAccount(server.url, anonymous));
  accounts = [await createAccount(), await createAccount(), await createAccount()];
  const [ann, ...others] = accounts;
  circle = await createCircle(ann, ...others);
  await sendMessage(ann, await createConversation(ann, circle, ...others), 'the first');
}

/** A reader of an account, and the index of the first event that it should receive. */
interface Subscription {
  readonly account: TestAccount;
  readonly transport: ReaderTransport;
  reader: LogReader;
  startIndex: number;
}

interface LogEntry {
  readonly description: string;
  readonly messageId?: string;
  /** The length of the log with the event that redacted this one. */
  redactedAt?: number;
}

interface SentMessage {
  readonly author: TestAccount;
  readonly text: string;
}

/** What the model knows of a conversation. */
interface Model {
  readonly conversation: Entity;
  readonly log: LogEntry[];
  readonly participants: Set<TestAccount>;
  /** The messages that exist. */
  readonly messages: Map<string, SentMessage>;
  readonly subscriptions: readonly Subscription[];
  /** Of Ann. */
  readonly legacyReaders: readonly [LegacyReader, LegacyReader];
  readonly startCursor: string;
}

function append({ log }: Pick<Model, 'log'>, type: string, id: string, text?: string): void {
  const description = describeEvent(type, id, text);
  log.push(type.startsWith('Message') ? { description, messageId: id } : { description });
}

/** Redacts the events of a message that match, at the time of the last event. */
function redact({ log }: Model, id: string, isRedacted: (entry: LogEntry) => boolean): void {
  for (const entry of log.slice(0, -1))
    if (entry.messageId === id && isRedacted(entry)) entry.redactedAt ??= log.length;
}

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
    startCursor: after,
    legacyReaders: [
      new LegacyReader(server.url, ann, conversation.legacyId, 3),
      new LegacyReader(server.url, ann, conversation.legacyId, 4),
    ],
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
const send: Step = async (draw, model) => {
  const { conversation, participants, messages, log } = model;
  const author = draw.pickFrom([...participants]);
  const texts = Array.from({ length: 1 + draw.nat(3) }, (_, index) => `sent ${log.length + index}`);
  const fields = texts.map(
    (text, index) =>
      `m${index}: sendMessage(conversationId: "${conversation.id}", text: "${text}") { message { id text } }`,
  );
  const sent = await author.graphql.run<Record<string, { message: { id: string; text: string } }>>(
    `mutation { ${fields.join(' ')} }`,
  );
  for (const { message } of Object.values(sent)) {
    messages.set(message.id, { author, text: message.text });
    append(model, 'MessageSent', message.id);
  }
  return texts.length;
};

/** Picks the id and the author of a message of a participant. */
function pickOwn(draw: Draw, { messages, participants }: Model): [string, TestAccount] | undefined {
  const own = [...messages].filter(([, { author }]) => participants.has(author));
  if (own.length === 0) return undefined;
  const [id, { author }] = draw.pickFrom(own);
  return [id, author];
}

const update: Step = async (draw, model) => {
  const [id, author] = pickOwn(draw, model) ?? [];
  if (id === undefined || author === undefined) return;
  const text = `changed ${model.log.length}`;
  await mutate(author, `updateMessage(messageId: $id, text: "${text}") { id }`, id);
  model.messages.set(id, { author, text });
  append(model, 'MessageUpdated', id, text);
  redact(model, id, ({ description }) => description.startsWith('MessageUpdated'));
};

const remove: Step = async (draw, model) => {
  const [id, author] = pickOwn(draw, model) ?? [];
  if (id === undefined || author === undefined) return;
  await mutate(author, 'deleteMessage(messageId: $id) { id }', id);
  model.messages.delete(id);
  append(model, 'MessageDeleted', id);
  redact(model, id, () => true);
};

const rename: Step = async (_draw, model) => {
  const { conversation, log } = model;
  await mutate(
    accounts[0],
    `updateConversation(conversationId: $id, name: "${log.length}") { id }`,
    conversation.id,
  );
  append(model, 'ConversationUpdated', conversation.id);
};

/** Ann stays, with at least one other: a conversation of one is deleted. */
const leave: Step = async (draw, model) => {
  const { conversation, participants, log, subscriptions } = model;
  if (participants.size < 3) return;
  const [, bob, eve] = accounts;
  const account = draw.pick(bob, eve);
  await mutate(account, 'leaveConversation(conversationId: $id) { id }', conversation.id);
  participants.delete(account);
  append(model, 'ParticipantLeft', account.id);
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

const invite: Step = async (_draw, model) => {
  const { conversation, participants, log, subscriptions } = model;
  const account = accounts.find((one) => !participants.has(one));
  if (account === undefined) return;
  const field = `inviteToConversation(conversationId: $id, email: "${account.login}") { id }`;
  await mutate(accounts[0], field, conversation.id);
  participants.add(account);
  append(model, 'ParticipantJoined', account.id);
  const after = await readCursor(account, conversation);
  for (const subscription of subscriptions.filter((one) => one.account === account)) {
    const { transport } = subscription;
    subscription.reader = new LogReader(server.url, account, conversation.id, { transport, after });
    subscription.startIndex = log.length;
  }
};

const cut: Step = async (draw, { subscriptions }) => draw.pickFrom(subscriptions).reader.cut();

const resume: Step = async (draw, { subscriptions, participants, log }) => {
  const { reader, account } = draw.pickFrom(subscriptions);
  if (participants.has(account)) reader.resume(log.length);
};

const cutLegacy: Step = async (draw, { legacyReaders }) => draw.pickFrom(legacyReaders).cut();

const resumeLegacy: Step = async (draw, { legacyReaders }) => draw.pickFrom(legacyReaders).resume();

const sendLegacy: Step = async (_draw, model) => {
  const { legacyReaders, messages, log } = model;
  const reader = legacyReaders.find(({ isLive }) => isLive);
  if (reader === undefined) return;
  const text = `sent ${log.length}`;
  const id = `Message:${await reader.send(text)}`;
  messages.set(id, { author: accounts[0], text });
  append(model, 'MessageSent', id);
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
  [cutLegacy, 2],
  [resumeLegacy, 3],
  [sendLegacy, 2],
];
const WEIGHTED_STEPS = STEP_WEIGHTS.flatMap(([step, weight]) => Array<Step>(weight).fill(step));

/**
 * Expects the events of the log from an index on, all of them or the first of them. An event that was redacted may be
 * missing, and must be missing if it was redacted before the reader connected.
 */
function expectReceived(
  { received }: LogReader,
  log: readonly LogEntry[],
  startIndex: number,
  isComplete: boolean,
): void {
  let index = startIndex;
  const skipTo = (description: string): void => {
    while (index < log.length && log[index]?.description !== description) skip();
  };
  const skip = (): void => {
    expect(log[index]?.redactedAt, `the reader has not received ${log[index]?.description}`).toBeDefined();
    index += 1;
  };
  for (const { description, openedAt } of received) {
    skipTo(description);
    const { redactedAt = Number.POSITIVE_INFINITY } = log[index] ?? {};
    expect(redactedAt, `${description} was redacted before the reader connected`).toBeGreaterThan(openedAt);
    expect(log[index]?.description).toBe(description);
    index += 1;
  }
  if (isComplete) while (index < log.length) skip();
}

/** Expects the messages that exist, each once and in order, after the reader has joined again. */
async function expectLegacyReceived(reader: LegacyReader, { messages }: Model): Promise<void> {
  const ids = Array.from(messages.keys(), (id) => Number(id.split(':')[1]));
  reader.resume();
  await reader.waitFor(() => reader.isLive && reader.sent.at(-1) === ids.at(-1));
  const { sent, deleted, errors } = reader;
  expect(errors).toEqual([]);
  expect(sent).toEqual([...new Set(sent)].sort((a, b) => a - b));
  expect(sent.filter((id) => !deleted.has(id))).toEqual(ids);
  reader.cut();
}

async function runSequence(draw: Draw): Promise<void> {
  const model = await createModel();
  for (let taken = 0; taken < STEPS;) taken += (await draw.pickFrom(WEIGHTED_STEPS)(draw, model)) ?? 1;
  const { conversation, subscriptions, participants, log, messages, startCursor } = model;
  await send(draw, model);
  for (const reader of model.legacyReaders) await expectLegacyReceived(reader, model);
  const last = log.at(-1)?.description;
  const current = subscriptions.filter(({ account }) => participants.has(account));
  const transport = 'websocket';
  const lateReader = new LogReader(server.url, accounts[0], conversation.id, {
    transport,
    after: startCursor,
  });
  const readers = [...current, { reader: lateReader, startIndex: 0 }];
  for (const { reader } of readers) reader.resume(log.length);
  for (const { reader, startIndex } of readers) {
    await reader.waitFor(() => reader.isLive && reader.received.at(-1)?.description === last);
    expect(reader.endReason).toBe(undefined);
    expectReceived(reader, log, startIndex, true);
    reader.cut();
  }
  for (const { description, text } of lateReader.received)
    if (text !== undefined) expect(text).toBe(messages.get(description.split(' ')[1] ?? '')?.text);
}

test.for(['embedded', 'PostgreSQL'] as const)(
  `each subscriber has received the log, over ${RUNS * CONVERSATIONS * STEPS} steps: %s`,
  { timeout: TIMEOUT_MS },
  async (kind) => {
    await using stack = new AsyncDisposableStack();
    await start(kind, stack);
    const property = fc.asyncProperty(
      fc.array(draws(), { minLength: CONVERSATIONS, maxLength: CONVERSATIONS }),
      async (sources) => void (await Promise.all(sources.map(runSequence))),
    );
    await fuzz(property, RUNS, { shrinks: false });
    await server.expectHealthy();
  },
);
