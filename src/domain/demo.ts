import { claimSetting } from '../db/settings.ts';
import * as users from '../db/users.ts';
import * as accounts from './accounts.ts';
import * as circles from './circles.ts';
import * as conversations from './conversations.ts';
import { DEMO_ACCOUNTS_SETTING, DEMO_PASSWORD, isDemoAllowed } from './demo-policy.ts';
import type { Deps } from './deps.ts';
import * as messages from './messages.ts';

const ANN = { email: 'ann@example.com', firstName: 'Ann', lastName: 'Example' };
const BOB = { email: 'bob@example.com', firstName: 'Bob', lastName: 'Example' };

const DEMO_SETTING = 'demo';

/**
 * Creates the demo accounts and their conversation, for the page at `/` and for GraphiQL: in a database that never had
 * them, with `DEMO=on`, or in a new embedded one. Returns their e-mails; undefined if it created none.
 */
export async function seedDemo(deps: Deps): Promise<string[] | undefined> {
  const { db, config } = deps;
  if (!isDemoAllowed(config)) return undefined;
  if (config.DEMO !== 'on' && (config.DATABASE_URL !== undefined || (await users.hasAny(db))))
    return undefined;
  if (!(await claimSetting(db, DEMO_SETTING, new Date(Date.now()).toISOString()))) return undefined;
  const create = (person: typeof ANN) =>
    // No mail can be sent to these addresses.
    accounts.createWithPassword(
      { ...deps, mailer: undefined },
      { ...person, password: DEMO_PASSWORD, birthday: null },
    );
  const { user: annUser } = await create(ANN);
  const { user: bobUser } = await create(BOB);
  await claimSetting(db, DEMO_ACCOUNTS_SETTING, `${annUser.id},${bobUser.id}`);
  const ann = { kind: 'user', id: annUser.id } as const;
  const bob = { kind: 'user', id: bobUser.id } as const;
  await db.transaction().execute(async (tx) => {
    for (const { id, email } of [annUser, bobUser]) await users.setVerifiedEmail(tx, id, email);
  });
  const circle = await circles.createCircle(deps, ann, { name: 'Demo circle' });
  const invitation = await circles.inviteToCircle(deps, ann, { circleId: circle.id, email: BOB.email });
  await circles.acceptInvitation(deps, bob, { invitationId: invitation.id });
  const { id: conversationId } = await conversations.createConversation(deps, ann, {
    circleId: circle.id,
    name: 'Demo conversation',
    emails: [BOB.email],
  });
  const text = 'Welcome! A message from either client appears on both.';
  await messages.sendMessage(deps, ann, { conversationId, text, files: [], idempotencyKey: null });
  return [ANN.email, BOB.email];
}
