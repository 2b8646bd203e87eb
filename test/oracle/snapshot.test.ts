import { expect, test } from 'vitest';
import { createCircle, createConversation } from '../../src/testing/index.ts';
import type { GraphqlClient, Entity, TestAccount, TestSubscription } from '../../src/testing/index.ts';
import { startTestApp } from '../harness/app.ts';
import { CIRCLE_EVENTS, CONVERSATION_EVENTS, SNAPSHOT } from './documents.ts';
import { applyToCircle, applyToConversation } from './reducer.ts';
import type { CircleState, ConversationState, EventShape } from './reducer.ts';

const WRITERS = 32;
/** Limited so that all messages fit into one page. */
const WRITES = 7;
const SNAPSHOTS = 12;

interface Roles {
  readonly nodes: readonly { readonly role: string; readonly user: { readonly email: string } }[];
}

interface Snapshot {
  readonly circle: { eventCursor: string; name: string; members: Roles; device: { name: string } | null };
  readonly conversation: {
    eventCursor: string;
    name: string;
    deviceAccess: boolean;
    participants: Roles;
    messages: { nodes: ConversationState['messages'] };
  };
}

interface State {
  readonly circle: CircleState;
  readonly conversation: ConversationState;
  readonly circleCursor: string;
  readonly conversationCursor: string;
}

const rolesOf = ({ nodes }: Roles) => nodes.map(({ role, user }) => ({ email: user.email, role }));

async function read(reader: GraphqlClient, circle: Entity, conversation: Entity): Promise<State> {
  const variables = { circle: circle.id, conversation: conversation.id };
  const snapshot = await reader.run<Snapshot>(SNAPSHOT, variables);
  const { participants, messages, eventCursor, name, deviceAccess } = snapshot.conversation;
  return {
    circle: {
      name: snapshot.circle.name,
      members: rolesOf(snapshot.circle.members),
      device: snapshot.circle.device?.name ?? null,
    },
    conversation: { name, deviceAccess, participants: rolesOf(participants), messages: messages.nodes },
    circleCursor: snapshot.circle.eventCursor,
    conversationCursor: eventCursor,
  };
}

/** Applies events until the cursor that ends them; a page shows the newest hundred messages. */
async function follow<Kept>(
  events: TestSubscription<EventShape>,
  from: Kept,
  [after, until]: readonly [string, string],
  apply: (state: Kept, event: EventShape) => Kept,
): Promise<Kept> {
  let state = from;
  for (let reached = after; reached !== until;) {
    const event = await events.next();
    state = apply(state, event);
    reached = event.cursor;
  }
  return state;
}

const newest = (state: ConversationState): ConversationState => ({
  ...state,
  messages: state.messages.slice(-100),
});

/** Runs the writes of one writer through both APIs. Some are rejected, on purpose. */
async function write(app: Awaited<ReturnType<typeof world>>, index: number): Promise<void> {
  const { ann, guests, circle, conversation } = app;
  const guest = guests[index % guests.length] ?? ann;
  const actor = index % 3 === 0 ? ann : guest;
  const ids = { circle: circle.id, id: conversation.id };
  const attempt = (account: TestAccount, query: string, variables: Record<string, unknown>) =>
    account.graphql.send(query, variables);
  const phone = index % 4 === 0 ? await actor.connectLegacy() : undefined;
  for (let round = 0; round < WRITES; round += 1) {
    const kind = (index + round) % 8;
    if (phone !== undefined && kind < 3) {
      phone.emit('message', {
        conversation_id: conversation.legacyId,
        text_message: `phone ${index}.${round}`,
      });
      await phone.emitWithAck('leave_circle', { circle_id: 0 });
    } else if (kind < 3) {
      await attempt(
        actor,
        'mutation ($id: ID!, $text: String!) { sendMessage(conversationId: $id, text: $text) { message { id } } }',
        { id: ids.id, text: `${index}.${round}` },
      );
    } else if (kind === 3) {
      await attempt(
        ann,
        'mutation ($id: ID!, $name: String!) { updateConversation(conversationId: $id, name: $name) { id } }',
        {
          id: ids.id,
          name: `talk ${index}.${round}`,
        },
      );
    } else if (kind === 4) {
      await attempt(
        ann,
        'mutation ($id: ID!, $name: String!) { updateCircle(circleId: $id, name: $name) { id } }',
        {
          id: ids.circle,
          name: `circle ${index}.${round}`,
        },
      );
    } else if (kind === 5) {
      await attempt(guest, 'mutation ($id: ID!) { leaveConversation(conversationId: $id) { id } }', {
        id: ids.id,
      });
      await attempt(
        ann,
        'mutation ($id: ID!, $email: String!) { inviteToConversation(conversationId: $id, email: $email) { id } }',
        {
          id: ids.id,
          email: guest.login,
        },
      );
    } else if (kind === 6) {
      await attempt(
        ann,
        'mutation ($id: ID!, $allowed: Boolean!) { setDeviceAccess(conversationId: $id, allowed: $allowed) { id } }',
        {
          id: ids.id,
          allowed: round % 2 === 0,
        },
      );
    } else {
      await editLast(actor, conversation, round);
    }
  }
}

async function editLast(actor: TestAccount, conversation: Entity, round: number): Promise<void> {
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

async function world() {
  const app = await startTestApp();
  const [reader, ann] = [await app.createAccount(), await app.createAccount()];
  const guests = [await app.createAccount(), await app.createAccount(), await app.createAccount()];
  const circle = await createCircle(ann, reader, ...guests);
  const conversation = await createConversation(ann, circle, reader, ...guests);
  return { app, reader, ann, guests, circle, conversation };
}

test('a snapshot plus the events after its cursor equals a later snapshot, under concurrent writes through both APIs', async () => {
  const all = await world();
  await using _app = all.app;
  const { reader, circle, conversation } = all;
  const writing = Promise.all(Array.from({ length: WRITERS }, (_, index) => write(all, index)));
  const snapshots: State[] = [];
  while (snapshots.length < SNAPSHOTS) snapshots.push(await read(reader.graphql, circle, conversation));
  await writing;
  snapshots.push(await read(reader.graphql, circle, conversation));

  for (const [index, later] of snapshots.slice(1).entries()) {
    const earlier = snapshots[index] ?? later;
    await using told = reader.graphql.subscribe<EventShape>(CONVERSATION_EVENTS, {
      id: conversation.id,
      after: earlier.conversationCursor,
    });
    const cursors = [earlier.conversationCursor, later.conversationCursor] as const;
    const kept = await follow(told, earlier.conversation, cursors, applyToConversation);
    expect(newest(kept)).toEqual(newest(later.conversation));
    await using inCircle = reader.graphql.subscribe<EventShape>(CIRCLE_EVENTS, {
      id: circle.id,
      after: earlier.circleCursor,
    });
    const circleCursors = [earlier.circleCursor, later.circleCursor] as const;
    expect(await follow(inCircle, earlier.circle, circleCursors, applyToCircle)).toEqual(later.circle);
  }
}, 60_000);
