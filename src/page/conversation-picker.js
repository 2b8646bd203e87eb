import { ask } from './graphql.js';

const LOG_IN = `
  mutation LogIn($email: String!, $password: String!) {
    login(email: $email, password: $password) { token user { id email firstName } }
  }`;

const PLACES = `
  query Places {
    circles(first: 20) {
      nodes { id legacyId name conversations(first: 20) { nodes { id legacyId name } } }
    }
  }`;

const CONVERSATION = `
  query Conversation($circle: ID!, $conversation: ID!) {
    circle(id: $circle) { eventCursor }
    conversation(id: $conversation) {
      name
      eventCursor
      messages(last: 20) {
        nodes { legacyId text sentAt author { ... on User { id firstName } ... on Device { id firstName: name } } }
      }
    }
  }`;

const MEMBERS = `
  query Members($circle: ID!) {
    circle(id: $circle) { members(first: 50) { nodes { user { id isOnline } } } }
  }`;

/** Logs in and answers `{ token, id, email, firstName }`. */
export async function logIn({ email, password }, onFrame) {
  const { login } = await ask(LOG_IN, { email, password }, { onFrame });
  return { token: login.token, ...login.user };
}

/** The oldest conversation in which both take part, with its circle; undefined when there is none. */
export async function findPlace(one, other) {
  const [theirs, ours] = await Promise.all([placesOf(other), placesOf(one)]);
  const shared = new Set(theirs.map(({ conversation }) => conversation.id));
  return ours.find(({ conversation }) => shared.has(conversation.id));
}

async function placesOf({ token }) {
  const { circles } = await ask(PLACES, {}, { token });
  return circles.nodes.flatMap((circle) =>
    circle.conversations.nodes.map((conversation) => ({ circle, conversation })),
  );
}

/** Name, newest messages, and the cursors after which everything else comes. */
export async function readPlace({ circle, conversation }, { token }, onFrame) {
  const variables = { circle: circle.id, conversation: conversation.id };
  const read = await ask(CONVERSATION, variables, { token, onFrame });
  return {
    name: read.conversation.name,
    messages: read.conversation.messages.nodes,
    cursors: { conversation: read.conversation.eventCursor, circle: read.circle.eventCursor },
  };
}

/** Whether another member is online at this moment. */
export async function readPresence({ circle }, { token }, other, onFrame) {
  const read = await ask(MEMBERS, { circle: circle.id }, { token, onFrame });
  return read.circle.members.nodes.some(({ user }) => user.id === other.id && user.isOnline);
}

export async function readName({ conversation }, { token }) {
  const document = 'query Name($id: ID!) { conversation(id: $id) { name } }';
  return (await ask(document, { id: conversation.id }, { token })).conversation.name;
}

export async function readText(messageId, { token }) {
  const document = 'query Text($id: ID!) { message(id: $id) { text } }';
  return (await ask(document, { id: `Message:${messageId}` }, { token })).message.text;
}

/** A message as the panel shows it. */
export const asLine = ({ legacyId, author, text, sentAt }, account) => ({
  id: legacyId,
  author: author?.firstName ?? 'Someone who left',
  isOwn: author?.id === account.id,
  text,
  sentAt,
});
