import { on, once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDevice } from '../../src/testing/index.ts';
import { createAnnAndBob } from '../harness/ann-and-bob.ts';
import { openGraphqlSocket } from '../harness/graphql-socket.ts';
import { startLoggedApp } from '../harness/logged-app.ts';

const FORWARDED = { 'x-forwarded-for': '192.0.2.7' };
const BAD_TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.AAAA';

test('a refused token, and a logout, are recorded with the address of the client', async () => {
  await using app = await startLoggedApp({ TRUSTED_PROXIES: '127.0.0.1' });
  const ann = await app.createAccount();
  const logOut = { method: 'POST', body: '{"query":"mutation { logout }"}' };
  const json = { 'content-type': 'application/json', authorization: `Bearer ${ann.token}` };
  await fetch(`${app.url}/graphql`, { ...logOut, headers: { ...json, ...FORWARDED } });
  expect(app.lines({ event: 'logged out' })).toMatchObject([
    { account: `user:${ann.legacyId}`, address: '192.0.2.7' },
  ]);
  await fetch(`${app.url}/media/1`, {
    headers: { authorization: BAD_TOKEN, 'x-forwarded-for': '192.0.2.1' },
  });
  const url = app.url.replace('http', 'ws');
  const socket = new WebSocket(`${url}/graphql`, 'graphql-transport-ws', {
    headers: { 'x-forwarded-for': '192.0.2.2' },
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { token: BAD_TOKEN } }));
  await once(socket, 'close');
  const legacy = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket`, {
    headers: { 'x-forwarded-for': '192.0.2.3' },
  });
  legacy.once('open', () => legacy.send('40'));
  for await (const [data] of on(legacy, 'message')) if (String(data).startsWith('40')) break;
  legacy.send(`42["authenticate",{"token":"${BAD_TOKEN}"}]`);
  await expect
    .poll(() => app.lines({ event: 'token refused' }).map(({ address }) => address))
    .toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3']);
  legacy.terminate();
});

test('kicks, devices and roles are recorded with who changed them, and where', async () => {
  await using app = await startLoggedApp();
  const { ann, bob, circle, conversation } = await createAnnAndBob(app);
  const device = await createDevice(app, ann, circle);
  const [annKey, bobKey] = [`user:${ann.legacyId}`, `user:${bob.legacyId}`];
  const run = (caller: typeof ann, field: string) => caller.graphql.run(`mutation { ${field} { id } }`, {});
  const inConversation = (email: string) => `(conversationId: "${conversation.id}", email: "${email}")`;
  await run(ann, `promoteInConversation${inConversation(bob.login)}`);
  await run(bob, `kickFromConversation${inConversation(ann.login)}`);
  await run(ann, `kickFromCircle(circleId: "${circle.id}", email: "${bob.login}")`);
  const inCircle = { topic: `circle:${circle.legacyId}`, by: annKey };
  expect(app.lines({ security: true }).filter(({ by }) => by !== undefined)).toMatchObject([
    { event: 'device added', account: `device:${device.legacyId}`, ...inCircle },
    { event: 'role changed', account: bobKey, by: annKey, topic: `conversation:${conversation.legacyId}` },
    { event: 'participant kicked', account: annKey, by: bobKey },
    { event: 'member kicked', account: bobKey, ...inCircle },
  ]);
});

test('refusals of every kind are counted, and those that mark an abuse are recorded', async () => {
  await using app = await startLoggedApp({ MAX_UPLOAD_BYTES: '10', UPLOAD_QUOTA_BYTES: '20' });
  const { ann, conversation } = await createAnnAndBob(app);
  const { sendMessage } = await ann.graphql.run<{ sendMessage: { media: { legacyId: number }[] } }>(
    'mutation ($id: ID!) { sendMessage(conversationId: $id, files: ["f"]) { media { legacyId } } }',
    { id: conversation.id },
  );
  const upload = async (bytes: number) => {
    const body = new FormData();
    body.append('file', new Blob(['x'.repeat(bytes)]), 'f');
    const url = `${app.url}/media/upload/${sendMessage.media[0]?.legacyId}`;
    return (await fetch(url, { method: 'POST', headers: { authorization: ann.token }, body })).status;
  };
  expect([await upload(15), await upload(10)]).toEqual([400, 429]);
  await using socket = await openGraphqlSocket(app.url, { token: ann.token });
  for (let id = 0; id < 1_010; id += 1)
    socket.send({
      id: String(id),
      type: 'subscribe',
      payload: { query: 'subscription { signals { content } }' },
    });
  expect(await socket.nextOf('error')).toMatchObject({
    payload: [{ extensions: { code: 'LIMIT_EXCEEDED' } }],
  });
  const metrics = await app.metrics();
  for (const limit of ['upload size', 'upload quota', 'operations'])
    expect(metrics).toMatch(new RegExp(`parley_refusals_total\\{limit="${limit}"\\} [1-9]`));
  const account = `user:${ann.legacyId}`;
  expect(app.lines({ event: 'limit reached' })).toMatchObject([
    { account, detail: 'upload quota' },
    { account, detail: 'operations' },
  ]);
});
