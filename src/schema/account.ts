import * as accounts from '../domain/accounts.ts';
import { findCirclesByActor, findInvitationsByActor } from '../domain/circles.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { connectionFromArray } from './pagination.ts';
import type { Context } from './context.ts';
import { clientOf, requireActor, requireSession } from './context.ts';
import { PASSWORD_COST } from './complexity.ts';
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
      description: 'Numeric id. Socket.IO clients receive it as `user_id`, and as `id` of a `sender`.',
    }),
    email: t.exposeString('email', {
      description:
        'The user’s e-mail address as entered, in Unicode NFC. Unique among accounts, ignoring case, width and Unicode form.',
    }),
    firstName: t.exposeString('firstName', { description: 'The user’s first name.' }),
    lastName: t.exposeString('lastName', { description: 'The user’s last name; empty if there is none.' }),
    birthday: t.expose('birthday', {
      type: 'Date',
      nullable: true,
      description: 'The user’s date of birth; null if not given.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Creation time of the account.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Time of the last change to the account.',
    }),
    isOnline: t.boolean({
      description:
        'Whether the account has an authenticated connection (WebSocket, event stream or Socket.IO) on any node. In an event: the status at the time of the event.',
      resolve: ({ online, id }, _args, { loaders }) => online ?? isOnline({ kind: 'user', id }, loaders),
    }),
    circles: t.connection(
      {
        type: Circle,
        nullable: true,
        ...perActor,
        description: 'The circles you belong to, oldest first. Null unless the user is you.',
        resolve: async ({ id }, args, context) =>
          isCaller(id, context)
            ? connectionFromArray(
                'Circle',
                await findCirclesByActor(context.deps, { kind: 'user', id }),
                args,
              )
            : null,
      },
      CircleConnection,
    ),
    invitations: t.connection(
      {
        type: CircleInvitation,
        nullable: true,
        ...perActor,
        description: 'Your pending invitations to circles, oldest first. Null unless the user is you.',
        resolve: async ({ id }, args, context) =>
          isCaller(id, context)
            ? connectionFromArray(
                'CircleInvitation',
                await findInvitationsByActor(context.deps, { kind: 'user', id }),
                args,
              )
            : null,
      },
      CircleInvitationConnection,
    ),
  }),
});

builder.queryFields((t) => ({
  me: t.field({
    type: Actor,
    description: 'The account of your token. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) => {
      const actor = requireActor(context);
      return actorSource(await context.loaders.share('me', () => accounts.requireMe(context.deps, actor)));
    },
  }),
}));

const tokenDescription =
  'Bearer token for the `Authorization` header. Valid for 24 hours (30 days for a device), or until `logout`, `logoutEverywhere` or a change of the password.';

const LoginPayload = builder.objectRef<{ token: string; user: UserSource }>('LoginPayload').implement({
  description: 'A new session of a user. Other sessions of the account stay valid.',
  fields: (t) => ({
    token: t.exposeString('token', { description: tokenDescription }),
    user: t.expose('user', { type: User, description: 'The user who logged in.' }),
  }),
});

const LoginDevicePayload = builder
  .objectRef<{ token: string; device: DeviceSource }>('LoginDevicePayload')
  .implement({
    description: 'A new session of a device.',
    fields: (t) => ({
      token: t.exposeString('token', { description: tokenDescription }),
      device: t.expose('device', { type: Device, description: 'The device that logged in.' }),
    }),
  });

const RefreshTokenPayload = builder
  .objectRef<{ token: string; actor: ActorRef }>('RefreshTokenPayload')
  .implement({
    description: 'A new token of the same login.',
    fields: (t) => ({
      token: t.exposeString('token', {
        description: `${tokenDescription} The token of the request stays valid, too, until it expires.`,
      }),
      actor: t.field({
        type: Actor,
        description: 'The account of the token.',
        resolve: async ({ actor }, _args, { deps }) => actorSource(await accounts.requireMe(deps, actor)),
      }),
    }),
  });

const CreateAccountInput = builder.inputType('CreateAccountInput', {
  description: 'The data of a new user.',
  fields: (t) => ({
    email: t.string({
      required: true,
      description:
        'E-mail address, at most 120 characters, without invisible characters. CONFLICT if another account has it.',
    }),
    password: t.string({
      required: true,
      description:
        'Password, 8 to 200 characters, at least one of them visible. Normalised by the OpaqueString profile of RFC 8265, so that it does not depend on the keyboard.',
    }),
    firstName: t.string({
      required: true,
      description:
        'First name, 1 to 50 characters, at least one of them visible. Surrounding whitespace is removed.',
    }),
    lastName: t.string({
      required: true,
      description: 'Last name, at most 50 characters; may be empty.',
    }),
    birthday: t.field({ type: 'Date', description: 'Date of birth.' }),
  }),
});

const UpdateAccountInput = builder.inputType('UpdateAccountInput', {
  description: 'The changes to an account. Absent fields stay unchanged.',
  fields: (t) => ({
    email: t.string({
      description:
        'E-mail address, at most 120 characters, without invisible characters. CONFLICT if another account has it.',
    }),
    firstName: t.string({
      description:
        'First name, 1 to 50 characters, at least one of them visible. Surrounding whitespace is removed.',
    }),
    lastName: t.string({ description: 'Last name, at most 50 characters; may be empty.' }),
    birthday: t.field({ type: 'Date', description: 'Date of birth; null removes it.' }),
  }),
});

