/** Row types for `schema/`, which may not import `db/`. */
export type {
  Call,
  CallParticipant,
  Circle,
  CircleInvitation,
  Conversation,
  Device,
  Media,
  Membership,
  Message,
  Participant,
  User,
} from '../db/tables.ts';
export type { ReadReceipt } from '../db/read-receipts.ts';
export type { UserWithPresence } from '../db/actors.ts';
