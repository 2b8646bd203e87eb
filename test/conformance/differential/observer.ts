import type { Entity, TestAccount, TestSubscription } from '../../../src/testing/index.ts';
import type { Accounts } from './accounts.ts';

/** The observed events per stream, and the final state. Ids are numbered in order of appearance, timestamps omitted. */
export interface Observations {
  readonly conversation: ObservedEvent[];
  readonly circle: ObservedEvent[];
  readonly bobInbox: ObservedEvent[];
  readonly yanInbox: ObservedEvent[];
  readonly zoeInbox: ObservedEvent[];
  readonly typing: ObservedEvent[];
  readonly annSignals: ObservedEvent[];
  readonly bobSignals: ObservedEvent[];
  /** The conversation after the last action. */
  finalState: unknown;
}

type ObservedEvent = Readonly<Record<string, unknown>>;
export type StreamName = Exclude<keyof Observations, 'finalState'>;

export interface Observer extends AsyncDisposable {
  observeConversation(conversation: Entity): Promise<void>;
  /** Runs an action, and waits until the stream has sent its event. */
  expectEvent(stream: StreamName, action: () => Promise<unknown>): Promise<void>;
  /** Returns all observed events, those that no step awaited included. */
  readObservations(conversation: Entity): Promise<Observations>;
}

const ACTOR_FIELDS = '__typename ... on User { email } ... on Device { id name }';
const TYPING = `subscription ($id: ID!) { typing(conversationId: $id) { isTyping actor { ${ACTOR_FIELDS} } } }`;
const SIGNALS = `subscription { signals { content sender { ${ACTOR_FIELDS} } } }`;
const PROBE = 'ready';

const FINAL_STATE = /* GraphQL */ `
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

export async function openObserver({ ann, bob, eve, yan, zoe }: Accounts, circle: Entity): Promise<Observer> {
  const stack = new AsyncDisposableStack();
  const subscriptions = new Map<StreamName, TestSubscription>();
  const normalize = createNormalizer();
  const observations: Observations = {
    conversation: [],
    circle: [],
    bobInbox: [],
    yanInbox: [],
    zoeInbox: [],
    typing: [],
    annSignals: [],
    bobSignals: [],
    finalState: undefined,
  };
  const addSubscription = (stream: StreamName, subscription: TestSubscription) =>
    void subscriptions.set(stream, stack.use(subscription));
  addSubscription('circle', await eve.subscribeToCircle(circle.id));
  addSubscription('bobInbox', await bob.subscribeToInbox());
  addSubscription('yanInbox', await yan.subscribeToInbox());
  addSubscription('zoeInbox', await zoe.subscribeToInbox());
  addSubscription('annSignals', await subscribeToSignals(ann));
  addSubscription('bobSignals', await subscribeToSignals(bob));

  return {
    async observeConversation({ id }) {
      addSubscription('conversation', await eve.subscribeToConversation(id));
      addSubscription('typing', await subscribeToTyping(eve, id));
    },
    async expectEvent(stream, action) {
      await action();
      const event = await subscriptions.get(stream)?.next((candidate) => !isProbe(candidate), 15_000);
      observations[stream].push(normalize(event) as ObservedEvent);
    },
    async readObservations({ id }) {
      observations.finalState = normalize(await eve.graphql.run(FINAL_STATE, { id }));
      for (const [stream, subscription] of subscriptions) {
        const remainingEvents = subscription.pending().filter((event) => !isProbe(event));
        observations[stream].push(...(normalize(remainingEvents) as ObservedEvent[]));
      }
      return observations;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Subscribes to signals. Ephemeral streams have no live marker, so it sends probes until one arrives. */
async function subscribeToSignals({ graphql, id }: TestAccount): Promise<TestSubscription> {
  const subscription = graphql.subscribe(SIGNALS);
  const mutation =
    'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';
  const variables = { to: { userId: id }, content: PROBE };
  while (subscription.pending().length === 0) await graphql.send(mutation, variables);
  return subscription;
}

/** Subscribes to typing, and sends probes until one arrives. */
async function subscribeToTyping({ graphql }: TestAccount, id: string): Promise<TestSubscription> {
  const subscription = graphql.subscribe(TYPING, { id });
  const mutation = 'mutation ($id: ID!) { setTyping(conversationId: $id, isTyping: true) }';
  while (subscription.pending().length === 0) await graphql.run(mutation, { id });
  return subscription;
}

const isProbe = ({ content, actor }: ObservedEvent): boolean =>
  content === PROBE ||
  (typeof actor === 'object' && actor !== null && 'email' in actor && actor.email === 'eve@example.com');

/** Creates a function that replaces the values that differ from run to run. */
function createNormalizer(): (value: unknown) => unknown {
  const numberedIds = new Map<string, string>();
  const numberId = (id: string): string => {
    const [type = ''] = id.split(':');
    const count = [...numberedIds.keys()].filter((other) => other.startsWith(`${type}:`)).length;
    const numberedId = numberedIds.get(id) ?? `${type}:#${count + 1}`;
    numberedIds.set(id, numberedId);
    return numberedId;
  };
  const replacer = (key: string, value: unknown): unknown => {
    if (key === 'cursor' || key === 'at' || key === 'legacyId') return undefined;
    return typeof value === 'string' && /^[A-Z]\w+:\d+$/.test(value) ? numberId(value) : value;
  };
  return (value) => JSON.parse(JSON.stringify(value, replacer)) as unknown;
}
