import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { GraphqlClient, Entity, TestAccount, TestSubscription } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { CIRCLE_EVENTS, CONVERSATION_EVENTS, SNAPSHOT } from './documents.ts';
import { applyToCircle, applyToConversation } from './reducer.ts';
import type { CircleState, ConversationState, DurableEvent } from './reducer.ts';

// An end-to-end consistency test: a client that applies events to a snapshot must reach the state that the server returns
// later. The server is the oracle for the client's reducer, while many writers use both APIs concurrently.

const WRITERS = 32;
/** Writes of each writer, limited so that all messages fit into one page. */
const WRITES_PER_WRITER = 7;
const SNAPSHOT_COUNT = 12;

interface MemberConnection {
  readonly nodes: readonly { readonly role: string; readonly user: { readonly email: string } }[];
}

interface Snapshot {
  readonly circle: {
    eventCursor: string;
    name: string;
    members: MemberConnection;
    device: { name: string } | null;
  };
  readonly conversation: {
    eventCursor: string;
    name: string;
    deviceAccess: boolean;
    participants: MemberConnection;
    messages: { nodes: ConversationState['messages'] };
  };
}

interface State {
  readonly circle: CircleState;
  readonly conversation: ConversationState;
  readonly circleCursor: string;
  readonly conversationCursor: string;
}

const readMembers = ({ nodes }: MemberConnection) =>
  nodes.map(({ role, user }) => ({ email: user.email, role }));

async function readState(reader: GraphqlClient, circle: Entity, conversation: Entity): Promise<State> {
  const variables = { circle: circle.id, conversation: conversation.id };
  const snapshot = await reader.run<Snapshot>(SNAPSHOT, variables);
  const { participants, messages, eventCursor, name, deviceAccess } = snapshot.conversation;
  return {
    circle: {
      name: snapshot.circle.name,
      members: readMembers(snapshot.circle.members),
      device: snapshot.circle.device?.name ?? null,
    },
    conversation: { name, deviceAccess, participants: readMembers(participants), messages: messages.nodes },
    circleCursor: snapshot.circle.eventCursor,
    conversationCursor: eventCursor,
  };
}

/** Applies the events between two cursors to a state. */
async function applyEvents<Value>(
  events: TestSubscription<DurableEvent>,
  initial: Value,
  [start, end]: readonly [string, string],
  apply: (state: Value, event: DurableEvent) => Value,
): Promise<Value> {
  let state = initial;
  for (let cursor = start; cursor !== end;) {
    const event = await events.next();
    state = apply(state, event);
    cursor = event.cursor;
  }
  return state;
}

/** Limits the messages to those that fit into one page of a snapshot. */
const limitToPage = (state: ConversationState): ConversationState => ({
  ...state,
  messages: state.messages.slice(-100),
});

/** Runs the writes of one writer through both APIs. Some are rejected, on purpose. */
async function runWriter(fixture: Fixture, index: number): Promise<void> {
  const { ann, guests, circle, conversation } = fixture;
  const guest = guests[index % guests.length] ?? ann;
  const actor = index % 3 === 0 ? ann : guest;
  const ids = { circle: circle.id, id: conversation.id };
  const legacyClient = index % 4 === 0 ? await actor.connectLegacy() : undefined;
  for (let round = 0; round < WRITES_PER_WRITER; round += 1) {
    const kind = (index + round) % 8;
    if (legacyClient !== undefined && kind < 3) {
      legacyClient.emit('message', {
        conversation_id: conversation.legacyId,
        text_message: `legacy ${index}.${round}`,
      });
      await legacyClient.emitWithAck('leave_circle', { circle_id: 0 });
    } else if (kind < 3) {
      await actor.graphql.send(
        'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }',
        { id: ids.id, text: `${index}.${round}` },
      );
    } else if (kind === 3) {
      await ann.graphql.send(
        'mutation ($id: ID!, $name: String!) { updateConversation(conversationId: $id, name: $name) { id } }',
        {
          id: ids.id,
          name: `conversation ${index}.${round}`,
        },
      );
    } else if (kind === 4) {
      await ann.graphql.send(
        'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }',
        {
          id: ids.circle,
          name: `circle ${index}.${round}`,
        },
      );
    } else if (kind === 5) {
      await guest.graphql.send('mutation ($id: ID!) { leaveConversation(conversationId: $id) { id } }', {
        id: ids.id,
      });
      await ann.graphql.send(
        'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }',
        {
          id: ids.id,
          email: guest.login,
        },
      );
    } else if (kind === 6) {
      await ann.graphql.send(
        'mutation ($id: ID!, $allowed: Boolean!) { setDeviceAccess(conversationId: $id, allowed: $allowed) { id } }',
        {
          id: ids.id,
          allowed: round % 2 === 0,
        },
      );
    } else {
      await editNewestMessages(actor, conversation, round);
    }
  }
}

