/** Rows as the schema sees them: it may not look into `db/` itself. */
export type {
  Circle,
  Conversation,
  Device,
  Invitation,
  Media,
  Membership,
  Message,
  Participant,
  User,
} from '../db/tables.ts';
