/** Row types for `schema/`, which may not import `db/`. */
export type {
  Circle,
  CircleInvitation,
  Conversation,
  Device,
  Invitation,
  Media,
  Membership,
  Message,
  Participant,
  User,
} from '../db/tables.ts';
