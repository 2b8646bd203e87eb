import { buildSchema, parse } from 'graphql';
import { GRAPHQL_TRANSPORT_WS_PROTOCOL, makeServer } from 'graphql-ws';
import { expect, test } from 'vitest';
import {
  acceptParsed,
  clearRetained,
  isUnexpectedFrame,
} from '../../src/gateway/websocket/graphql-ws-internals.ts';

// Undocumented behaviour of graphql-ws that the GraphQL WebSocket server relies on. See docs/private-apis.md.

const schema = buildSchema('type Query { a: Int }');
const query = '{ a }';

test('graphql-ws passes one payload object to onSubscribe and onComplete, and does not read its query afterwards', async () => {
  const payloads: object[] = [];
  const sent: string[] = [];
  const server = makeServer({
    onConnect: (context) => clearRetained(context, 'connectionParams'),
    onSubscribe(_context, _id, payload) {
      payloads.push(payload);
      clearRetained(payload, 'query');
      return { schema, document: parse(query), rootValue: { a: 1 } };
    },
    onComplete: (_context, _id, payload) => void payloads.push(payload),
  });
  let receive = async (_text: string): Promise<void> => undefined;
  server.opened(
    {
      protocol: GRAPHQL_TRANSPORT_WS_PROTOCOL,
      send: (text) => void sent.push(text),
      close: (_code, reason) => expect.unreachable(reason),
      onMessage: (handle) => void (receive = handle),
    },
    {},
  );
  await receive(JSON.stringify({ type: 'connection_init', payload: { token: 'x' } }));
  await receive(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
  expect(payloads).toHaveLength(2);
  expect(payloads[0]).toBe(payloads[1]);
  expect(sent.map((text) => JSON.parse(text) as unknown)).toEqual([
    { type: 'connection_ack' },
    { type: 'next', id: '1', payload: { data: { a: 1 } } },
    { type: 'complete', id: '1' },
  ]);
});

test('the error of graphql-ws for a frame that only a server may send is recognised', async () => {
  let receive = async (_text: string): Promise<void> => undefined;
  makeServer({ schema }).opened(
    {
      protocol: GRAPHQL_TRANSPORT_WS_PROTOCOL,
      send: () => undefined,
      close: () => undefined,
      onMessage: (handle) => void (receive = handle),
    },
    {},
  );
  const error: unknown = await receive(JSON.stringify({ type: 'next', id: '1', payload: {} })).catch(
    (thrown: unknown) => thrown,
  );
  expect(isUnexpectedFrame(error)).toBe(true);
  expect(isUnexpectedFrame(new Error('Another one.'))).toBe(false);
});

test('graphql-ws handles a parsed frame as one of text, without parsing it', async () => {
  const sent: string[] = [];
  let receive = async (_frame: object | string): Promise<void> => undefined;
  let closed = '';
  makeServer({ schema, roots: { query: { a: 1 } }, jsonMessageReviver: () => expect.unreachable() }).opened(
    {
      protocol: GRAPHQL_TRANSPORT_WS_PROTOCOL,
      send: (text) => void sent.push(text),
      close: (_code, reason) => void (closed = reason ?? ''),
      onMessage: (handle) => void (receive = acceptParsed(handle)),
    },
    {},
  );
  await receive({ type: 'connection_init' });
  await receive({ type: 'subscribe', id: '1', payload: { query } });
  expect(sent.map((text) => JSON.parse(text) as unknown)).toEqual([
    { type: 'connection_ack' },
    { type: 'next', id: '1', payload: { data: { a: 1 } } },
    { type: 'complete', id: '1' },
  ]);
  await receive([]);
  expect(closed).toBe('Invalid message received');
});
