import type { Entity, TestAccount, TestSubscription } from '../../../src/testing/index.ts';
import type { Cast } from './actors.ts';

/** The observed events per stream; ids are numbered in order of appearance, and timestamps are omitted. */
export interface Log {
  readonly conversation: Item[];
  readonly circle: Item[];
  readonly bob: Item[];
  readonly yan: Item[];
  readonly zoe: Item[];
  readonly typing: Item[];
  readonly annsSignals: Item[];
  readonly bobsSignals: Item[];
  /** What there is at the end. */
  end: unknown;
}

type Item = Readonly<Record<string, unknown>>;
type Stream = Exclude<keyof Log, 'end'>;

export interface Watch extends AsyncDisposable {
  follow(conversation: Entity): Promise<void>;
  /** Runs an action, and waits until the stream has sent its event. */
  sees(stream: Stream, deed: () => Promise<unknown>): Promise<void>;
  /** Returns all observed events, those that no step awaited included. */
  end(conversation: Entity): Promise<Log>;
}

const WHO = 'actor { __typename ... on User { email } ... on Device { id name } }';
const TYPING = `subscription ($id: ID!) { typing(conversationId: $id) { isTyping ${WHO} } }`;
const SIGNALS = `subscription { signals { content ${WHO.replace('actor', 'sender')} } }`;
const READY = 'ready';

const END = /* GraphQL */ `
  query ($id: ID!) {
    conversation(id: $id) {
      name
      deviceAccess
      circle {
        name
        device {
          name
        }
        members(first: 10) {
          nodes {
            role
            user {
              email
            }
          }
        }
      }
      participants(first: 10) {
        nodes {
          role
          user {
            email
          }
        }
      }
      messages(last: 10) {
        nodes {
          id
          text
          status
          author {
            __typename
            ... on User {
              email
            }
            ... on Device {
              name
            }
          }
          media {
            id
            identifier
            filename
            extension
            uploaded
          }
        }
      }
    }
  }
`;

export async function openWatch({ ann, bob, eve, yan, zoe }: Cast, circle: Entity): Promise<Watch> {
  const stack = new AsyncDisposableStack();
  const streams = new Map<Stream, TestSubscription>();
  const steady = createSteady();
  const log: Log = {
    conversation: [],
    circle: [],
    bob: [],
    yan: [],
    zoe: [],
    typing: [],
    annsSignals: [],
    bobsSignals: [],
    end: undefined,
  };
  const add = (name: Stream, subscription: TestSubscription) =>
    void streams.set(name, stack.use(subscription));
  add('circle', await eve.subscribeToCircle(circle.id));
  for (const [name, account] of [
    ['bob', bob],
    ['yan', yan],
    ['zoe', zoe],
  ] as const)
    add(name, await account.subscribeToInbox());
  add('annsSignals', await openSignals(ann));
  add('bobsSignals', await openSignals(bob));

  return {
    async follow({ id }) {
      add('conversation', await eve.subscribeToConversation(id));
      add('typing', await openTyping(eve, id));
    },
    async sees(name, deed) {
      await deed();
      const item = await streams.get(name)?.next((candidate) => !isOwn(candidate), 15_000);
      log[name].push(steady(item) as Item);
    },
    async end({ id }) {
      log.end = steady(await eve.graphql.run(END, { id }));
      for (const [name, stream] of streams)
        log[name].push(...(steady(stream.pending().filter((item) => !isOwn(item))) as Item[]));
      return log;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Ephemeral streams have no live marker: sends probes until one arrives. */
async function openSignals(account: TestAccount): Promise<TestSubscription> {
  const stream = account.graphql.subscribe(SIGNALS);
  const send = 'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';
  const variables = { to: { userId: account.id }, content: READY };
  while (stream.pending().length === 0) await account.graphql.send(send, variables);
  return stream;
}

async function openTyping({ graphql }: TestAccount, id: string): Promise<TestSubscription> {
  const stream = graphql.subscribe(TYPING, { id });
  const send = 'mutation ($id: ID!) { setTyping(conversationId: $id, isTyping: true) }';
  while (stream.pending().length === 0) await graphql.run(send, { id });
  return stream;
}

/** Whether the item is a probe. */
const isOwn = ({ content, actor }: Item): boolean =>
  content === READY ||
  (typeof actor === 'object' && actor !== null && 'email' in actor && actor.email === 'eve@example.com');

/** Makes what differs from run to run the same. */
function createSteady(): (value: unknown) => unknown {
  const seen = new Map<string, string>();
  const number = (id: string): string => {
    const [type = ''] = id.split(':');
    const known = [...seen.keys()].filter((other) => other.startsWith(`${type}:`)).length;
    seen.set(id, seen.get(id) ?? `${type}:#${known + 1}`);
    return seen.get(id) ?? id;
  };
  const steady = (key: string, value: unknown): unknown => {
    if (key === 'cursor' || key === 'at' || key === 'legacyId') return undefined;
    return typeof value === 'string' && /^[A-Z]\w+:\d+$/.test(value) ? number(value) : value;
  };
  return (value) => JSON.parse(JSON.stringify(value, steady)) as unknown;
}
