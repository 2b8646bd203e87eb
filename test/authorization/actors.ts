/** The callers of the authorization matrix, in the order of its columns. */
export const ACTORS = {
  anonymous: 'without a token',
  expired: 'the admin, with a token that has expired',
  loggedOut: 'the admin, with a token that was revoked by `logout`',
  deleted: 'a participant whose account has been deleted',
  blocked: 'a participant whose account operators have blocked, with a token from before',
  outsider: 'a user who shares no circle with the others',
  invitee: 'a user with a pending invitation to the circle',
  former: 'a user who was a participant, wrote a message, and left the circle',
  member: 'a MEMBER of the circle who does not take part in the conversation',
  participant: 'a MEMBER of the circle and STANDARD participant of the conversation',
  admin: 'the ADMIN of the circle and of the conversation',
  device: 'the device of the circle, with access to the conversation',
  otherDevice: 'the device of another circle',
} as const;

export type ActorName = keyof typeof ACTORS;

export const ACTOR_NAMES = Object.keys(ACTORS) as ActorName[];

/** Callers without a valid session. */
export const WITHOUT_SESSION: readonly ActorName[] = [
  'anonymous',
  'expired',
  'loggedOut',
  'deleted',
  'blocked',
];