/** Edits or deletes the newest messages of the conversation. */
async function editNewestMessages(actor: TestAccount, conversation: Entity, round: number): Promise<void> {
  const { data } = await actor.graphql.send<{
    conversation: { messages: { nodes: { id: string }[] } } | null;
  }>('query ($id: ID!) { conversation(id: $id) { messages(last: 5) { nodes { id } } } }', {
    id: conversation.id,
  });
  for (const { id } of data?.conversation?.messages.nodes ?? []) {
    const query =
      round % 2 === 0
        ? 'mutation ($id: ID!) { updateMessage(messageId: $id, text: "edited") { id } }'
        : 'mutation ($id: ID!) { deleteMessage(messageId: $id) { id } }';
    await actor.graphql.send(query, { id });
  }
}

async function createFixture() {
  const app = await startTestApp();
  const [reader, ann] = [await app.createAccount(), await app.createAccount()];
  const guests = [await app.createAccount(), await app.createAccount(), await app.createAccount()];
  const circle = await createCircle(ann, reader, ...guests);
  const conversation = await createConversation(ann, circle, reader, ...guests);
  return { app, reader, ann, guests, circle, conversation };
}

type Fixture = Awaited<ReturnType<typeof createFixture>>;

test('every snapshot plus the events after its cursor equals the last snapshot, under concurrent writes through both APIs', async () => {
  const fixture = await createFixture();
  await using _app = fixture.app;
  const { ann, reader, circle, conversation } = fixture;
  const writers = Promise.all(Array.from({ length: WRITERS }, (_, index) => runWriter(fixture, index)));
  const snapshots: State[] = [];
  while (snapshots.length < SNAPSHOT_COUNT)
    snapshots.push(await readState(reader.graphql, circle, conversation));
  await writers;
  // Its event is the last position of the log, and is delivered: the position of a deleted message is not.
  await ann.graphql.run(
    'mutation ($id: ID!) { sendMessage(conversationId: $id, text: "the last") { message { id } } }',
    { id: conversation.id },
  );
  const last = await readState(reader.graphql, circle, conversation);

  for (const [index, current] of snapshots.entries()) {
    await using conversationEvents = reader.graphql.subscribe<DurableEvent>(CONVERSATION_EVENTS, {
      id: conversation.id,
      after: current.conversationCursor,
    });
    const cursors = [current.conversationCursor, last.conversationCursor] as const;
    // Not compared with the next snapshot: replayed events do not show messages that were deleted since, nor former texts.
    const state = await applyEvents(conversationEvents, current.conversation, cursors, applyToConversation);
    expect(limitToPage(state)).toEqual(limitToPage(last.conversation));
    const next = snapshots[index + 1] ?? last;
    await using circleEvents = reader.graphql.subscribe<DurableEvent>(CIRCLE_EVENTS, {
      id: circle.id,
      after: current.circleCursor,
    });
    const circleCursors = [current.circleCursor, next.circleCursor] as const;
    expect(await applyEvents(circleEvents, current.circle, circleCursors, applyToCircle)).toEqual(
      next.circle,
    );
  }
}, 60_000);
