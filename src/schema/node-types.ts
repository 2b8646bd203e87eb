import { findVisibleUser } from '../domain/accounts.ts';
import { requireCall, requireCallParticipant } from '../domain/call-participation.ts';
import { requireCircle, requireMembership } from '../domain/circles.ts';
import { requireConversation, requireParticipant } from '../domain/conversations.ts';
import type { Deps } from '../domain/deps.ts';
import { requireDevice } from '../domain/devices.ts';
import { requireInvitation } from '../domain/invitations.ts';
import { requireMedia } from '../domain/media-downloads.ts';
import { requireMessage } from '../domain/messages.ts';
import type { ActorRef } from '../actor.ts';
import { encodeGlobalId } from '../ids.ts';
import type { Id } from '../ids.ts';
import { builder } from './builder.ts';
import {
  Call,
  CallParticipant,
  Circle,
  CircleInvitation,
  CircleMembership,
  Conversation,
  Device,
  Media,
  Message,
  Participant,
  User,
} from './refs.ts';

type Reader<Type extends string> = (deps: Deps, actor: ActorRef, id: Id<Type>) => Promise<object | undefined>;

/**
 * The types with a global id: the ref, the label in error messages, and the query behind `node(id:)`, which returns
 * undefined or throws NOT_FOUND unless the actor may see the object.
 */
export const NODE_TYPES = {
  User: { ref: User, label: 'The user', read: findVisibleUser satisfies Reader<'User'> },
  Device: { ref: Device, label: 'The device', read: requireDevice satisfies Reader<'Device'> },
  Circle: { ref: Circle, label: 'The circle', read: requireCircle satisfies Reader<'Circle'> },
  CircleMembership: {
    ref: CircleMembership,
    label: 'The membership',
    read: requireMembership satisfies Reader<'CircleMembership'>,
  },
  CircleInvitation: {
    ref: CircleInvitation,
    label: 'The invitation',
    read: requireInvitation satisfies Reader<'CircleInvitation'>,
  },
  Conversation: {
    ref: Conversation,
    label: 'The conversation',
    read: requireConversation satisfies Reader<'Conversation'>,
  },
  Participant: {
    ref: Participant,
    label: 'The participant',
    read: requireParticipant satisfies Reader<'Participant'>,
  },
  Message: { ref: Message, label: 'The message', read: requireMessage satisfies Reader<'Message'> },
  Call: { ref: Call, label: 'The call', read: requireCall satisfies Reader<'Call'> },
  CallParticipant: {
    ref: CallParticipant,
    label: 'The participant',
    read: requireCallParticipant satisfies Reader<'CallParticipant'>,
  },
  Media: { ref: Media, label: 'The media', read: requireMedia satisfies Reader<'Media'> },
} as const;

export type NodeType = keyof typeof NODE_TYPES;

for (const { ref } of Object.values(NODE_TYPES)) {
  ref.addInterfaces([builder.nodeInterfaceRef()]);
  builder.objectField(ref, 'id', (t) =>
    t.id({
      description: `Global id, for example \`${ref.name}:3\`.`,
      resolve: (source) => encodeGlobalId(ref.name, source.id),
    }),
  );
}

/** Returns the query of a type by its name; undefined for a name that is not a node type. */
export const findReader = (type: string): Reader<never> | undefined =>
  Object.hasOwn(NODE_TYPES, type) ? NODE_TYPES[type as NodeType].read : undefined;
