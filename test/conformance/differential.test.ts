import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LegacyIo, TestGateway } from '../../src/testing/index.ts';
import { clientVersions, loadClient } from '../clients/load.ts';
import { startTestApp } from '../harness/app.ts';
import { createCast } from './differential/actors.ts';
import type { Cast } from './differential/actors.ts';
import { graphqlHand, legacyHand } from './differential/actions.ts';
import { play } from './differential/run.ts';
import type { Log } from './differential/observe.ts';

// One scenario, acted by clients of each generation: GraphQL observers see the same every time.

// 1.3.7 is 1.3.6 in all that matters here.
const versions = clientVersions.filter((version) => version !== '1.3.7');
const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']] as const;

let app: TestGateway;
let cast: Cast;
let told: Log;

beforeAll(async () => {
  app = await startTestApp();
  cast = await createCast(app);
  told = await play(cast, graphqlHand);
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

test('actions over GraphQL only are observed in order', () => {
  const types = (name: Exclude<keyof Log, 'end'>) => told[name].map((item) => item['__typename']);
  expect(types('conversation')).toEqual([
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
  expect(types('circle')).toEqual(['CircleUpdated', 'MemberJoined', 'MemberKicked', 'DeviceRemoved']);
  expect(types('zoe')).toEqual(['ConversationInvited']);
  expect(types('yan')).toEqual(['CircleInvited']);
  expect(types('bob')).toEqual(['ConversationInvited', 'Promoted']);
  expect(told.typing.map(({ isTyping }) => isTyping)).toEqual([true, false, true, false]);
  expect(told.annsSignals.map(({ content }) => content)).toEqual([
    { user_id: cast.ann.legacyId, message: { type: 'sdp', data: { sdp: 'v=0 é€😀' } } },
    { user_id: cast.ann.legacyId, message: 'CALLING' },
  ]);
  expect(told.bobsSignals.map(({ content }) => content)).toEqual([
    { user_id: cast.bob.legacyId, message: 'CALLING' },
  ]);
  expect(told.end).toMatchObject({
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
    const hand = legacyHand({ io: loadClient(version) as unknown as LegacyIo, transports });
    expect(await play(cast, hand)).toEqual(told);
  },
);
