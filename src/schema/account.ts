import * as accounts from '../domain/accounts.ts';
import { findCirclesOf, findInvitationsOf } from '../domain/circles.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { pageOf } from './pagination.ts';
import type { Context } from './context.ts';
import { requireActor, requireSession } from './context.ts';
import { PASSWORD } from './complexity.ts';
import { isOnline } from './loaders.ts';
import {
  Actor,
  Circle,
  CircleConnection,
  CircleInvitation,
  CircleInvitationConnection,
  Device,
  User,
  actorSource,
} from './refs.ts';
import type { DeviceSource, UserSource } from './refs.ts';
import type { ActorRef } from '../actor.ts';

const isCaller = (id: UserId, { session }: Context): boolean =>
  session?.actor.kind === 'user' && session.actor.id === id;

User.implement({
  description: 'A person with an account.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Its number, which Socket.IO clients know as `user_id`, and as `id` of a `sender`.',
    }),
    email: t.exposeString('email', {
      description:
        'E-mail address, as typed, in Unicode form NFC. No two accounts share one, in whatever case, width or form.',
    }),
    firstName: t.exposeString('firstName', { description: 'First name.' }),
    lastName: t.exposeString('lastName', { description: 'Last name.' }),
    birthday: t.expose('birthday', {
      type: 'Date',
      nullable: true,
      description: 'Day of birth; null when not told.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the account was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the account was last changed.' }),
    isOnline: t.boolean({
      description:
        'Whether there is a live authenticated connection of this account: WebSocket, event stream or Socket.IO, on any node. In an event it is what it was at that moment.',
      resolve: ({ online, id }, _args, { loaders }) => online ?? isOnline({ kind: 'user', id }, loaders),
    }),
    circles: t.connection(
      {
        type: Circle,
        nullable: true,
        ...perActor,
        description: 'The circles you belong to, oldest first. Null for anyone but yourself.',
        resolve: async ({ id }, args, context) =>
          isCaller(id, context)
            ? pageOf('Circle', await findCirclesOf(context.deps, { kind: 'user', id }), args)
            : null,
      },
      CircleConnection,
    ),
    invitations: t.connection(
      {
        type: CircleInvitation,
        nullable: true,
        ...perActor,
        description:
          'Invitations to circles that you have not answered, oldest first. Null for anyone but yourself.',
        resolve: async ({ id }, args, context) =>
          isCaller(id, context)
            ? pageOf('CircleInvitation', await findInvitationsOf(context.deps, { kind: 'user', id }), args)
            : null,
      },
      CircleInvitationConnection,
    ),
  }),
});

builder.queryFields((t) => ({
  me: t.field({
    type: Actor,
    description: 'Who you are: the account of your token. UNAUTHENTICATED without one.',
    resolve: async (_root, _args, context) =>
      actorSource(await accounts.requireMe(context.deps, requireActor(context))),
  }),
}));

const token =
  'Token for `Authorization: Bearer …`, valid for a day (for devices 30 days) unless `logout` revokes it.';

const LoginPayload = builder.objectRef<{ token: string; user: UserSource }>('LoginPayload').implement({
  description: 'A new login of a user. Other logins of the same account stay valid.',
  fields: (t) => ({
    token: t.exposeString('token', { description: token }),
    user: t.expose('user', { type: User, description: 'Whom the token stands for.' }),
  }),
});

const LoginDevicePayload = builder
  .objectRef<{ token: string; device: DeviceSource }>('LoginDevicePayload')
  .implement({
    description: 'A new login of a device.',
    fields: (t) => ({
      token: t.exposeString('token', { description: token }),
      device: t.expose('device', { type: Device, description: 'Which device the token stands for.' }),
    }),
  });

const RefreshTokenPayload = builder
  .objectRef<{ token: string; actor: ActorRef }>('RefreshTokenPayload')
  .implement({
    description: 'A further login of the same account.',
    fields: (t) => ({
      token: t.exposeString('token', {
        description: `${token} The token that was presented stays valid, too.`,
      }),
      actor: t.field({
        type: Actor,
        description: 'Whom the token stands for.',
        resolve: async ({ actor }, _args, { deps }) => actorSource(await accounts.requireMe(deps, actor)),
      }),
    }),
  });

const CreateAccountInput = builder.inputType('CreateAccountInput', {
  description: 'Who the new user is.',
  fields: (t) => ({
    email: t.string({
      required: true,
      description:
        'E-mail address, at most 120 characters. Errors: INVALID_INPUT also for characters that cannot be seen, CONFLICT when it is taken.',
    }),
    password: t.string({
      required: true,
      description:
        'Password, 1 to 200 characters, at least one of them visible. It is the same from every keyboard: RFC 8265, OpaqueString.',
    }),
    firstName: t.string({
      required: true,
      description:
        'First name, 1 to 50 characters, at least one of them visible. Blanks around it are left out.',
    }),
    lastName: t.string({
      required: true,
      description: 'Last name, at most 50 characters; empty for who has none.',
    }),
    birthday: t.field({ type: 'Date', description: 'Day of birth, if it is to be known.' }),
  }),
});

