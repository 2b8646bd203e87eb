// The messages with which the load clients of a bench connect, and the frames that the peers send.
import type { Member } from './seed-accounts.ts';
import type { ClientScript } from './load-client-process.ts';

const EVENTS = `subscription ($id: ID!) { conversationEvents(conversationId: $id) {
  __typename cursor at ... on MessageSent { message { id text sentAt author { ... on User { id firstName } } } } } }`;

/** Creates the script of GraphQL subscribers. Clients use the members in turn. */
export const createSubscribeScript = (
  origin: string,
  count: number,
  members: readonly Member[],
): ClientScript => ({
  type: 'open',
  url: `${origin.replace('http', 'ws')}/graphql`,
  protocol: 'graphql-transport-ws',
  count,
  messages: [
    JSON.stringify({ type: 'connection_init', payload: { authorization: 'Bearer <token>' } }),
    JSON.stringify({
      id: '<id>',
      type: 'subscribe',
      payload: { query: EVENTS, variables: { id: '<conversation>' } },
    }),
  ],
  substitutions: members,
  readyText: 'StreamLive',
  countedPrefix: '{"id":"<id>","type":"next"',
});

/** Creates the script of clients of a bare WebSocket server: each joins the room of a member's conversation. */
export const createJoinScript = (port: number, count: number, members: readonly Member[]): ClientScript => ({
  type: 'open',
  url: `ws://127.0.0.1:${port}`,
  count,
  messages: ['<conversation>'],
  substitutions: members,
  readyText: 'ready',
  countedPrefix: '{"id":',
});

/** Creates the event that the peers deliver, of the same size as that of Parley for a message of so many bytes. */
export function createEvent(bytes: number, text = '') {
  const at = new Date().toISOString();
  const author = { id: 'User:1', firstName: 'Test' };
  const message = { id: 'Message:1234', text: text.padEnd(bytes, '.'), sentAt: at, author };
  return { cursor: 'MzViNmIwZTcvY29udmVyc2F0aW9uOjYvNw', at, message };
}

export function createFrame(bytes: number, text = ''): string {
  const conversationEvents = { __typename: 'MessageSent', ...createEvent(bytes, text) };
  return JSON.stringify({ id: crypto.randomUUID(), type: 'next', payload: { data: { conversationEvents } } });
}

/** The first screen of an app: circles, conversations, last messages, participants and presence. */
export const INITIAL_QUERY = /* GraphQL */ `
  query FirstScreen {
    circles(first: 10) {
      nodes {
        id
        name
        conversations(first: 10) {
          nodes {
            id
            name
            participants(first: 20) {
              nodes {
                role
                user {
                  id
                  firstName
                  isOnline
                }
              }
            }
            messages(last: 20) {
              nodes {
                id
                text
                sentAt
                author {
                  ... on User {
                    id
                    firstName
                  }
                }
              }
            }
          }
        }
      }
    }
  }
`;
