import { expect } from 'vitest';
import type { TestAccount } from '../../../../src/testing/index.ts';
import type { World } from '../matrix-fixtures.ts';

/** A date as legacy clients see it. */
export const date: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$/);

const userOf = (account: TestAccount, names: Readonly<Record<string, unknown>>) => ({
  id: account.legacyId,
  email: account.login,
  ...names,
  created: date,
  updated: date,
  isOnline: true,
  type: 'DEFAULT',
});

export const annAsSender = ({ ann }: World) =>
  userOf(ann, { first_name: 'Ann', last_name: 'Martin', birthday: '1995-12-12T00:00:00' });
const bobAsSender = ({ bob }: World) =>
  userOf(bob, { first_name: 'Bob', last_name: 'Müller', birthday: null });

interface Sent {
  readonly content: string;
  readonly id?: unknown;
  readonly medias?: number;
}

const message = ({ talk, links }: World, who: 'ann' | 'bob', { content, id, medias = 0 }: Sent) => ({
  ...talk,
  message: {
    id: id ?? expect.any(Number),
    link_id: links[who],
    sent: date,
    read: null,
    content,
    medias,
  },
});

/** The frame of a message without files. */
export const doneMessage = (world: World, who: 'ann' | 'bob', sent: Sent) => ({
  ...message(world, who, sent),
  time: date,
  sender: who === 'ann' ? annAsSender(world) : bobAsSender(world),
  media_list: [],
  status: 'done',
});

/** The frame of a message whose files are still to come. */
export const pendingMessage = (world: World, who: 'ann' | 'bob', sent: Sent) => ({
  ...message(world, who, sent),
  status: 'pending',
});
