import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Session } from '../../src/actor.ts';
import * as accounts from '../../src/domain/accounts.ts';
import * as circles from '../../src/domain/circles.ts';
import * as conversations from '../../src/domain/conversations.ts';
import type { Deps } from '../../src/domain/deps.ts';
import { blockInvitations, unblockInvitations } from '../../src/domain/invitation-blocks.ts';
import { uploadMedia } from '../../src/domain/media.ts';
import * as messages from '../../src/domain/messages.ts';
import { provisionUser } from '../../src/domain/provisioning.ts';
import type { MessageId } from '../../src/ids.ts';
import { createTestDeps } from '../harness/deps.ts';
import { ANN, readOutcomes } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';
import { createRandom } from '../harness/random.ts';

const EMAILS = indexes(5).map((index) => `user${index}@example.com`);
const PASSWORDS = [ANN.password, 'another secret'];
const ADDRESSES = ['192.0.2.1', '192.0.2.2'];

interface Attempt {
  readonly deps: Deps;
  readonly email: string;
  readonly password: string;
  readonly client: accounts.Client;
  readonly pick: <Item>(items: readonly Item[]) => Item;
}

type Operation = (attempt: Attempt) => Promise<unknown>;

const identityOf = (email: string) => ({ ...ANN, email, subject: `issuer ${email}`, emailVerified: true });

/** Logs in with a password, or through the identity provider, which links or creates the account. */
async function logIn({ deps, email, password, client, pick }: Attempt): Promise<Session> {
  if (pick([true, true, false])) {
    const { token } = await accounts.login(deps, { email, password }, client);
    return accounts.authenticate(deps, token);
  }
  const session = { tokenId: `token ${pick(indexes(1_000_000))}`, issuedAt: Date.now() + 60_000 };
  const id = await provisionUser(deps, identityOf(email), session);
  return { ...session, actor: { kind: 'user', id }, expiresAt: session.issuedAt, isExternal: true };
}

/** Returns a circle of the session's account, a new one if it has none. */
async function inCircle({ deps, pick }: Attempt, { actor }: Session) {
  const own = await circles.findCirclesByActor(deps, actor);
  return own.length === 0 ? circles.createCircle(deps, actor, { name: 'Family' }) : pick(own);
}

async function sendFile(attempt: Attempt): Promise<unknown> {
  const { deps, pick } = attempt;
  const session = await logIn(attempt);
  const circle = await inCircle(attempt, session);
  const input = { circleId: circle.id, name: 'Plans', emails: [] };
  const { id: conversationId } = await conversations.createConversation(deps, session.actor, input);
  const { media } = await messages.sendMessage(deps, session.actor, {
    conversationId,
    text: '',
    files: ['f'],
  });
  const content = Readable.from([Buffer.alloc(pick([1, 1_000]))]);
  const [file] = media;
  return file && uploadMedia(deps, session.actor, { mediaId: file.id, filename: 'f', content });
}

const OPERATIONS: readonly Operation[] = [
  ({ deps, email, password, client }) => accounts.createAccount(deps, { ...ANN, email, password }, client),
  ({ deps, email, password, client }) => accounts.createAccount(deps, { ...ANN, email, password }, client),
  async (attempt) => accounts.refreshToken(attempt.deps, await logIn(attempt)),
  async (attempt) => accounts.logoutEverywhere(attempt.deps, await logIn(attempt)),
  async (attempt) => {
    const session = await logIn(attempt);
    const change = { current: attempt.password, next: attempt.pick(PASSWORDS) };
    return accounts.changePassword(attempt.deps, session, change, attempt.client);
  },
  async (attempt) => accounts.deleteAccount(attempt.deps, await logIn(attempt), attempt, attempt.client),
  async (attempt) => {
    const { actor } = await logIn(attempt);
    return accounts.updateAccount(attempt.deps, actor, { email: attempt.pick(EMAILS) });
  },
  async (attempt) => {
    const session = await logIn(attempt);
    const { id: circleId } = await inCircle(attempt, session);
    return circles.inviteToCircle(attempt.deps, session.actor, { circleId, email: attempt.pick(EMAILS) });
  },
  async (attempt) => {
    const { actor } = await logIn(attempt);
    const [invitation] = await circles.findInvitationsByActor(attempt.deps, actor);
    return invitation && circles.acceptInvitation(attempt.deps, actor, { invitationId: invitation.id });
  },
  async (attempt) => {
    const { actor } = await logIn(attempt);
    const change = attempt.pick([blockInvitations, unblockInvitations]);
    return change(attempt.deps, actor, { userId: undefined });
  },
  sendFile,
  async (attempt) => {
    const { actor } = await logIn(attempt);
    const rows = await attempt.deps.db.selectFrom('messages').select('id').execute();
    const { id } = attempt.pick([...rows, { id: 0 as MessageId }]);
    return messages.deleteMessage(attempt.deps, actor, { messageId: id });
  },
];

test(
  'concurrent operations of accounts that come and go fail as documented, and leave nothing',
  { timeout: 60_000 },
  async () => {
    const warnings: unknown[] = [];
    await using testDeps = await createTestDeps({ rateLimits: true });
    const deps: Deps = {
      ...testDeps,
      log: Object.assign(Object.create(testDeps.log) as Deps['log'], {
        warn: (...line: unknown[]) => void warnings.push(line),
      }),
    };
    const below = createRandom(11);
    const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)] as Item;
    const outcomes = new Set<string>();
    for (let round = 0; round < 12; round += 1) {
      const attempts = indexes(8).map(() =>
        pick(OPERATIONS)({
          deps,
          email: pick(EMAILS),
          password: pick(PASSWORDS),
          client: { address: pick(ADDRESSES) },
          pick,
        }),
      );
      for (const outcome of await readOutcomes(attempts)) outcomes.add(outcome);
    }
    expect(warnings).toEqual([]);
    expect([...outcomes]).toEqual(expect.arrayContaining(['done', 'CONFLICT', 'UNAUTHENTICATED']));
    const users = await deps.db.selectFrom('users').select('id').execute();
    const keys = users.map(({ id }) => `user:${id}`);
    for (const table of ['knownClients', 'uploadUsage'] as const) {
      const rows = await deps.db.selectFrom(table).select('account').execute();
      expect(rows.filter(({ account }) => !keys.includes(account))).toEqual([]);
    }
  },
);
