import { claimSetting } from '../db/settings.ts';
import * as accounts from './accounts.ts';
import * as circles from './circles.ts';
import * as conversations from './conversations.ts';
import type { Deps } from './deps.ts';
import * as messages from './messages.ts';

const DEMO_PASSWORD = 'parley';
const ANN = { email: 'ann@example.com', firstName: 'Ann', lastName: 'Example' };
const BOB = { email: 'bob@example.com', firstName: 'Bob', lastName: 'Example' };

/**
 * Makes the demo accounts and their conversation in a database that never had them, for the page at `/` and the first
 * steps in GraphiQL. Answers whether it did.
 */
export async function ensureDemo(deps: Deps): Promise<boolean> {
  if (!(await claimSetting(deps.db, 'demo', new Date().toISOString()))) return false;
  const create = (person: typeof ANN) =>
    accounts.createAccount(deps, { ...person, password: DEMO_PASSWORD, birthday: null });
  const { user: annUser } = await create(ANN);
  const { user: bobUser } = await create(BOB);
  const ann = { kind: 'user', id: annUser.id } as const;
  const bob = { kind: 'user', id: bobUser.id } as const;
  const circle = await circles.createCircle(deps, ann, { name: 'Demo circle' });
  const invitation = await circles.inviteToCircle(deps, ann, { circleId: circle.id, email: BOB.email });
  await circles.acceptInvitation(deps, bob, { invitationId: invitation.id });
  const { id: conversationId } = await conversations.createConversation(deps, ann, {
    circleId: circle.id,
    name: 'Demo conversation',
    emails: [BOB.email],
  });
  const text = 'Welcome! What one door says, the other hears.';
  await messages.sendMessage(deps, ann, { conversationId, text, files: [], idempotencyKey: null });
  return true;
}
