import fc from 'fast-check';
import { parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { payerOf } from '../../src/actor.ts';
import type { Payer } from '../../src/actor.ts';
import type { App } from '../../src/app.ts';
import { CHANNELS, USER_NOT_FOUND } from '../../src/bridge/contract/channels.ts';
import type { Database } from '../../src/db/database.ts';
import { parseId } from '../../src/ids.ts';
import { schema } from '../../src/schema/index.ts';
import { createFuzzAccounts, listExamples } from '../fuzz/accounts.ts';
import type { FuzzAccounts } from '../fuzz/accounts.ts';
import { draws } from '../fuzz/draw.ts';
import type { Draw } from '../fuzz/draw.ts';
import { TIMEOUT_MS, fuzz } from '../fuzz/fuzz.ts';
import { drawOperation } from '../fuzz/operations.ts';
import { openTestDatabase } from '../harness/database.ts';
import { startLimitedApp } from '../harness/limited-app.ts';
import { openPacketSocket } from '../harness/packet-connection.ts';
import type { PacketSocket } from '../harness/packet-connection.ts';
import { indexes } from '../harness/numbers.ts';
import { readDigests } from '../harness/table-digests.ts';
import { runBySse, TRANSPORTS } from './operation-transports.ts';
import type { OperationType, RunOperation, Transport } from './operation-transports.ts';

// The clock of the budgets stands still unless a test advances it. A budget refills by a point in each
// millisecond and delays nothing: so the `retryAfterMs` of a refusal is the number of points beyond the burst.

const BURST = 100_000;
const BUDGET = { perSecond: 1_000, burst: BURST, maxDelayMs: 0 };
const BUDGETS = {
  account: BUDGET,
  connection: BUDGET,
  address: BUDGET,
  anonymous: { ...BUDGET, burst: 10 * BURST },
};

const ADDRESS = '127.0.0.1';
const PROBE = '{ __typename }';

const CALLERS = ['account', 'stranger'] as const;

let database: Database;
let app: App;
let accounts: FuzzAccounts;
let sockets: Readonly<Record<(typeof CALLERS)[number], PacketSocket>>;

beforeAll(async () => {
  database = await openTestDatabase();
  vi.useFakeTimers({ toFake: ['performance'] });
  app = await startLimitedApp({ database, operationBudgets: BUDGETS });
  accounts = await createFuzzAccounts(app.url);
  sockets = { account: await openPacketSocket(app.url), stranger: await openPacketSocket(app.url) };
  await sockets.account.request('authenticate', { token: accounts.ann.token });
  await runBySse(app.url, undefined, PROBE);
});

afterAll(async () => {
  for (const name of CALLERS) await sockets[name][Symbol.asyncDispose]();
  await accounts[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
  vi.useRealTimers();
});

type Caller = (typeof CALLERS)[number];

const tokenOf = (caller: Caller): string | undefined =>
  caller === 'account' ? accounts.ann.token : undefined;

function payerOfCaller(caller: Caller): Payer {
  const id = parseId<'User'>(accounts.ann.legacyId);
  if (id === undefined) throw new Error('The account has no id.');
  const session = { actor: { kind: 'user', id }, tokenId: '', issuedAt: null, expiresAt: Infinity } as const;
  return payerOf(caller === 'account' ? session : null, ADDRESS);
}

/** Leaves so many points in the budget of the caller; with a negative number, that many are missing. */
function leavePoints(caller: Caller, points: number): void {
  // Fills all budgets.
  vi.advanceTimersByTime(20 * BURST);
  app.deps.operationLimits.chargeAfterwards(payerOfCaller(caller), BURST - points);
}

/** Returns the points that are missing in the budget of the caller, which each transport must tell alike. */
async function readMissingPoints(caller: Caller): Promise<number> {
  const probe = ({ run }: Transport) => run(app.url, tokenOf(caller), PROBE);
  const [first, ...others] = TRANSPORTS;
  const { code, retryAfterMs } = await probe(first);
  if (code === undefined) return 0;
  expect(await Promise.all(others.map(probe))).toEqual(others.map(() => refused(retryAfterMs)));
  return retryAfterMs;
}

const refused = (retryAfterMs: number) => ({ code: 'RATE_LIMITED', retryAfterMs });

/** Operations that end the session, have limits of their own, or have no first result. */
const EXCLUDED = [
  'changePassword',
  'createAccount',
  'deleteAccount',
  'login',
  'loginDevice',
  'logout',
  'logoutEverywhere',
  'mediaInspected',
  'presence',
  'readReceipts',
  'refreshToken',
  'signals',
  'typing',
];

function drawDocument(draw: Draw, type: OperationType): string {
  for (;;) {
    const document = drawOperation(draw, schema, type, listExamples(accounts), EXCLUDED);
    if (validate(schema, parse(document)).length === 0) return document;
  }
}

let documentCount = 0;

/** Returns a document of the same length that no client has sent yet. */
function unknownDocument(document: string): string {
  documentCount += 1;
  return `#${String(documentCount).padStart(8)}\n${document}`;
}

test.for(CALLERS)(
  'what one transport charges or refuses, every transport charges or refuses: %s',
  { timeout: TIMEOUT_MS },
  async (caller) => {
    const property = fc.asyncProperty(draws(), async (draw) => {
      for (const type of ['query', 'mutation', 'subscription'] as const) {
        const transports = TRANSPORTS.filter(({ types }) => types.includes(type));
        const document = drawDocument(draw, type);
        const run = (run: RunOperation, text: string) => run(app.url, tokenOf(caller), text);

        for (const transport of transports) {
          const text = unknownDocument(document);
          leavePoints(caller, 0);
          expect(await run(transport.run, text)).toEqual(refused(Math.ceil(text.length / 25)));
        }

        leavePoints(caller, BURST);
        await run(runBySse, document);
        const digests = await readDigests(database.db);
        leavePoints(caller, -1);
        const outcomes = await Promise.all(transports.map((transport) => run(transport.run, document)));
        expect(outcomes).toEqual(transports.map(() => refused(1)));
        expect(await readDigests(database.db)).toEqual(digests);

        // After `retryAfterMs` it runs.
        vi.advanceTimersByTime(1);
        const costs: number[] = [];
        for (const transport of transports) {
          if (costs.length > 0) leavePoints(caller, 0);
          await run(transport.run, document);
          costs.push(await readMissingPoints(caller));
        }
        expect(costs[0]).toBeGreaterThan(0);
        expect(costs).toEqual(costs.map(() => costs[0]));
      }
    });
    await fuzz(property, 6, { shrinks: false });
  },
);

test('rows that an operation reads are charged, one point for ten', async () => {
  const { ann, conversation } = accounts;
  const send = indexes(60).map(
    (index) =>
      `m${index}: sendMessage(conversationId: "${conversation.id}", text: "${index}") { message { id } }`,
  );
  leavePoints('account', BURST);
  await ann.graphql.run(`mutation { ${send.join(' ')} }`);
  for (const { run } of TRANSPORTS) {
    const costs: number[] = [];
    for (const last of [1, 60]) {
      const document = `{ conversation(id: "${conversation.id}") { messages(last: ${last}) { nodes { text } } } }`;
      leavePoints('account', BURST);
      expect((await run(app.url, ann.token, document)).code).toBe(undefined);
      leavePoints('account', 0);
      await run(app.url, ann.token, document);
      costs.push(await readMissingPoints('account'));
    }
    const [one = 0, many = 0] = costs;
    expect(many - one).toBeGreaterThanOrEqual(6);
    expect(many - one).toBeLessThan(10);
  }
});

test('an operation whose variables are invalid is charged as well', async () => {
  for (const { types, run } of TRANSPORTS)
    for (const type of types) {
      const field =
        type === 'mutation' ? 'deleteCircle(circleId: $id) { id }' : 'circleEvents(circleId: $id) { at }';
      const document = `${type} ($id: ID!) { ${type === 'query' ? 'circle(id: $id) { id }' : field} }`;
      leavePoints('account', BURST);
      await run(app.url, accounts.ann.token, document);
      leavePoints('account', 0);
      expect((await run(app.url, accounts.ann.token, document)).code).toBe('INVALID_INPUT');
      expect(await readMissingPoints('account')).toBeGreaterThan(1);
    }
});

const REFUSAL = 'Trop de requetes';
const CONVERSATION = { conversation_id: 1 };
const CIRCLE = { circle_id: 1 };

interface Event {
  readonly argument: object;
  /** Those of the event, and of its operation. */
  readonly points: Readonly<Record<Caller, number>>;
}

const event = (argument: object, account: number, stranger = 1): Event => ({
  argument,
  points: { account, stranger },
});

const EVENTS: Readonly<Record<string, Event>> = {
  authenticate: event({ token: 'x' }, 1),
  join_conversation: event(CONVERSATION, 4),
  leave_conversation: event(CONVERSATION, 1),
  join_circle: event(CIRCLE, 3),
  leave_circle: event(CIRCLE, 1),
  message: event({ ...CONVERSATION, text_message: 'Hello' }, 5),
  writing: event({ ...CONVERSATION, is_writing: true }, 3),
  webrtc_credentials: event({}, 4),
  webrtc_stun_info: event({}, 4, 4),
  webrtc_turn_info: event({}, 4, 4),
  webrtc_forward: event({ user_id: 2, message: {} }, 3),
  webrtc_join_room: event({}, 1),
  webrtc_leave_room: event({}, 1),
  webrtc_room_forward: event({}, 1),
};

test('every channel has its points', () => {
  expect(Object.keys(EVENTS).sort()).toEqual(CHANNELS.map(({ name }) => name).sort());
});

describe.for(CALLERS)('of %s', (caller) => {
  test.for(Object.entries(EVENTS))(
    'a legacy event %s is charged to the budget of GraphQL',
    async ([channel, { argument, points }]) => {
      const socket = sockets[caller];
      const digests = await readDigests(database.db);
      // A login is charged after it was rejected: a flood from the same address must not keep others from logging in.
      const isUnlimited = channel === 'authenticate' && caller === 'stranger';
      leavePoints(caller, -1);
      const reply = isUnlimited ? USER_NOT_FOUND : REFUSAL;
      expect(await socket.request(channel, argument)).toEqual([`42["error",${JSON.stringify(reply)}]`]);
      expect(await readDigests(database.db)).toEqual(digests);
      leavePoints(caller, 1);
      expect(await socket.request(channel, argument)).not.toContain(`42["error","${REFUSAL}"]`);
      expect(1 + (await readMissingPoints(caller))).toBe(points[caller]);
    },
  );
});
