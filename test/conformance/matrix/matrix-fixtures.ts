import { createCircle, createConversation, createGraphqlClient } from '../../../src/testing/index.ts';
import type {
  GraphqlClient,
  LegacyClient,
  Entity,
  TestAccount,
  TestGateway,
} from '../../../src/testing/index.ts';

const PATIENCE_MS = 15_000;

/** Accounts and data private to one cell of the matrix: Ann uses GraphQL, Bob is the client under test. */
export interface World extends AsyncDisposable {
  readonly app: TestGateway;
  readonly ann: TestAccount;
  readonly bob: TestAccount;
  readonly circle: Entity;
  readonly conversation: Entity;
  readonly talk: { readonly conversation_id: number };
  /** The numbers under which they take part: what apps know their own messages by. */
  readonly links: { readonly ann: number; readonly bob: number };
  /** Ann's phone, with which Bob can exchange signals. */
  readonly phone: LegacyClient;
  /** Returns the next frame about Bob that Ann receives. */
  signal(): Promise<unknown>;
  /** The frames that answer a signal of Ann's phone to Bob. */
  forwarded(message: unknown): Frames;
  /** Runs a mutation as Ann: `act('updateCircle', { circleId, name })` returns the id in its result. */
  act(mutation: string, input: Readonly<Record<string, unknown>>): Promise<Entity>;
}

type Frames = readonly (readonly [channel: string, payload: unknown])[];

export async function createWorld(app: TestGateway): Promise<World> {
  const [ann, bob] = await Promise.all([
    app.createAccount({ firstName: 'Ann', lastName: 'Martin', birthday: '1995-12-12' }),
    app.createAccount({ firstName: 'Bob', lastName: 'Müller' }),
  ]);
  const circle = await createCircle(ann, bob);
  const conversation = await createConversation(ann, circle, bob);
  const links = { ann: await linkOf(ann, conversation), bob: await linkOf(bob, conversation) };
  const phone = await ann.connectLegacy();
  return {
    app,
    ann,
    bob,
    circle,
    conversation,
    talk: { conversation_id: conversation.legacyId },
    links,
    phone,
    signal: () => phone.expect('webrtc_forward', PATIENCE_MS),
    forwarded(message) {
      const content = { user_id: bob.legacyId, message };
      const payload = { sender_id: ann.legacyId, is_device: false, content };
      return [
        ['webrtc_forward', payload],
        ['webrtc_config', payload],
      ];
    },
    act: (mutation, input) => act(ann.graphql, mutation, input),
    async [Symbol.asyncDispose]() {
      phone.close();
    },
  };
}

async function linkOf(account: TestAccount, { id }: Entity): Promise<number> {
  const { conversation } = await account.graphql.run<{
    conversation: { participants: { nodes: { legacyId: number; user: { id: string } }[] } };
  }>(
    'query ($id: ID!) { conversation(id: $id) { participants(first: 10) { nodes { legacyId user { id } } } } }',
    { id },
  );
  const own = conversation.participants.nodes.find(({ user }) => user.id === account.id);
  if (own === undefined) throw new Error('not a participant');
  return own.legacyId;
}

/** Everything here that is changed has both of its names. */
async function act(
  graphql: GraphqlClient,
  mutation: string,
  input: Readonly<Record<string, unknown>>,
): Promise<Entity> {
  const given = Object.entries(input).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  const data = await graphql.run<{ changed: Entity }>(
    `mutation { changed: ${mutation}(${given.join(', ')}) { id legacyId } }`,
  );
  return data.changed;
}

/** Another token of the same account, whose session can end without the others. */
export async function anotherToken({ graphql }: TestAccount): Promise<string> {
  const { refreshToken } = await graphql.run<{ refreshToken: { token: string } }>(
    'mutation { refreshToken { token } }',
  );
  return refreshToken.token;
}

export async function logout(app: TestGateway, token: string): Promise<void> {
  await using graphql = createGraphqlClient(app.url, token);
  await graphql.run('mutation { logout }');
}

/** Returns the newest message as GraphQL has it. */
export async function newestText({ ann, conversation }: World): Promise<unknown> {
  const { conversation: found } = await ann.graphql.run<{
    conversation: { messages: { nodes: { text: string }[] } };
  }>('query ($id: ID!) { conversation(id: $id) { messages(last: 1) { nodes { text } } } }', {
    id: conversation.id,
  });
  return found.messages.nodes[0]?.text;
}