builder.mutationFields((t) => ({
  createAccount: t.field({
    type: LoginPayload,
    complexity: PASSWORD_COST,
    description:
      'Creates an account and logs in. Requires no token. FORBIDDEN if the server has `SIGN_UP` off. Errors: INVALID_INPUT, FORBIDDEN, CONFLICT, RATE_LIMITED.',
    args: {
      input: t.arg({ type: CreateAccountInput, required: true, description: 'The data of the user.' }),
    },
    resolve: (_root, { input }, context) =>
      accounts.signUp(context.deps, { ...input, birthday: input.birthday ?? null }, clientOf(context)),
  }),
  login: t.field({
    type: LoginPayload,
    complexity: PASSWORD_COST,
    description:
      'Logs a user in. Requires no token. UNAUTHENTICATED if the e-mail address or password is wrong, RATE_LIMITED for a time that grows after 10 failures, FORBIDDEN if the server has `PASSWORD_LOGIN` off, or the account is blocked. Errors: UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED.',
    args: {
      email: t.arg.string({
        required: true,
        description: 'E-mail address of the account, ignoring case, width and Unicode form.',
      }),
      password: t.arg.string({ required: true, description: 'Password of the account.' }),
    },
    resolve: (_root, args, context) => accounts.login(context.deps, args, clientOf(context)),
  }),
  loginDevice: t.field({
    type: LoginDevicePayload,
    complexity: PASSWORD_COST,
    description:
      'Logs a device in. Requires no token. UNAUTHENTICATED if the username or password is wrong, RATE_LIMITED for a time that grows after 10 failures, FORBIDDEN if the device is blocked. Errors: UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED.',
    args: {
      username: t.arg.string({ required: true, description: 'Username returned by `addDevice`.' }),
      password: t.arg.string({ required: true, description: 'Password returned by `addDevice`.' }),
    },
    resolve: (_root, args, context) => accounts.loginDevice(context.deps, args, clientOf(context)),
  }),
  logout: t.boolean({
    description:
      'Revokes the token of this request and disconnects every connection that uses it, on every node. Other tokens of the account stay valid. Returns true. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) => {
      await accounts.logout(context.deps, requireSession(context), clientOf(context));
      return true;
    },
  }),
  logoutEverywhere: t.boolean({
    description:
      'Revokes all tokens of your account, the token of this request included, and disconnects every connection that uses one, on every node. Returns true. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) => {
      await accounts.logoutEverywhere(context.deps, requireSession(context), clientOf(context));
      return true;
    },
  }),
  refreshToken: t.field({
    type: RefreshTokenPayload,
    description:
      'Issues a new token for the same login. Call it before the current token expires. UNAUTHENTICATED once 30 days (90 days for a device) have passed since the login, and if the token was refreshed more than a minute ago already: then all tokens of the login are revoked. If sent over a WebSocket, the connection and its subscriptions continue with the new token. Errors: UNAUTHENTICATED.',
    resolve: async (_root, _args, context) => {
      const refreshed = await accounts.refreshToken(context.deps, requireSession(context), clientOf(context));
      await context.renewSession?.(refreshed.token);
      return refreshed;
    },
  }),
  updateAccount: t.field({
    type: User,
    description:
      'Updates your account. FORBIDDEN for devices. Errors: UNAUTHENTICATED, INVALID_INPUT, FORBIDDEN, CONFLICT, RATE_LIMITED.',
    args: {
      input: t.arg({ type: UpdateAccountInput, required: true, description: 'The changes.' }),
    },
    resolve: (_root, { input }, context) =>
      accounts.updateAccount(
        context.deps,
        requireActor(context),
        {
          email: input.email ?? undefined,
          firstName: input.firstName ?? undefined,
          lastName: input.lastName ?? undefined,
          birthday: input.birthday,
        },
        clientOf(context),
      ),
  }),
  changePassword: t.field({
    type: User,
    complexity: PASSWORD_COST,
    description:
      'Changes your password and ends all your other sessions, on every node: only the token of this request stays valid. FORBIDDEN if the current password is wrong, for devices, and for accounts of an identity provider. Errors: UNAUTHENTICATED, INVALID_INPUT, FORBIDDEN, RATE_LIMITED.',
    args: {
      current: t.arg.string({ required: true, description: 'The current password.' }),
      next: t.arg.string({
        required: true,
        description: 'The new password, 8 to 200 characters, at least one of them visible.',
      }),
    },
    resolve: (_root, args, context) =>
      accounts.changePassword(context.deps, requireSession(context), args, clientOf(context)),
  }),
  deleteAccount: t.field({
    type: User,
    complexity: PASSWORD_COST,
    description:
      'Deletes your account. You leave all circles and conversations, your messages stay without an author, and all your connections end. Returns the account as it was. FORBIDDEN if the password is wrong, and for devices. Errors: UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED.',
    args: {
      password: t.arg.string({
        required: true,
        description: 'Your password, as confirmation. Ignored for accounts of an identity provider.',
      }),
    },
    resolve: (_root, args, context) =>
      accounts.deleteAccount(context.deps, requireSession(context), args, clientOf(context)),
  }),
}));
