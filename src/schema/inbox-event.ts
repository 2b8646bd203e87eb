import { openInboxEvents } from '../domain/accounts.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';
import { requireSession } from './context.ts';
import { AFTER, Event, STREAM, eventType, startOf, streamType } from './event.ts';
import { CircleInvitation, Conversation } from './refs.ts';

const InboxEvent = streamType(
  'InboxEvent',
  'An event of `inboxEvents`: only its types implement this interface.',
);

const CircleInvited = eventType('circle.invited');
const ConversationInvited = eventType('conversation.invited');
const Promoted = eventType('conversation.promoted');

CircleInvited.implement({
  description: 'You were invited to a circle: `acceptCircleInvitation` or `declineCircleInvitation`.',
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

ConversationInvited.implement({ description: 'You take part in a conversation from now on.' });
Promoted.implement({ description: 'You are the ADMIN of a conversation from now on.' });
for (const ref of [ConversationInvited, Promoted]) {
  ref.addInterfaces([Event, InboxEvent]);
  builder.objectFields(ref, (t) => ({
    conversationId: t.id({
      description: 'Global id of the conversation.',
      resolve: ({ event }) => encodeGlobalId('Conversation', event.conversation.id),
    }),
    conversation: t.field({
      type: Conversation,
      description: 'The conversation as it was then.',
      resolve: ({ event }) => event.conversation,
    }),
  }));
}

builder.subscriptionField('inboxEvents', (t) =>
  t.field({
    type: InboxEvent,
    description: `What concerns you alone: invitations to circles, being added to conversations, promotions. ${STREAM} To begin without a gap, subscribe first and query then.`,
    args: { after: t.arg({ type: 'Cursor', description: AFTER }) },
    subscribe: (_root, args, context) =>
      openInboxEvents(context.deps, requireSession(context), { after: startOf(args, context) }, context),
    resolve: (item) => item,
  }),
);
