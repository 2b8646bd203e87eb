import type { ColumnType, GeneratedAlways } from 'kysely';
import type { MessageId } from '../../ids.ts';
import type { Timestamp } from './types.ts';

export interface TopicsTable {
  topic: string;
  /** Position of the newest event; 0 before the first. */
  head: ColumnType<number, never, number>;
}

export interface EventsTable {
  topic: string;
  seq: number;
  event: ColumnType<unknown, string, never>;
  at: Timestamp;
  /** The message of an event that contains one. */
  messageId: ColumnType<MessageId | null, never, never>;
  /** Topics of the accounts, conversations and circles whose data any other event contains. */
  subjects: ColumnType<string[] | null, never, never>;
}

/** Topics that may have more events than the log keeps. */
export interface LogTrimsTable {
  id: GeneratedAlways<number>;
  topic: string;
}

/** Work that one node of the cluster does at a time. */
export interface SweepsTable {
  name: string;
  /** When the next node may start it. */
  dueAt: Timestamp;
}
