import * as calls from '../domain/call-participation.ts';
import { callTopic } from '../events/event.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireActor } from './context.ts';
import type { Context } from './context.ts';
import { requireFound, requireId } from './global-id.ts';
import { Actor, Call, CallParticipant } from './refs.ts';

Call.implement({
  description:
    'A call in progress. A conversation has at most one. It ends when its last participant leaves, and its id is then unknown.',
  fields: (t) => ({
    conversationId: t.id({
      description: 'Global id of the conversation.',
      resolve: ({ conversationId }) => encodeGlobalId('Conversation', conversationId),
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'Start time.' }),
    participants: t.field({
      type: [CallParticipant],
      description:
        'The participants, in order of joining: at most 50. An account takes part once for each device.',
      resolve: async ({ id }, _args, { loaders }) => (await loaders.callParticipantsOf(id)) ?? [],
    }),
    eventCursor: t.field({
      type: 'Cursor',
      description:
        'Cursor for `callEvents`: subscribing after it delivers every event that this response does not reflect yet.',
      resolve: async ({ conversationId }, _args, { loaders }) =>
        requireFound('Call', await loaders.eventCursor(callTopic(conversationId))),
    }),
  }),
});

CallParticipant.implement({
  description: 'An account that takes part in a call, on one of its devices.',
  fields: (t) => ({
    callId: t.id({
      description: 'Global id of the call.',
      resolve: ({ callId }) => encodeGlobalId('Call', callId),
    }),
    actor: t.field({
      type: Actor,
      nullable: true,
      description: 'The account; null if it was deleted.',
      resolve: ({ account, actor }, _args, { loaders }) => {
        if (account !== undefined) return account;
        return actor.kind === 'user' ? loaders.user(actor.id) : loaders.device(actor.id);
      },
    }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime', description: 'Time of joining.' }),
  }),
});

const Participation = builder.objectRef<calls.Joined>('CallParticipation').implement({
  description: 'A participant that has joined, with its call.',
  fields: (t) => ({
    call: t.expose('call', { type: Call, description: 'The call.' }),
    participant: t.expose('participant', {
      type: CallParticipant,
      description: 'You, on this device. Pass its id to `callEvents` and `leaveCall`.',
    }),
  }),
});

const KEEP_DESCRIPTION =
  'You stay in the call while the WebSocket of this mutation is open, or a `callEvents` stream with your `participantId`, which must open within 10 s of a mutation over HTTP. 8 s after that has closed, you have left, unless another such stream has opened; a WebSocket whose client does not reply to pings for 12 s closes, and you have left then.';

const KEY_DESCRIPTION =
  'A key of your choice for this device, 1 to 200 characters. Repeating the mutation with the same key returns the same participant while it is in the call, so it is safe to retry.';

const carrierOf = ({ connection, signal }: Context) => connection && { connection, signal };

builder.mutationFields((t) => ({
  startCall: t.field({
    type: Participation,
    description: `Starts a call in a conversation, or joins the one in progress. ${KEEP_DESCRIPTION} Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, LIMIT_EXCEEDED, RATE_LIMITED.`,
    args: {
      conversationId: t.arg.id({
        required: true,
        description: 'Global id of the conversation. NOT_FOUND unless you take part in it.',
      }),
      idempotencyKey: t.arg.string({ description: KEY_DESCRIPTION }),
    },
    resolve: (_root, { conversationId, idempotencyKey }, context) =>
      calls.startCall(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', conversationId),
        idempotencyKey,
        carrier: carrierOf(context),
      }),
  }),
  joinCall: t.field({
    type: Participation,
    description: `Joins a call. ${KEEP_DESCRIPTION} Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, LIMIT_EXCEEDED, RATE_LIMITED.`,
    args: {
      callId: t.arg.id({
        required: true,
        description:
          'Global id of the call. NOT_FOUND once it has ended, and unless you take part in its conversation.',
      }),
      idempotencyKey: t.arg.string({ description: KEY_DESCRIPTION }),
    },
    resolve: (_root, { callId, idempotencyKey }, context) =>
      calls.joinCall(context.deps, requireActor(context), {
        callId: requireId('Call', 'callId', callId),
        idempotencyKey,
        carrier: carrierOf(context),
      }),
  }),
  leaveCall: t.field({
    type: Call,
    description:
      'Leaves a call. The last one to leave ends it. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, RATE_LIMITED.',
    args: {
      participantId: t.arg.id({
        required: true,
        description: 'Global id of your participant. NOT_FOUND once it has left.',
      }),
    },
    resolve: (_root, { participantId }, context) =>
      calls.leaveCall(
        context.deps,
        requireActor(context),
        requireId('CallParticipant', 'participantId', participantId),
      ),
  }),
}));

builder.queryField('calls', (t) =>
  t.field({
    type: [Call],
    description:
      'The calls in progress in your conversations, oldest first. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({
        description:
          'Global id of a conversation: returns only its call. NOT_FOUND unless you take part in it.',
      }),
    },
    resolve: (_root, { conversationId }, context) =>
      calls.findCalls(
        context.deps,
        requireActor(context),
        conversationId == null ? null : requireId('Conversation', 'conversationId', conversationId),
      ),
  }),
);
