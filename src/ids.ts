/** A database id, branded with the type that it identifies. Created by table types and the parsers below. */
export type Id<Type extends string> = number & { readonly __type: Type };

export type UserId = Id<'User'>;
export type DeviceId = Id<'Device'>;
export type CircleId = Id<'Circle'>;
export type MembershipId = Id<'CircleMembership'>;
export type InvitationId = Id<'CircleInvitation'>;
export type ConversationId = Id<'Conversation'>;
export type ParticipantId = Id<'Participant'>;
export type MessageId = Id<'Message'>;
export type MediaId = Id<'Media'>;
export type CallId = Id<'Call'>;
export type CallParticipantId = Id<'CallParticipant'>;
export type AuditEntryId = Id<'AuditEntry'>;

/** Returns the short form of a node's id, which is unique enough among the nodes of a cluster. */
export const shortNodeId = (nodeId: string): string => nodeId.replaceAll('-', '').slice(0, 8);

const MAX_ID = 2 ** 31 - 1;
const DIGITS = /^[0-9]{1,10}$/;

/**
 * Parses an untrusted value as an id: a positive int32, as a number or in decimal digits. Returns undefined for
 * anything else, which callers treat as an unknown id.
 */
export function parseId<Type extends string>(value: unknown): Id<Type> | undefined {
  const number = typeof value === 'string' && DIGITS.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > MAX_ID)
    return undefined;
  return number as Id<Type>;
}

/** Encodes a global id for GraphQL clients, for example `Circle:3`. */
export function encodeGlobalId(type: string, id: number | string): string {
  return `${type}:${id}`;
}

/** Parses a global id; undefined if it is malformed. */
export function parseGlobalId(text: string): { type: string; id: number } | undefined {
  const colon = text.indexOf(':');
  const digits = text.slice(colon + 1);
  const id = digits.startsWith('0') ? undefined : parseId(digits);
  return colon > 0 && id !== undefined ? { type: text.slice(0, colon), id } : undefined;
}
