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
  description: 'A user account of a person.',
  fields: (t) => ({
    legacyId: t.exposeInt('id', {
      description: 'Numeric id: `user_id` and `sender.id` of Socket.IO clients.',
    }),
    email: t.exposeString('email', {
      description:
        'E-mail address as entered, in Unicode NFC. Unique regardless of case, width and Unicode form.',
    }),
    firstName: t.exposeString('firstName', { description: 'First name.' }),
    lastName: t.exposeString('lastName', { description: 'Last name.' }),
    birthday: t.expose('birthday', {
      type: 'Date',
      nullable: true,
      description: 'Date of birth; null when not given.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time of the account.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last change to the account.',
    }),
    isOnline: t.boolean({
      description:
        'Whether the account has an authenticated WebSocket, event stream or Socket.IO connection on any node. In an event: the state at the time of the event.',
      resolve: ({ online, id }, _args, { loaders }) => online ?? isOnline({ kind: 'user', id }, loaders),
    }),
    circles: t.connection(
      {
        type: Circle,
        nullable: true,
        ...perActor,
        description: 'The user’s circles, oldest first. Null unless the user is the caller.',
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
          'The user’s pending invitations to circles, oldest first. Null unless the user is the caller.',
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
    description: 'The account of the caller’s token. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) =>
      actorSource(await accounts.requireMe(context.deps, requireActor(context))),
  }),
}));

const token =
  'Token for `Authorization: Bearer …`. Expires after one day, for devices after 30 days; `logout` revokes it.';

const LoginPayload = builder.objectRef<{ token: string; user: UserSource }>('LoginPayload').implement({
  description: 'A new user session. Other sessions of the account stay valid.',
  fields: (t) => ({
    token: t.exposeString('token', { description: token }),
    user: t.expose('user', { type: User, description: 'The account of the token.' }),
  }),
});

const LoginDevicePayload = builder
  .objectRef<{ token: string; device: DeviceSource }>('LoginDevicePayload')
  .implement({
    description: 'A new device session.',
    fields: (t) => ({
      token: t.exposeString('token', { description: token }),
      device: t.expose('device', { type: Device, description: 'The device of the token.' }),
    }),
  });

const RefreshTokenPayload = builder
  .objectRef<{ token: string; actor: ActorRef }>('RefreshTokenPayload')
  .implement({
    description: 'A further session of the same account.',
    fields: (t) => ({
      token: t.exposeString('token', {
        description: `${token} The presented token stays valid.`,
      }),
      actor: t.field({
        type: Actor,
        description: 'The account of the token.',
        resolve: async ({ actor }, _args, { deps }) => actorSource(await accounts.requireMe(deps, actor)),
      }),
    }),
  });

const CreateAccountInput = builder.inputType('CreateAccountInput', {
  description: 'The new user’s profile and credentials.',
  fields: (t) => ({
    email: t.string({
      required: true,
      description:
        'E-mail address, at most 120 characters, without invisible characters. Errors: INVALID_INPUT, CONFLICT if another account uses it.',
    }),
    password: t.string({
      required: true,
      description:
        'Password, 1 to 200 characters, at least one visible. Compared as RFC 8265 OpaqueString, so that all keyboards produce the same password.',
    }),
    firstName: t.string({
      required: true,
      description: 'First name, 1 to 50 characters, at least one visible. Surrounding whitespace is trimmed.',
    }),
    lastName: t.string({
      required: true,
      description: 'Last name, at most 50 characters; may be empty.',
    }),
    birthday: t.field({ type: 'Date', description: 'Date of birth.' }),
  }),
});

const UpdateAccountInput = builder.inputType('UpdateAccountInput', {
  description: 'The fields to change; absent fields stay unchanged.',
  fields: (t) => ({
    email: t.string({
      description:
        'E-mail address, at most 120 characters, without invisible characters. Errors: INVALID_INPUT, CONFLICT if another account uses it.',
    }),
    firstName: t.string({ description: 'First name, 1 to 50 characters, at least one visible.' }),
    lastName: t.string({ description: 'Last name, at most 50 characters; may be empty.' }),
    birthday: t.field({ type: 'Date', description: 'Date of birth; null removes it.' }),
  }),
});

