import type { ActorRef } from '../actor.ts';
import { requireAccount, revokeSessions } from '../domain/account-control.ts';
import type { Account as AccountSource } from '../domain/account-control.ts';
import { invalidInput } from '../errors.ts';
import { encodeGlobalId, parseGlobalId } from '../ids.ts';
import type { DeviceId, UserId } from '../ids.ts';
import { builder } from './builder.ts';

const AccountKind = builder.enumType('AccountKind', {
  description: 'The kind of an account.',
  values: {
    USER: { value: 'user', description: 'A person.' },
    DEVICE: { value: 'device', description: 'A device of a circle.' },
  } as const,
});

const Account = builder.objectRef<AccountSource>('Account').implement({
  description: 'The account of a user or a device.',
  fields: (t) => ({
    id: t.id({
      description: 'Global id, as clients see it: `User:3` or `Device:3`.',
      resolve: (account) =>
        account.kind === 'user'
          ? encodeGlobalId('User', account.user.id)
          : encodeGlobalId('Device', account.device.id),
    }),
    kind: t.expose('kind', { type: AccountKind, description: 'Whether it is a user or a device.' }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'Creation time of the account.',
      resolve: (account) => (account.kind === 'user' ? account.user : account.device).createdAt,
    }),
  }),
});

/** Parses the global id of an account. Throws INVALID_INPUT. */
function requireAccountId(field: string, text: string): ActorRef {
  const parsed = parseGlobalId(text);
  if (parsed?.type === 'User') return { kind: 'user', id: parsed.id as UserId };
  if (parsed?.type === 'Device') return { kind: 'device', id: parsed.id as DeviceId };
  throw invalidInput(field, `${field} is not a global id of the form User:<number> or Device:<number>.`);
}

builder.mutationField('revokeSessions', (t) =>
  t.field({
    type: Account,
    description:
      'Ends all sessions of an account: its connections and streams end with the reason LOGGED_OUT on every node, and its tokens are refused. It can log in again. Returns the account. Errors: INVALID_INPUT, NOT_FOUND.',
    args: {
      accountId: t.arg.id({
        required: true,
        description: 'Global id of the account: `User:3` or `Device:3`.',
      }),
      reason: t.arg.string({ description: 'The reason, for the audit log.' }),
    },
    resolve: async (_root, { accountId }, { deps }) => {
      const actor = requireAccountId('accountId', accountId);
      await revokeSessions(deps, actor);
      return requireAccount(deps, actor);
    },
  }),
);
