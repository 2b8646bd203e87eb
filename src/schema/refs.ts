// The types that refer to each other, by name; each noun's file says what is in them.
import type {
  Circle as CircleRow,
  Conversation as ConversationRow,
  Device as DeviceRow,
  Invitation as InvitationRow,
  Media as MediaRow,
  Membership as MembershipRow,
  Message as MessageRow,
  Participant as ParticipantRow,
  User as UserRow,
} from '../domain/models.ts';
import type { ActorView } from '../events/event.ts';
import { encodeGlobalId } from '../ids.ts';
import { builder } from './builder.ts';

/** A row, with what came along with it and so needs no reading. */
export type UserSource = UserRow & { readonly online?: boolean };
export type DeviceSource = DeviceRow & { readonly online?: boolean };
export type ActorSource = UserSource | DeviceSource;
export type MembershipSource = MembershipRow & { readonly circle?: CircleRow };
export type InvitationSource = InvitationRow & { readonly circle?: CircleRow };
export type ConversationSource = ConversationRow & {
  /** Whether it was read as one in which the caller takes part. */
  readonly isMine?: true;
};
export type ParticipantSource = ParticipantRow & {
  readonly conversation?: ConversationRow;
  readonly user?: UserSource | undefined;
};
export type MessageSource = MessageRow & {
  /** Null when that account is gone. */
  readonly author?: ActorSource | null;
  readonly media?: readonly MediaRow[];
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

export const Actor = builder.unionType('Actor', {
  description: 'Who can log in, write and be called: a person or a circle’s device.',
  types: [User, Device],
  resolveType: (actor) => ('username' in actor ? Device : User),
});

export const CircleRole = builder.enumType('CircleRole', {
  description: 'What a user is in a circle.',
  values: {
    ADMIN: {
      description: 'May also kick members, add and remove the device, and delete the circle. Its creator is.',
    },
    MEMBER: { description: 'May rename the circle, invite to it, and create conversations.' },
  } as const,
});

export const ConversationRole = builder.enumType('ConversationRole', {
  description: 'What a user is in a conversation.',
  values: {
    ADMIN: {
      description:
        'May also rename the conversation, kick, promote and set the device’s access. Its creator is.',
    },
    STANDARD: { description: 'May read, write and invite members of the circle.' },
  } as const,
});

export const MessageStatus = builder.enumType('MessageStatus', {
  description: 'Whether all files of a message have arrived.',
  values: {
    PENDING: { description: 'At least one file is still to be uploaded.' },
    DONE: { description: 'It is complete.' },
  } as const,
});

export const actorSource = (view: ActorView): ActorSource =>
  view.kind === 'user' ? { ...view.user, online: view.online } : { ...view.device, online: view.online };

const page = (of: string) => ({ description: `A page of ${of}.` });
const item = (of: string) => ({ description: `${of} in a list, with its place.` });

export const CircleConnection = builder.connectionObject(
  { type: Circle, name: 'CircleConnection', ...page('circles') },
  item('A circle'),
);
export const CircleMembershipConnection = builder.connectionObject(
  { type: CircleMembership, name: 'CircleMembershipConnection', ...page('the members of a circle') },
  item('A member'),
);
export const CircleInvitationConnection = builder.connectionObject(
  { type: CircleInvitation, name: 'CircleInvitationConnection', ...page('invitations') },
  item('An invitation'),
);
export const ConversationConnection = builder.connectionObject(
  { type: Conversation, name: 'ConversationConnection', ...page('conversations') },
  item('A conversation'),
);
export const ParticipantConnection = builder.connectionObject(
  { type: Participant, name: 'ParticipantConnection', ...page('the participants of a conversation') },
  item('A participant'),
);
export const MessageConnection = builder.connectionObject(
  { type: Message, name: 'MessageConnection', ...page('messages, oldest first') },
  item('A message'),
);

for (const ref of [
  User,
  Device,
  Circle,
  CircleMembership,
  CircleInvitation,
  Conversation,
  Participant,
  Message,
  Media,
]) {
  ref.addInterfaces([builder.nodeInterfaceRef()]);
  builder.objectField(ref, 'id', (t) =>
    t.id({
      description: `Global id: \`${ref.name}:3\`.`,
      resolve: (source) => encodeGlobalId(ref.name, source.id),
    }),
  );
}