builder.mutationFields((t) => ({
  createAccount: t.field({
    type: LoginPayload,
    complexity: PASSWORD,
    description:
      'Creates a user account and logs in. Requires no session. FORBIDDEN if `SIGN_UP` is off. Errors: INVALID_INPUT, CONFLICT, FORBIDDEN.',
    args: {
      input: t.arg({
        type: CreateAccountInput,
        required: true,
        description: 'The user’s profile and credentials.',
      }),
    },
    resolve: (_root, { input }, { deps }) =>
      accounts.signUp(deps, { ...input, birthday: input.birthday ?? null }),
  }),
  login: t.field({
    type: LoginPayload,
    complexity: PASSWORD,
    description:
      'Logs a user in. Requires no session. UNAUTHENTICATED for a wrong e-mail or password, RATE_LIMITED after too many, FORBIDDEN if `PASSWORD_LOGIN` is off. Errors: UNAUTHENTICATED, RATE_LIMITED, FORBIDDEN.',
    args: {
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the account, in any case, width and Unicode form.',
      }),
      password: t.arg.string({ required: true, description: 'Password of the account.' }),
    },
    resolve: (_root, args, { deps }) => accounts.login(deps, args),
  }),
  loginDevice: t.field({
    type: LoginDevicePayload,
    complexity: PASSWORD,
    description:
      'Logs a device in. Requires no session. UNAUTHENTICATED for a wrong username or password, RATE_LIMITED after too many. Errors: UNAUTHENTICATED, RATE_LIMITED.',
    args: {
      username: t.arg.string({ required: true, description: 'Username returned by `addDevice`.' }),
      password: t.arg.string({ required: true, description: 'Password returned by `addDevice`.' }),
    },
    resolve: (_root, args, { deps }) => accounts.loginDevice(deps, args),
  }),
  logout: t.boolean({
    description:
      'Revokes the token of this request and closes every connection that uses it, on every node. Other tokens stay valid. Returns true. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) => {
      await accounts.logout(context.deps, requireSession(context));
      return true;
    },
  }),
  refreshToken: t.field({
    type: RefreshTokenPayload,
    description:
      'Issues a new token for the same account. A WebSocket that was opened with the presented token continues with the new one, with its subscriptions. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) => {
      const refreshed = await accounts.refreshToken(context.deps, requireSession(context));
      await context.renewSession?.(refreshed.token);
      return refreshed;
    },
  }),
  updateAccount: t.field({
    type: User,
    description: 'Updates the caller’s profile. Users only. Errors: INVALID_INPUT, CONFLICT, FORBIDDEN.',
    args: {
      input: t.arg({ type: UpdateAccountInput, required: true, description: 'The fields to change.' }),
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
      'Changes the caller’s password. Tokens stay valid. Users only. FORBIDDEN for a wrong current password, RATE_LIMITED after too many. Errors: FORBIDDEN, RATE_LIMITED, INVALID_INPUT.',
    args: {
      current: t.arg.string({ required: true, description: 'The current password.' }),
      next: t.arg.string({
        required: true,
        description: 'The new password, 1 to 200 characters.',
      }),
    },
    resolve: (_root, args, context) => accounts.changePassword(context.deps, requireActor(context), args),
  }),
  deleteAccount: t.field({
    type: User,
    complexity: PASSWORD,
    description:
      'Deletes the caller’s account: leaves all circles and conversations, keeps the messages without author, and closes all connections. Users only. Returns the deleted account. Errors: FORBIDDEN, RATE_LIMITED.',
    args: {
      password: t.arg.string({
        required: true,
        description: 'The password, as confirmation. FORBIDDEN if it is wrong.',
      }),
    },
    resolve: (_root, args, context) => accounts.deleteAccount(context.deps, requireActor(context), args),
  }),
}));
