import { openInboxEvents } from '../domain/accounts.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireSession } from './context.ts';
import { AFTER_DESCRIPTION, Event, STREAM_DESCRIPTION, eventType, startCursor, streamType } from './event.ts';
import { CircleInvitation, Conversation } from './refs.ts';

const InboxEvent = streamType('InboxEvent', 'An event of `inboxEvents`.');

const CircleInvited = eventType('circle.invited');
const ConversationInvited = eventType('conversation.invited');
const Promoted = eventType('conversation.promoted');
const ReadStateChanged = eventType('read-state.changed');

CircleInvited.implement({
  description:
    'You were invited to a circle. Reply with `acceptCircleInvitation` or `declineCircleInvitation`.',
  interfaces: [Event, InboxEvent],
  fields: (t) => ({
    circleId: t.id({
      description: 'Global id of the circle.',
      resolve: ({ event }) => encodeGlobalId('Circle', event.circle.id),
    }),
    invitation: t.field({
      type: CircleInvitation,
      description: 'The invitation.',
      resolve: ({ event }) => ({ ...event.invitation, circle: event.circle }),
    }),
  }),
});

ConversationInvited.implement({ description: 'You were added to a conversation.' });
Promoted.implement({ description: 'You became the ADMIN of a conversation.' });
ReadStateChanged.implement({
  description:
    'You have read a conversation further, on this device or another: published by `markRead`, at most once in 100 ms for each conversation.',
  fields: (t) => ({
    messageId: t.id({
      description: 'Global id of the message up to which you have read. It may have been deleted since.',
      resolve: ({ event }) => encodeGlobalId('Message', event.messageId),
    }),
  }),
});
for (const ref of [ConversationInvited, Promoted, ReadStateChanged]) {
  ref.addInterfaces([Event, InboxEvent]);
  builder.objectFields(ref, (t) => ({
    conversationId: t.id({
      description: 'Global id of the conversation.',
      resolve: ({ event }) => encodeGlobalId('Conversation', event.conversation.id),
    }),
    conversation: t.field({
      type: Conversation,
      description: 'The conversation at the time of the event.',
      resolve: ({ event }) => event.conversation,
    }),
  }));
}

builder.subscriptionField('inboxEvents', (t) =>
  t.field({
    type: InboxEvent,
    description: `Events of your account: invitations to circles, additions to conversations, promotions, and how far you have read. ${STREAM_DESCRIPTION} To start without a gap, subscribe first and query afterwards. Errors: UNAUTHENTICATED, CURSOR_INVALID, CURSOR_EXPIRED.`,
    args: { after: t.arg({ type: 'Cursor', description: AFTER_DESCRIPTION }) },
    subscribe: (_root, args, context) =>
      openInboxEvents(context.deps, requireSession(context), { after: startCursor(args, context) }, context),
    resolve: (item) => item,
  }),
);
