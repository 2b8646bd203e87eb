import { toPanelFile } from './files.js';
import { execute } from './graphql.js';

export const FILE = 'legacyId identifier filename extension contentType url';

const LOG_IN = `
  mutation LogIn($email: String!, $password: String!) {
    login(email: $email, password: $password) { token user { id email firstName } }
  }`;

const CONVERSATIONS = `
  query Conversations {
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
        nodes {
          legacyId text sentAt media { ${FILE} }
          author { ... on User { id firstName } ... on Device { id firstName: name } }
        }
      }
    }
  }`;

const MEMBERS = `
  query Members($circle: ID!) {
    circle(id: $circle) { members(first: 50) { nodes { user { id email firstName isOnline } } } }
  }`;

/** Logs in and returns `{ token, id, email, firstName }`. */
export async function logIn({ email, password }, onFrame) {
  const { login } = await execute(LOG_IN, { email, password }, { onFrame });
  return { token: login.token, ...login.user };
}

/** Finds the oldest conversation shared by two accounts, as `{ circle, conversation }`; undefined when there is none. */
export async function findSharedConversation(one, other) {
  const [theirs, ours] = await Promise.all([listConversations(other), listConversations(one)]);
  const shared = new Set(theirs.map(({ conversation }) => conversation.id));
  return ours.find(({ conversation }) => shared.has(conversation.id));
}

/** Finds the oldest conversation of an account, as `findSharedConversation` does. */
export const findConversation = async (account) => (await listConversations(account))[0];

async function listConversations({ token }) {
  const { circles } = await execute(CONVERSATIONS, {}, { token });
  return circles.nodes.flatMap((circle) =>
    circle.conversations.nodes.map((conversation) => ({ circle, conversation })),
  );
}

/** Reads the name, the newest messages, and the cursors to subscribe after. */
export async function readConversation({ circle, conversation }, { token }, onFrame) {
  const variables = { circle: circle.id, conversation: conversation.id };
  const data = await execute(CONVERSATION, variables, { token, onFrame });
  return {
    name: data.conversation.name,
    messages: data.conversation.messages.nodes,
    cursors: { conversation: data.conversation.eventCursor, circle: data.circle.eventCursor },
  };
}

async function listMembers({ circle }, { token }, onFrame) {
  const data = await execute(MEMBERS, { circle: circle.id }, { token, onFrame });
  return data.circle.members.nodes.map(({ user }) => user);
}

/** Finds a member other than the account, as `{ id, email, firstName }`; undefined when there is none. */
export const findOtherMember = async (target, account) =>
  (await listMembers(target, account)).find(({ id }) => id !== account.id);

/** Returns whether another member is online. */
export async function readPresence(target, account, other, onFrame) {
  const members = await listMembers(target, account, onFrame);
  return members.some(({ id, isOnline }) => id === other.id && isOnline);
}

export async function readName({ conversation }, { token }) {
  const document = 'query Name($id: ID!) { conversation(id: $id) { name } }';
  return (await execute(document, { id: conversation.id }, { token })).conversation.name;
}

export async function readText(messageId, { token }) {
  const document = 'query Text($id: ID!) { message(id: $id) { text } }';
  return (await execute(document, { id: `Message:${messageId}` }, { token })).message.text;
}

/** Reads a file, with its URL signed for the account. */
export async function readFile(mediaId, { token }) {
  const document = `query File($id: ID!) { node(id: $id) { ... on Media { ${FILE} } } }`;
  return toPanelFile((await execute(document, { id: `Media:${mediaId}` }, { token })).node);
}

/** Converts a GraphQL message to the form that the panel shows. */
export const toPanelMessage = ({ legacyId, author, text, sentAt, media = [] }, account) => ({
  id: legacyId,
  author: author?.firstName ?? 'Deleted account',
  isOwn: author?.id === account.id,
  text,
  sentAt,
  files: media.map(toPanelFile),
});
