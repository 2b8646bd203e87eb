/** Rows as the schema sees them: it may not look into `db/` itself. */
export type {
  Circle,
  CircleRole,
  Conversation,
  ConversationRole,
  Device,
  Invitation,
  Media,
  Membership,
  Message,
  MessageStatus,
  Participant,
  User,
} from '../db/tables.ts';
