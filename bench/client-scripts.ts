// How the clients of a bench introduce themselves.
import type { Member } from './seed-accounts.ts';
import type { Opening } from './load-client-process.ts';

const EVENTS = `subscription ($id: ID!) { conversationEvents(conversationId: $id) {
  __typename cursor at ... on MessageSent { message { id text sentAt author { ... on User { id firstName } } } } } }`;

/** To a GraphQL server: each subscribes as one of the members, who take turns. */
export const subscribing = (origin: string, count: number, members: readonly Member[]): Opening => ({
  type: 'open',
  url: `${origin.replace('http', 'ws')}/graphql`,
  protocol: 'graphql-transport-ws',
  count,
  greeting: [
    JSON.stringify({ type: 'connection_init', payload: { authorization: 'Bearer <token>' } }),
    JSON.stringify({
      id: '<id>',
      type: 'subscribe',
      payload: { query: EVENTS, variables: { id: '<conversation>' } },
    }),
  ],
  texts: members,
  ready: 'StreamLive',
  counted: '{"id":"<id>","type":"next"',
});

/** To a bare WebSocket server: each enters the room of one of the members' conversations. */
export const entering = (port: number, count: number, members: readonly Member[]): Opening => ({
  type: 'open',
  url: `ws://127.0.0.1:${port}`,
  count,
  greeting: ['<conversation>'],
  texts: members,
  ready: 'ready',
  counted: '{"id":',
});

/** What the peers of Parley deliver, as long as what it delivers itself of a message with so many bytes of text. */
export function eventOf(bytes: number, text = '') {
  const at = new Date().toISOString();
  const author = { id: 'User:1', firstName: 'Test' };
  const message = { id: 'Message:1234', text: text.padEnd(bytes, '.'), sentAt: at, author };
  return { cursor: 'MzViNmIwZTcvY29udmVyc2F0aW9uOjYvNw', at, message };
}

export function frameOf(bytes: number, text = ''): string {
  const conversationEvents = { __typename: 'MessageSent', ...eventOf(bytes, text) };
  return JSON.stringify({ id: crypto.randomUUID(), type: 'next', payload: { data: { conversationEvents } } });
}
