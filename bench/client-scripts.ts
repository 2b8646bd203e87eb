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

const EVENTS_AFTER = EVENTS.replace('($id: ID!)', '($id: ID!, $after: Cursor!)').replace(
  'conversationId: $id',
  'conversationId: $id, after: $after',
);

/** Creates the script of GraphQL subscribers that resume after their cursors. */
export function createResumeScript(
  origin: string,
  count: number,
  members: readonly (Member & { readonly cursor: string })[],
): ClientScript {
  const script = createSubscribeScript(origin, count, members);
  const variables = { id: '<conversation>', after: '<cursor>' };
  const subscribe = { id: '<id>', type: 'subscribe', payload: { query: EVENTS_AFTER, variables } };
  return { ...script, messages: [...script.messages.slice(0, 1), JSON.stringify(subscribe)] };
}

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

/** Creates the script of clients of a Socket.IO server, which send packets one by one after connecting. */
const createSocketIoScript = (
  origin: string,
  count: number,
  packets: readonly string[],
  readyText: string,
): ClientScript => ({
  type: 'open',
  url: `${origin.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`,
  count,
  messages: ['', '40', ...packets],
  readyText,
  countedPrefix: '42["message",',
});

/** Creates the script of clients of the Socket.IO peers, which have one room. */
export const createRoomScript = (port: number, count: number): ClientScript =>
  createSocketIoScript(`http://127.0.0.1:${port}`, count, ['42["join"]'], '42["ready"]');

/** Creates the script of legacy clients, which join the conversation of their member. Clients use the members in turn. */
export const createLegacyScript = (
  origin: string,
  count: number,
  members: readonly Member[],
): ClientScript => ({
  ...createSocketIoScript(
    origin,
    count,
    ['42["authenticate",{"token":"<token>"}]', '42["join_conversation",{"conversation_id":<legacyId>}]'],
    'Vous avez rejoins',
  ),
  substitutions: members.map((member) => ({
    ...member,
    legacyId: member.conversation.slice('Conversation:'.length),
  })),
});

/** Creates the payload that the Socket.IO peers emit, of the same size as that of Parley. */
export function createPayload(bytes: number): string {
  const [time, content] = ['2026-11-26T00:00:00.123000', '.'.repeat(bytes)];
  const message = { id: 1234, link_id: 1, sent: time, read: null, content, medias: 0 };
  const person = {
    id: 1,
    email: '12345678@example.com',
    first_name: 'Test',
    last_name: '12345678',
    birthday: null,
  };
  const sender = { ...person, created: time, updated: time, isOnline: true, type: 'DEFAULT' };
  return JSON.stringify({ conversation_id: 1, message, time, sender, media_list: [], status: 'done' });
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
