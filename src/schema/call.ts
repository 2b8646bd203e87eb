import * as calls from '../domain/calls.ts';
import { builder } from './builder.ts';
import { requireActor, requireSession } from './context.ts';
import { requireId } from './global-id.ts';
import { Actor, actorSource } from './refs.ts';

const TurnCredentials = builder.objectRef<calls.TurnCredentials>('TurnCredentials').implement({
  description:
    'Time-limited TURN credentials: https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00.',
  fields: (t) => ({
    username: t.exposeString('username', { description: 'Username: expiry time and account.' }),
    password: t.exposeString('password', { description: 'Password for the username.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Expiry time: a call must be set up before.',
    }),
  }),
});

interface IceServerSource {
  readonly urls: readonly string[];
  readonly credentials?: calls.TurnCredentials | undefined;
}

const IceServer = builder.objectRef<IceServerSource>('IceServer').implement({
  description: 'A STUN or TURN server, as an RTCIceServer: https://www.w3.org/TR/webrtc/#dom-rtciceserver.',
  fields: (t) => ({
    urls: t.stringList({
      description: 'Server URLs, for example `turn:example.com:3478`.',
      resolve: ({ urls }) => urls,
    }),
    username: t.string({
      nullable: true,
      description: 'Username for a TURN server; null for STUN servers and without a session.',
      resolve: ({ credentials }) => credentials?.username,
    }),
    credential: t.string({
      nullable: true,
      description: 'Password for a TURN server; null for STUN servers and without a session.',
      resolve: ({ credentials }) => credentials?.password,
    }),
  }),
});

const each = (urls: readonly string[]): IceServerSource[] => urls.map((url) => ({ urls: [url] }));

const WebRtcConfig = builder.objectRef<calls.WebRtcConfig>('WebRtcConfig').implement({
  description: 'The configuration for WebRTC calls.',
  fields: (t) => ({
    iceServers: t.field({
      type: [IceServer],
      description:
        'All servers, for `new RTCPeerConnection({ iceServers })`. TURN servers include credentials if the caller has a session.',
      resolve: (config, _args, { session }) => {
        const credentials = session === null ? undefined : config.credentials();
        return [
          ...each(config.stunUrls),
          ...each(config.turnUrls).map((server) => ({ ...server, credentials })),
        ];
      },
    }),
    stunServers: t.field({
      type: [IceServer],
      description: 'The STUN servers. Requires no session.',
      resolve: ({ stunUrls }) => each(stunUrls),
    }),
    turnServers: t.field({
      type: [IceServer],
      description: 'The TURN servers, without credentials. Requires no session.',
      resolve: ({ turnUrls }) => each(turnUrls),
    }),
    credentials: t.field({
      type: TurnCredentials,
      description: 'New credentials for the TURN servers. Errors: UNAUTHENTICATED.',
      resolve: (config) => config.credentials(),
    }),
  }),
});

builder.queryField('webrtc', (t) =>
  t.field({
    type: WebRtcConfig,
    description: 'The configuration for WebRTC calls. Requires no session, except for `credentials`.',
    resolve: (_root, _args, { deps, session }) => calls.getWebRtcConfig(deps, session?.actor ?? null),
  }),
);

const SignalTarget = builder.inputType('SignalTarget', {
  description: 'The target of a signal, by exactly one of these fields.',
  isOneOf: true,
  fields: (t) => ({
    email: t.string({ description: 'E-mail address of a user.' }),
    userId: t.id({ description: 'Global id of a user.' }),
    deviceId: t.id({ description: 'Global id of a device.' }),
  }),
});

const Signal = builder.objectRef<calls.Signal>('Signal').implement({
  description: 'A call signal from another account.',
  fields: (t) => ({
    sender: t.field({
      type: Actor,
      description: 'The sender of the signal.',
      resolve: ({ sender }) => actorSource(sender),
    }),
    content: t.expose('content', {
      type: 'JSON',
      description: 'The content as sent. From a Socket.IO client: the whole payload, including its target.',
    }),
  }),
});

builder.mutationField('sendSignal', (t) =>
  t.boolean({
    description:
      'Sends a call signal to another account, such as an offer, an answer or a candidate. Delivered to all its `signals` subscriptions and its newest Socket.IO connection; ephemeral. NOT_FOUND unless both share a circle, UNREACHABLE without such a connection. Returns true. Errors: NOT_FOUND, UNREACHABLE, LIMIT_EXCEEDED, RATE_LIMITED.',
    args: {
      to: t.arg({ type: SignalTarget, required: true, description: 'The target account.' }),
      content: t.arg({
        type: 'JSON',
        required: true,
        description:
          'The content, passed on unchanged. Socket.IO clients receive it as `content`; most apps read its field `message`.',
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
      'Call signals from `sendSignal`, and from `webrtc_forward` of Socket.IO clients. The caller is reachable while subscribed. Ephemeral: signals sent while disconnected are lost. Errors: UNAUTHENTICATED.',
    subscribe: (_root, _args, context) =>
      calls.openSignals(context.deps, requireSession(context), context.signal),
    resolve: (signal) => signal,
  }),
);
