import type { ColumnType } from 'kysely';

/** ISO 8601 in UTC with milliseconds. A string, so that a row and its copy in an event (JSON) are equal. */
export type Timestamp = string;

export type CreatedAt = ColumnType<Timestamp, never, never>;
export type UpdatedAt = ColumnType<Timestamp, never, Timestamp>;

export type CircleRole = 'ADMIN' | 'MEMBER';
export type ConversationRole = 'ADMIN' | 'STANDARD';
export type MessageStatus = 'PENDING' | 'DONE';
export type LeaseKind = 'graphql' | 'signals' | 'legacy';
