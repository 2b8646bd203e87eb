import { isEmailVerificationOn } from '../config.ts';
import * as verification from '../domain/email-verification.ts';
import type { UserId } from '../ids.ts';
import { builder, perActor } from './builder.ts';
import { requireActor } from './context.ts';
import { User } from './refs.ts';

const EmailVerification = builder.objectRef<{ readonly userId: UserId }>('EmailVerification');

EmailVerification.implement({
  description:
    'The verification of your e-mail address. Where the server requires it, invitations by and to unverified addresses are held.',
  fields: (t) => ({
    isRequired: t.boolean({
      description: 'Whether the server verifies e-mail addresses.',
      resolve: (_verification, _args, { deps }) => isEmailVerificationOn(deps.config),
    }),
    isVerified: t.boolean({
      description: 'Whether you have proved to own the address.',
      resolve: async ({ userId }, _args, { loaders }) => (await loaders.isEmailVerified(userId)) ?? false,
    }),
  }),
});

// An object, so that clients that select every scalar of an event do not cause a query.
builder.objectField(User, 'emailVerification', (t) =>
  t.field({
    type: EmailVerification,
    nullable: true,
    ...perActor,
    description: 'The verification of your e-mail address. Null unless the user is you.',
    resolve: ({ id }, _args, { session }) =>
      session?.actor.kind === 'user' && session.actor.id === id ? { userId: id } : null,
  }),
);

builder.mutationFields((t) => ({
  sendVerificationEmail: t.field({
    type: User,
    description:
      'Sends a mail with a token for `verifyEmail` to your e-mail address, unless it is verified. Earlier tokens become invalid. Creating an account or changing its e-mail address does the same. FORBIDDEN if the server does not verify addresses. Returns you. Errors: UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED.',
    resolve: (_root, _args, context) => verification.requestVerification(context.deps, requireActor(context)),
  }),
  verifyEmail: t.field({
    type: User,
    description:
      'Verifies your e-mail address, and publishes `CircleInvited` for each invitation that was held. Returns you. Errors: UNAUTHENTICATED, FORBIDDEN, INVALID_INPUT.',
    args: {
      token: t.arg.string({
        required: true,
        description:
          'The token from the newest mail, valid for 24 hours. INVALID_INPUT if it is wrong, expired or used, or the e-mail address has changed since.',
      }),
    },
    resolve: (_root, { token }, context) =>
      verification.verifyEmail(context.deps, requireActor(context), token),
  }),
}));
