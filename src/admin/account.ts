import type { ActorRef } from '../actor.ts';
import * as control from '../domain/account-control.ts';
import type {
  Account as AccountSource,
  AccountBlock as AccountBlockSource,
} from '../domain/account-control.ts';
import type { Deps } from '../domain/deps.ts';
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

const AccountBlock = builder.objectRef<AccountBlockSource>('AccountBlock').implement({
  description: 'A block of an account: it cannot log in, and its tokens are refused.',
  fields: (t) => ({
    until: t.expose('until', {
      type: 'DateTime',
      nullable: true,
      description: 'The end of the block; null until `unblockAccount`.',
    }),
    reason: t.exposeString('reason', { description: 'The reason, for operators only.' }),
    blockedAt: t.expose('blockedAt', { type: 'DateTime', description: 'Time of the last `blockAccount`.' }),
  }),
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
    login: t.string({
      description: 'The e-mail address of a user, or the username of a device.',
      resolve: (account) => (account.kind === 'user' ? account.user.email : account.device.username),
    }),
    name: t.string({
      description: 'The first and last name of a user, or the name of a device.',
      resolve: (account) =>
        account.kind === 'user'
          ? `${account.user.firstName} ${account.user.lastName}`.trim()
          : account.device.name,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'Creation time of the account.',
      resolve: (account) => (account.kind === 'user' ? account.user : account.device).createdAt,
    }),
    isOnline: t.exposeBoolean('online', {
      description: 'Whether other clients see the account online.',
    }),
    connectionCount: t.int({
      description: 'The number of its open connections and event streams, on all nodes.',
      resolve: (account, _args, { deps }) => control.countConnectionsOf(deps, account),
    }),
    block: t.field({
      type: AccountBlock,
      nullable: true,
      description: 'The block that is in effect; null without one.',
      resolve: async (account, _args, { deps }) => (await control.findBlock(deps, account)) ?? null,
    }),
  }),
});

/** Parses the global id of an account. Throws INVALID_INPUT. */
export function requireAccountId(field: string, text: string): ActorRef {
  const parsed = parseGlobalId(text);
  if (parsed?.type === 'User') return { kind: 'user', id: parsed.id as UserId };
  if (parsed?.type === 'Device') return { kind: 'device', id: parsed.id as DeviceId };
  throw invalidInput(field, `${field} is not a global id of the form User:<number> or Device:<number>.`);
}

builder.queryFields((t) => ({
  account: t.field({
    type: Account,
    nullable: true,
    description: 'Finds an account; null if there is none. Errors: INVALID_INPUT.',
    args: { id: t.arg.id({ required: true, description: 'Global id: `User:3` or `Device:3`.' }) },
    resolve: async (_root, { id }, { deps }) =>
      (await control.findAccount(deps, requireAccountId('id', id))) ?? null,
  }),
  accountByEmail: t.field({
    type: Account,
    nullable: true,
    description:
      'Finds the user with an e-mail address, ignoring case, as at a login; null if there is none. Errors: INVALID_INPUT.',
    args: { email: t.arg.string({ required: true, description: 'The e-mail address.' }) },
    resolve: async (_root, { email }, { deps }) => (await control.findAccountByEmail(deps, email)) ?? null,
  }),
}));

/** Runs a change of an account. Returns the account as it is afterwards. Throws INVALID_INPUT, NOT_FOUND. */
async function changeAccount(
  deps: Deps,
  accountId: string,
  change: (deps: Deps, actor: ActorRef) => Promise<void>,
): Promise<AccountSource> {
  const actor = requireAccountId('accountId', accountId);
  await change(deps, actor);
  return control.requireAccount(deps, actor);
}

builder.mutationFields((t) => {
  const accountId = t.arg.id({
    required: true,
    description: 'Global id of the account: `User:3` or `Device:3`.',
  });
  const note = t.arg.string({ description: 'The reason, for the audit log.' });
  return {
    revokeSessions: t.field({
      type: Account,
      description:
        'Ends all sessions of an account: its connections and streams end with the reason LOGGED_OUT on every node, and its tokens are refused. It can log in again. Returns the account. Errors: INVALID_INPUT, NOT_FOUND.',
      args: { accountId, reason: note },
      resolve: (_root, args, { deps }) => changeAccount(deps, args.accountId, control.revokeSessions),
    }),
    blockAccount: t.field({
      type: Account,
      description:
        'Blocks an account: ends its sessions as `revokeSessions` does, and refuses its logins and tokens, also those of an identity provider, until the block ends. The account must log in again afterwards. Changes the end and the reason if it is blocked. Returns the account. Errors: INVALID_INPUT, NOT_FOUND.',
      args: {
        accountId,
        until: t.arg({
          type: 'DateTime',
          description:
            'The end of the block, by the clock of the database; null blocks until `unblockAccount`. INVALID_INPUT unless it is in the future.',
        }),
        reason: t.arg.string({
          required: true,
          description: 'The reason, for operators only: 1 to 500 characters.',
        }),
      },
      resolve: (_root, { until = null, reason, ...args }, { deps }) =>
        changeAccount(deps, args.accountId, (_deps, actor) =>
          control.blockAccount(deps, actor, { until, reason }),
        ),
    }),
    unblockAccount: t.field({
      type: Account,
      description:
        'Ends the block of an account, if it has one. Returns the account. Errors: INVALID_INPUT, NOT_FOUND.',
      args: { accountId, reason: note },
      resolve: (_root, args, { deps }) => changeAccount(deps, args.accountId, control.unblockAccount),
    }),
  };
});
