// Refs of the types that refer to each other. The file of each entity implements its type.
import type {
  Call as CallRow,
  CallParticipant as CallParticipantRow,
  Circle as CircleRow,
  CircleInvitation as InvitationRow,
  Conversation as ConversationRow,
  Device as DeviceRow,
  Media as MediaRow,
  Membership as MembershipRow,
  Message as MessageRow,
  Participant as ParticipantRow,
  User as UserRow,
} from '../domain/models.ts';
import type { ActorView } from '../events/event.ts';
import { builder } from './builder.ts';

/** Rows, with related data that was read together with them. */
export type UserSource = UserRow & { readonly online?: boolean };
export type DeviceSource = DeviceRow & { readonly online?: boolean };
export type ActorSource = UserSource | DeviceSource;
export type MembershipSource = MembershipRow & { readonly circle?: CircleRow };
export type InvitationSource = Omit<InvitationRow, 'email'> & {
  /** Not in events. */
  readonly email?: string | null;
  readonly circle?: CircleRow;
};
export type ConversationSource = Omit<ConversationRow, 'readReceipts'> & {
  /** Not in events of the former release. */
  readonly readReceipts?: boolean;
  /** Set if the conversation was read as one of the caller's. */
  readonly hasAccess?: true;
  /** Set if it was read with the conversation. */
  readonly unreadCount?: number;
};
export type ParticipantSource = ParticipantRow & {
  readonly conversation?: ConversationSource;
  readonly user?: UserSource | undefined;
};
export type MessageSource = MessageRow & {
  /** Null if that account was deleted. */
  readonly author?: ActorSource | null;
  readonly media?: readonly MediaRow[];
};
export type CallParticipantSource = CallParticipantRow & {
  /** Null if that account was deleted. */
  readonly account?: ActorSource | null;
};
export type MediaSource = MediaRow & { readonly message?: MessageSource };

export const User = builder.objectRef<UserSource>('User');
export const Device = builder.objectRef<DeviceSource>('Device');
export const Circle = builder.objectRef<CircleRow>('Circle');
export const CircleMembership = builder.objectRef<MembershipSource>('CircleMembership');
export const CircleInvitation = builder.objectRef<InvitationSource>('CircleInvitation');
export const Conversation = builder.objectRef<ConversationSource>('Conversation');
export const Participant = builder.objectRef<ParticipantSource>('Participant');
export const Message = builder.objectRef<MessageSource>('Message');
export const Media = builder.objectRef<MediaSource>('Media');

export const Call = builder.objectRef<CallRow>('Call');
export const CallParticipant = builder.objectRef<CallParticipantSource>('CallParticipant');

export const Actor = builder.unionType('Actor', {
  description: 'An account that can log in, send messages and receive calls: a user or a circle’s device.',
  types: [User, Device],
  resolveType: (actor) => ('username' in actor ? Device : User),
});

export const CircleRole = builder.enumType('CircleRole', {
  description: 'A user’s role in a circle.',
  values: {
    ADMIN: {
      description:
        'May also remove members, add and remove the device, and delete the circle. The initial role of the creator.',
    },
    MEMBER: { description: 'May rename the circle, invite users, and create conversations.' },
  } as const,
});

export const ConversationRole = builder.enumType('ConversationRole', {
  description: 'A user’s role in a conversation.',
  values: {
    ADMIN: {
      description:
        'May also rename the conversation, remove participants, transfer this role and set the device’s access. The initial role of the creator.',
    },
    STANDARD: { description: 'May read and send messages, and add members of the circle.' },
  } as const,
});

export const MessageStatus = builder.enumType('MessageStatus', {
  description: 'The upload status of a message’s files.',
  values: {
    PENDING: { description: 'At least one file is not uploaded yet.' },
    DONE: { description: 'All files are uploaded, or there are none.' },
  } as const,
});

export const actorSource = (view: ActorView): ActorSource =>
  view.kind === 'user' ? { ...view.user, online: view.online } : { ...view.device, online: view.online };

const page = (of: string) => ({ description: `A page of ${of}.` });
const edge = (of: string) => ({ description: `An edge in a connection: ${of}.` });

export const CircleConnection = builder.connectionObject(
  { type: Circle, name: 'CircleConnection', ...page('circles') },
  edge('a circle'),
);
export const CircleMembershipConnection = builder.connectionObject(
  { type: CircleMembership, name: 'CircleMembershipConnection', ...page('the members of a circle') },
  edge('a member'),
);
export const CircleInvitationConnection = builder.connectionObject(
  { type: CircleInvitation, name: 'CircleInvitationConnection', ...page('invitations') },
  edge('an invitation'),
);
export const ConversationConnection = builder.connectionObject(
  { type: Conversation, name: 'ConversationConnection', ...page('conversations') },
  edge('a conversation'),
);
export const ParticipantConnection = builder.connectionObject(
  { type: Participant, name: 'ParticipantConnection', ...page('the participants of a conversation') },
  edge('a participant'),
);
export const MessageConnection = builder.connectionObject(
  { type: Message, name: 'MessageConnection', ...page('messages, oldest first') },
  edge('a message'),
);
