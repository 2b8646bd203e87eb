import { expect } from 'vitest';
import type { TestAccount } from '../../../../src/testing/index.ts';
import type { Fixture } from '../fixture.ts';

/** Matches a date of the legacy contract. */
export const anyDate: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$/);

const userOf = (account: TestAccount, names: Readonly<Record<string, unknown>>) => ({
  id: account.legacyId,
  email: account.login,
  ...names,
  created: anyDate,
  updated: anyDate,
  isOnline: true,
  type: 'DEFAULT',
});

export const annSender = ({ ann }: Fixture) =>
  userOf(ann, { first_name: 'Ann', last_name: 'Martin', birthday: '1995-12-12T00:00:00' });
const bobSender = ({ bob }: Fixture) =>
  userOf(bob, { first_name: 'Bob', last_name: 'Müller', birthday: null });

interface MessageFields {
  readonly content: string;
  readonly id?: unknown;
  readonly medias?: number;
}

const conversationMessage = (
  { conversationRef, linkIds }: Fixture,
  author: 'ann' | 'bob',
  { content, id, medias = 0 }: MessageFields,
) => ({
  ...conversationRef,
  message: {
    id: id ?? expect.any(Number),
    link_id: linkIds[author],
    sent: anyDate,
    read: null,
    content,
    medias,
  },
});

/** The payload of a message without files. */
export const doneMessage = (fixture: Fixture, author: 'ann' | 'bob', fields: MessageFields) => ({
  ...conversationMessage(fixture, author, fields),
  time: anyDate,
  sender: author === 'ann' ? annSender(fixture) : bobSender(fixture),
  media_list: [],
  status: 'done',
});

/** The payload of a message whose files are not yet uploaded. */
export const pendingMessage = (fixture: Fixture, author: 'ann' | 'bob', fields: MessageFields) => ({
  ...conversationMessage(fixture, author, fields),
  status: 'pending',
});
