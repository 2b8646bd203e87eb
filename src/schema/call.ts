import * as calls from '../domain/calls.ts';
import { builder } from './builder.ts';
import { requireActor, requireSession } from './context.ts';
import { requireId } from './global-id.ts';
import { Actor, actorSource } from './refs.ts';

const TurnCredentials = builder.objectRef<calls.TurnCredentials>('TurnCredentials').implement({
  description:
    'Time-limited credentials for a TURN server: https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00.',
  fields: (t) => ({
    username: t.exposeString('username', {
      description: 'Username: expiry time in seconds since 1970, a colon, and the account.',
    }),
    password: t.exposeString('password', { description: 'Password for the username.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Expiry time. Calls set up before continue.',
    }),
  }),
});

interface IceServerSource {
  readonly urls: readonly string[];
  readonly credentials?: calls.TurnCredentials | undefined;
}

const IceServer = builder.objectRef<IceServerSource>('IceServer').implement({
  description:
    'A STUN or TURN server in the shape of RTCIceServer: https://www.w3.org/TR/webrtc/#dom-rtciceserver.',
  fields: (t) => ({
    urls: t.stringList({
      description: 'URLs of the server, for example `turn:example.com:3478`.',
      resolve: ({ urls }) => urls,
    }),
    username: t.string({
      nullable: true,
      description: 'Username for a TURN server; null for a STUN server, and without a token.',
      resolve: ({ credentials }) => credentials?.username,
    }),
    credential: t.string({
      nullable: true,
      description: 'Password for a TURN server; null for a STUN server, and without a token.',
      resolve: ({ credentials }) => credentials?.password,
    }),
  }),
});

const toServers = (urls: readonly string[]): IceServerSource[] => urls.map((url) => ({ urls: [url] }));

const WebRtcConfig = builder.objectRef<calls.WebRtcConfig>('WebRtcConfig').implement({
  description: 'The configuration for setting up a call.',
  fields: (t) => ({
    iceServers: t.field({
      type: [IceServer],
      description:
        'All servers, ready for `new RTCPeerConnection({ iceServers })`. With a token, the TURN servers include credentials.',
      resolve: (config, _args, { session }) => {
        const credentials = session === null ? undefined : config.credentials();
        return [
          ...toServers(config.stunUrls),
          ...toServers(config.turnUrls).map((server) => ({ ...server, credentials })),
        ];
      },
    }),
    stunServers: t.field({
      type: [IceServer],
      description: 'The STUN servers. Requires no token.',
      resolve: ({ stunUrls }) => toServers(stunUrls),
    }),
    turnServers: t.field({
      type: [IceServer],
      description: 'The TURN servers, without credentials. Requires no token.',
      resolve: ({ turnUrls }) => toServers(turnUrls),
    }),
    credentials: t.field({
      type: TurnCredentials,
      description: 'Credentials for the TURN servers, new for each request. Errors: UNAUTHENTICATED.',
      resolve: (config) => config.credentials(),
    }),
  }),
});

builder.queryField('webrtc', (t) =>
  t.field({
    type: WebRtcConfig,
    description: 'The configuration for setting up a call. Requires no token, except for credentials.',
    resolve: (_root, _args, { deps, session }) => calls.getWebRtcConfig(deps, session?.actor ?? null),
  }),
);

const SignalTarget = builder.inputType('SignalTarget', {
  description: 'The recipient of a signal.',
  isOneOf: true,
  fields: (t) => ({
    email: t.string({ description: 'The user with this e-mail address.' }),
    userId: t.id({ description: 'The user with this global id.' }),
    deviceId: t.id({ description: 'The device with this global id.' }),
  }),
});

const Signal = builder.objectRef<calls.Signal>('Signal').implement({
  description: 'A call signalling message from another account.',
  fields: (t) => ({
    sender: t.field({
      type: Actor,
      description: 'The sender.',
      resolve: ({ sender }) => actorSource(sender),
    }),
    content: t.expose('content', {
      type: 'JSON',
      description:
        'The content, unchanged. From a Socket.IO client: the whole payload, including the recipient.',
    }),
  }),
});

builder.mutationField('sendSignal', (t) =>
  t.boolean({
    description:
      'Sends a call signalling message (session description or ICE candidate) to another account. Delivered to all its `signals` subscriptions and its newest Socket.IO connection, and not persisted. NOT_FOUND unless you share a circle, UNREACHABLE if the recipient has neither. Returns true. Errors: UNAUTHENTICATED, NOT_FOUND, INVALID_INPUT, LIMIT_EXCEEDED, UNREACHABLE, RATE_LIMITED.',
    args: {
      to: t.arg({ type: SignalTarget, required: true, description: 'The recipient.' }),
      content: t.arg({
        type: 'JSON',
        required: true,
        description:
          'The content: at most 262,144 bytes of JSON, nested at most 100 levels deep, else LIMIT_EXCEEDED. Socket.IO clients receive it as `content`; the mobile apps read its field `message`.',
      }),
    },
    resolve: async (_root, { to, content }, context) => {
      await calls.sendSignal(context.deps, requireActor(context), {
        to: {
          email: to.email,
          userId: to.userId == null ? undefined : requireId('User', 'userId', to.userId),
          deviceId: to.deviceId == null ? undefined : requireId('Device', 'deviceId', to.deviceId),
        },
        content,
      });
      return true;
    },
  }),
);

builder.subscriptionField('signals', (t) =>
  t.field({
    type: Signal,
    description:
      'Call signalling messages sent to you with `sendSignal`, or with `webrtc_forward` by Socket.IO clients. You are reachable while subscribed. Ephemeral: signals sent while you are not subscribed are lost. Ends with LIMIT_EXCEEDED (reason SLOW) if more than 256 signals, or 1 MB of them on one connection, are queued. Errors: UNAUTHENTICATED, LIMIT_EXCEEDED.',
    subscribe: (_root, _args, context) => calls.openSignals(context.deps, requireSession(context), context),
    resolve: (signal) => signal,
  }),
);
