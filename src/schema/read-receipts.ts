import type { ReadReceipt as ReadReceiptModel } from '../domain/models.ts';
import { openReadReceipts, setReadReceipts } from '../domain/read-receipts.ts';
import type { ConversationId } from '../ids.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { requireActor, requireSession } from './context.ts';
import { requireFound, requireId } from './global-id.ts';
import { Conversation, Message, Participant } from './refs.ts';

builder.objectFields(Conversation, (t) => ({
  readReceipts: t.boolean({
    description:
      'Whether all who take part, you too, are shown to each other how far they read: `Participant.lastReadMessage` and the subscription `readReceipts`. False unless its ADMIN has turned it on.',
    resolve: async ({ id, readReceipts }, _args, { loaders }) =>
      readReceipts ?? requireFound('Conversation', await loaders.conversation(id)).readReceipts,
  }),
  deviceLastReadMessage: t.field({
    type: Message,
    nullable: true,
    ...perActor,
    description: 'As `Participant.lastReadMessage`, for the circle’s device. Null while it has no access.',
    resolve: ({ id }, _args, { loaders }) => loaders.receiptOfDevice(id),
  }),
}));

builder.objectField(Participant, 'lastReadMessage', (t) =>
  t.field({
    type: Message,
    nullable: true,
    ...perActor,
    description:
      'The newest message that the participant has read, as all who take part see it. If the marked message was deleted, the one before it. Null while the conversation’s `readReceipts` is false, and until the participant has read a message since it was turned on or since joining: what was read before stays private. Null if you do not take part, and while the account is blocked.',
    resolve: ({ id }, _args, { loaders }) => loaders.receiptOf(id),
  }),
);

type ReadReceiptSource = ReadReceiptModel & { readonly conversationId: ConversationId };

const ReadReceipt = builder.objectRef<ReadReceiptSource>('ReadReceipt').implement({
  description: 'How far a participant, or the circle’s device, has read a conversation.',
  fields: (t) => ({
    conversationId: t.id({
      description: 'Global id of the conversation.',
      resolve: ({ conversationId }) => encodeGlobalId('Conversation', conversationId),
    }),
    readerId: t.id({
      description: 'Global id of the user or the device.',
      resolve: ({ reader }) => encodeGlobalId(reader.kind === 'user' ? 'User' : 'Device', reader.id),
    }),
    messageId: t.id({
      description: 'Global id of the message up to which it has read, which may have been deleted since.',
      resolve: ({ messageId }) => encodeGlobalId('Message', messageId),
    }),
    participant: t.field({
      type: Participant,
      nullable: true,
      description: 'The participant, as it is now; null for the device, and once it has left.',
      resolve: ({ participantId }, _args, { loaders }) =>
        participantId === null ? null : loaders.participant(participantId),
    }),
  }),
});

const conversationIdDescription = 'Global id of the conversation. NOT_FOUND unless you take part in it.';

builder.mutationField('setReadReceipts', (t) =>
  t.field({
    type: Conversation,
    description:
      'Sets whether all who take part in a conversation are shown to each other how far they read from now on. Turning it off hides what was shown, also after it is turned on again. Allowed for its ADMIN. Publishes `ConversationUpdated` if anything changes. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: {
      conversationId: t.arg.id({ required: true, description: conversationIdDescription }),
      allowed: t.arg.boolean({ required: true, description: 'Whether the conversation has read receipts.' }),
    },
    resolve: (_root, args, context) =>
      setReadReceipts(context.deps, requireActor(context), {
        conversationId: requireId('Conversation', 'conversationId', args.conversationId),
        allowed: args.allowed,
      }),
  }),
);

builder.subscriptionField('readReceipts', (t) =>
  t.field({
    type: ReadReceipt,
    description:
      'How far others, and you, have read a conversation whose `readReceipts` is true: first the current state of each reader, then its changes, at most one in 100 ms for each. In conversations with more than 100 participants it delivers nothing: query `Participant.lastReadMessage`. Ephemeral: a slow reader receives only the newest state of each. Errors: UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, INVALID_INPUT.',
    args: { conversationId: t.arg.id({ required: true, description: conversationIdDescription }) },
    async subscribe(_root, args, context) {
      const conversationId = requireId('Conversation', 'conversationId', args.conversationId);
      return openReadReceipts(context.deps, requireSession(context), conversationId, context);
    },
    resolve: (receipt, args) => ({
      ...receipt,
      conversationId: requireId('Conversation', 'conversationId', args.conversationId),
    }),
  }),
);
