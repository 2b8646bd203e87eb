import { createCircle, createConversation, createGraphqlClient } from '../../../src/testing/index.ts';
import type { LegacyClient, Entity, TestAccount, TestGateway } from '../../../src/testing/index.ts';
import type { Frame } from './client.ts';

const TIMEOUT_MS = 15_000;

/** Accounts and data private to one cell of the matrix: Ann uses GraphQL, Bob is the client under test. */
export interface Fixture extends AsyncDisposable {
  readonly app: TestGateway;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly circle: Entity;
  readonly conversation: Entity;
  /** The conversation in legacy payloads. */
  readonly conversationRef: { readonly conversation_id: number };
  /** The legacy ids of their participant records: the `link_id` of their messages. */
  readonly linkIds: { readonly ann: number; readonly bob: number };
  /** A legacy client of Ann, with which Bob can exchange signals. */
  readonly annLegacyClient: LegacyClient;
  /** Returns the next signal that Ann receives. */
  nextSignal(): Promise<unknown>;
  /** Returns the frames that Bob receives for a signal of Ann. */
  signalFrames(message: unknown): readonly Frame[];
  /** Runs a mutation as Ann: `runMutation('updateCircle', { circleId, name })` returns the ids in its result. */
  runMutation(mutation: string, input: Readonly<Record<string, unknown>>): Promise<Entity>;
}

export async function createFixture(app: TestGateway): Promise<Fixture> {
  const [ann, bob] = await Promise.all([
    app.createAccount({ firstName: 'Ann', lastName: 'Martin', birthday: '1995-12-12' }),
    app.createAccount({ firstName: 'Bob', lastName: 'Müller' }),
  ]);
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  const linkIds = { ann: await readLinkId(ann, conversation), bob: await readLinkId(bob, conversation) };
  const annLegacyClient = await ann.connectLegacy();
  return {
    app,
    ann,
    bob,
    circle,
    conversation,
    conversationRef: { conversation_id: conversation.legacyId },
    linkIds,
    annLegacyClient,
    nextSignal: () => annLegacyClient.expect('webrtc_forward', TIMEOUT_MS),
    signalFrames(message) {
      const content = { user_id: bob.legacyId, message };
      const payload = { sender_id: ann.legacyId, is_device: false, content };
      return [
        ['webrtc_forward', payload],
        ['webrtc_config', payload],
      ];
    },
    async runMutation(mutation, input) {
      const args = Object.entries(input).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
      const { result } = await ann.graphql.run<{ result: Entity }>(
        `mutation { result: ${mutation}(${args.join(', ')}) { id legacyId } }`,
      );
      return result;
    },
    async [Symbol.asyncDispose]() {
      annLegacyClient.close();
    },
  };
}

async function readLinkId(account: TestAccount, { id }: Entity): Promise<number> {
  const { conversation } = await account.graphql.run<{
    conversation: { participants: { nodes: { legacyId: number; user: { id: string } }[] } };
  }>(
    'query ($id: ID!) { conversation(id: $id) { participants(first: 10) { nodes { legacyId user { id } } } } }',
    { id },
  );
  const participant = conversation.participants.nodes.find(({ user }) => user.id === account.id);
  if (participant === undefined) throw new Error('not a participant');
  return participant.legacyId;
}

/** Creates another token of the account, which can be logged out alone. */
export async function createToken({ graphql }: TestAccount): Promise<string> {
  const { refreshToken } = await graphql.run<{ refreshToken: { token: string } }>(
    'mutation { refreshToken { token } }',
  );
  return refreshToken.token;
}

export async function logout(app: TestGateway, token: string): Promise<void> {
  await using graphql = createGraphqlClient(app.url, token);
  await graphql.run('mutation { logout }');
}

/** Returns the text of the newest message over GraphQL. */
export async function readNewestText({ ann, conversation: { id } }: Fixture): Promise<unknown> {
  const { conversation } = await ann.graphql.run<{
    conversation: { messages: { nodes: { text: string }[] } };
  }>('query ($id: ID!) { conversation(id: $id) { messages(last: 1) { nodes { text } } } }', { id });
  return conversation.messages.nodes[0]?.text;
}