const UpdateAccountInput = builder.inputType('UpdateAccountInput', {
  description: 'What is to be changed: fields that are absent stay as they are.',
  fields: (t) => ({
    email: t.string({
      description:
        'E-mail address, at most 120 characters. Errors: INVALID_INPUT also for characters that cannot be seen, CONFLICT when it is taken.',
    }),
    firstName: t.string({ description: 'First name, 1 to 50 characters, at least one of them visible.' }),
    lastName: t.string({ description: 'Last name, at most 50 characters; empty for who has none.' }),
    birthday: t.field({ type: 'Date', description: 'Day of birth; null removes it.' }),
  }),
});

builder.mutationFields((t) => ({
  createAccount: t.field({
    type: LoginPayload,
    complexity: PASSWORD,
    description: 'Creates a user and logs in. Needs no login. FORBIDDEN where `SIGN_UP` is off.',
    args: { input: t.arg({ type: CreateAccountInput, required: true, description: 'Who the user is.' }) },
    resolve: (_root, { input }, { deps }) =>
      accounts.signUp(deps, { ...input, birthday: input.birthday ?? null }),
  }),
  login: t.field({
    type: LoginPayload,
    complexity: PASSWORD,
    description:
      'Logs a user in. Needs no login. UNAUTHENTICATED when the e-mail or the password is wrong, RATE_LIMITED after too many wrong ones, FORBIDDEN where `PASSWORD_LOGIN` is off.',
    args: {
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the account, in any case, width and Unicode form.',
      }),
      password: t.arg.string({ required: true, description: 'Its password.' }),
    },
    resolve: (_root, args, { deps }) => accounts.login(deps, args),
  }),
  loginDevice: t.field({
    type: LoginDevicePayload,
    complexity: PASSWORD,
    description:
      'Logs a device in. Needs no login. UNAUTHENTICATED when the username or the password is wrong, RATE_LIMITED after too many wrong ones.',
    args: {
      username: t.arg.string({ required: true, description: 'Username that `addDevice` answered.' }),
      password: t.arg.string({ required: true, description: 'Password that `addDevice` answered.' }),
    },
    resolve: (_root, args, { deps }) => accounts.loginDevice(deps, args),
  }),
  logout: t.boolean({
    description:
      'Revokes the token of this request, and no other, and ends every connection that used it, on every node. Answers true.',
    resolve: async (_root, _args, context) => {
      await accounts.logout(context.deps, requireSession(context));
      return true;
    },
  }),
  refreshToken: t.field({
    type: RefreshTokenPayload,
    description:
      'Answers a new token for the same account, to go on before the present one expires. A WebSocket whose own token this was goes on with the new one, and its subscriptions with it.',
    resolve: async (_root, _args, context) => {
      const refreshed = await accounts.refreshToken(context.deps, requireSession(context));
      await context.renewSession?.(refreshed.token);
      return refreshed;
    },
  }),
  updateAccount: t.field({
    type: User,
    description: 'Changes what is known of you. FORBIDDEN for devices.',
    args: {
      input: t.arg({ type: UpdateAccountInput, required: true, description: 'What is to be changed.' }),
    },
    resolve: (_root, { input }, context) =>
      accounts.updateAccount(context.deps, requireActor(context), {
        email: input.email ?? undefined,
        firstName: input.firstName ?? undefined,
        lastName: input.lastName ?? undefined,
        birthday: input.birthday,
      }),
  }),
  changePassword: t.field({
    type: User,
    complexity: PASSWORD,
    description:
      'Changes your password. Tokens stay valid. FORBIDDEN when the current one is wrong, and for devices.',
    args: {
      current: t.arg.string({ required: true, description: 'The password as it is.' }),
      next: t.arg.string({
        required: true,
        description: 'The password as it shall be, 1 to 200 characters.',
      }),
    },
    resolve: (_root, args, context) => accounts.changePassword(context.deps, requireActor(context), args),
  }),
  deleteAccount: t.field({
    type: User,
    complexity: PASSWORD,
    description:
      'Deletes your account: you leave all circles and conversations, your messages stay without author, and all your connections end. Answers the account as it was.',
    args: {
      password: t.arg.string({
        required: true,
        description: 'The password, to be sure. FORBIDDEN when it is wrong.',
      }),
    },
    resolve: (_root, args, context) => accounts.deleteAccount(context.deps, requireActor(context), args),
  }),
}));
