import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LegacyIo, TestGateway } from '../../src/testing/index.ts';
import { clientVersions, loadClient } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { createAccounts } from './differential/accounts.ts';
import type { Accounts } from './differential/accounts.ts';
import { createLegacyDrivers, openGraphqlDriver } from './differential/drivers.ts';
import type { Observations, StreamName } from './differential/observer.ts';
import { runScenario } from './differential/scenario.ts';

// Runs one scenario over GraphQL, and over legacy clients of each generation. GraphQL observers receive the same events.

// 1.3.7 does not differ from 1.3.6 here.
const versions = clientVersions.filter((version) => version !== '1.3.7');
const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']] as const;

let app: TestGateway;
let accounts: Accounts;
let expected: Observations;

beforeAll(async () => {
  app = await startTestApp();
  accounts = await createAccounts(app);
  expected = await runScenario(app, accounts, openGraphqlDriver);
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

test('actions over GraphQL only are observed in order', () => {
  const typesOf = (stream: StreamName) => expected[stream].map((event) => event['__typename']);
  expect(typesOf('conversation')).toEqual([
    'DeviceAccessChanged',
    'MessageSent',
    'MessageSent',
    'MessageSent',
    'MediaUploaded',
    'MediaUploaded',
    'ConversationUpdated',
    'ParticipantJoined',
    'ParticipantPromoted',
    'ParticipantKicked',
    'MessageSent',
    'ParticipantLeft',
    'DeviceAccessChanged',
  ]);
  expect(typesOf('circle')).toEqual(['CircleUpdated', 'MemberJoined', 'MemberKicked', 'DeviceRemoved']);
  expect(typesOf('zoeInbox')).toEqual(['ConversationInvited']);
  expect(typesOf('yanInbox')).toEqual(['CircleInvited']);
  expect(typesOf('bobInbox')).toEqual(['ConversationInvited', 'Promoted']);
  expect(expected.typing.map(({ isTyping }) => isTyping)).toEqual([true, false, true, false]);
  expect(expected.annSignals.map(({ content }) => content)).toEqual([
    { user_id: accounts.ann.legacyId, message: { type: 'sdp', data: { sdp: 'v=0 é€😀' } } },
    { user_id: accounts.ann.legacyId, message: 'CALLING' },
  ]);
  expect(expected.bobSignals.map(({ content }) => content)).toEqual([
    { user_id: accounts.bob.legacyId, message: 'CALLING' },
  ]);
  expect(expected.finalState).toMatchObject({
    conversation: {
      name: 'Été',
      deviceAccess: false,
      circle: { name: 'Clan', device: null },
      participants: { nodes: [{ role: 'ADMIN', user: { email: 'bob@example.com' } }, { role: 'STANDARD' }] },
      messages: { nodes: [{ text: 'é€😀' }, {}, { text: 'Look', media: [{}, {}] }, {}] },
    },
  });
});

test.for(versions.map((version, index) => [version, TRANSPORTS[index % TRANSPORTS.length] ?? []] as const))(
  'actions of socket.io-client %s over %j are observed identically',
  async ([version, transports]) => {
    const openDriver = createLegacyDrivers({ io: loadClient(version) as unknown as LegacyIo, transports });
    expect(await runScenario(app, accounts, openDriver)).toEqual(expected);
  },
);
