import { openCallEvents } from '../domain/call-events.ts';
import type { CallEvent as CallDomainEvent } from '../events/event.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireSession } from './context.ts';
import {
  AFTER_DESCRIPTION,
  Event,
  STREAM_DESCRIPTION,
  STREAM_ERRORS_DESCRIPTION,
  eventType,
  startCursor,
  streamType,
} from './event.ts';
import { requireId } from './global-id.ts';
import { CallParticipant } from './refs.ts';
import type { ActorSource, CallParticipantSource } from './refs.ts';

const CallEvent = streamType('CallEvent', 'An event of `callEvents`.');

const CallStarted = eventType('call.started');
const CallParticipantJoined = eventType('call.participant-joined');
const CallParticipantLeft = eventType('call.participant-left');
const CallEnded = eventType('call.ended');

for (const ref of [CallStarted, CallParticipantJoined, CallParticipantLeft, CallEnded]) {
  ref.addInterfaces([Event, CallEvent]);
  builder.objectFields(ref, (t) => ({
    conversationId: t.id({
      description: 'Global id of the conversation.',
      resolve: ({ event }) => encodeGlobalId('Conversation', event.call.conversationId),
    }),
    callId: t.id({
      description: 'Global id of the call.',
      resolve: ({ event }) => encodeGlobalId('Call', event.call.id),
    }),
  }));
}

const LeaveReason = builder.enumType('CallLeaveReason', {
  description: 'The reason why a participant left a call.',
  values: {
    LEFT: { description: 'It left with `leaveCall`, or a Socket.IO client hung up.' },
    DISCONNECTED: { description: 'Its connection closed, and it did not connect again in time.' },
    REMOVED: { description: 'Its access to the conversation ended.' },
  } as const,
});

CallStarted.implement({
  description: 'A call started. `CallParticipantJoined` of its first participant follows.',
});
CallParticipantJoined.implement({
  description: 'An account joined the call on one of its devices.',
  fields: (t) => ({
    participant: t.field({
      type: CallParticipant,
      description: 'The participant.',
      resolve: ({ event }): CallParticipantSource => ({ ...event.joined, account: accountOf(event) }),
    }),
  }),
});
CallParticipantLeft.implement({
  description: 'A participant left the call.',
  fields: (t) => ({
    participant: t.field({
      type: CallParticipant,
      description: 'The participant, which can no longer be queried.',
      resolve: ({ event }): CallParticipantSource => ({ ...event.left, account: accountOf(event) }),
    }),
    reason: t.field({
      type: LeaveReason,
      description: 'The reason.',
      resolve: ({ event }) => event.reason,
    }),
  }),
});
CallEnded.implement({ description: 'The call ended, because its last participant left.' });

/** Returns the account of a participant as it was at the time of the event; null if it was deleted before. */
function accountOf(event: CallDomainEvent): ActorSource | null {
  if ('user' in event) return event.user;
  return 'device' in event ? event.device : null;
}

builder.subscriptionField('callEvents', (t) =>
  t.field({
    type: CallEvent,
    description: `Events of the calls in a conversation: who joins and leaves. ${STREAM_DESCRIPTION} When your access to the conversation ends, the stream ends. ${STREAM_ERRORS_DESCRIPTION}`,
    args: {
      conversationId: t.arg.id({
        required: true,
        description: 'Global id of the conversation. NOT_FOUND unless you take part in it.',
      }),
      after: t.arg({ type: 'Cursor', description: AFTER_DESCRIPTION }),
      participantId: t.arg.id({
        description:
          'Global id of your participant, which the stream keeps in the call while it is open, also after a reconnect on another node. Without effect once it has left.',
      }),
    },
    subscribe: (_root, args, context) =>
      openCallEvents(
        context.deps,
        requireSession(context),
        {
          conversationId: requireId('Conversation', 'conversationId', args.conversationId),
          after: startCursor(args, context),
          participantId:
            args.participantId == null
              ? null
              : requireId('CallParticipant', 'participantId', args.participantId),
        },
        context,
      ),
    resolve: (item) => item,
  }),
);
