import * as calls from '../domain/calls.ts';
import { builder } from './builder.ts';
import { requireActor, requireSession } from './context.ts';
import { requireId } from './global-id.ts';
import { Actor, actorSource } from './refs.ts';

const TurnCredentials = builder.objectRef<calls.TurnCredentials>('TurnCredentials').implement({
  description:
    'What a TURN server lets a caller in with: https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00.',
  fields: (t) => ({
    username: t.exposeString('username', { description: 'Username: when it expires, and whose it is.' }),
    password: t.exposeString('password', { description: 'Password that goes with it.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Until when a call can be set up with it.',
    }),
  }),
});

interface IceServerSource {
  readonly urls: readonly string[];
  readonly credentials?: calls.TurnCredentials | undefined;
}

const IceServer = builder.objectRef<IceServerSource>('IceServer').implement({
  description:
    'A STUN or TURN server, in the shape that RTCPeerConnection takes: https://www.w3.org/TR/webrtc/#dom-rtciceserver.',
  fields: (t) => ({
    urls: t.stringList({
      description: 'Its addresses, such as `turn:example.com:3478`.',
      resolve: ({ urls }) => urls,
    }),
    username: t.string({
      nullable: true,
      description: 'Username for a TURN server; null for STUN servers and for a caller who is not logged in.',
      resolve: ({ credentials }) => credentials?.username,
    }),
    credential: t.string({
      nullable: true,
      description: 'Password for a TURN server; null for STUN servers and for a caller who is not logged in.',
      resolve: ({ credentials }) => credentials?.password,
    }),
  }),
});

const each = (urls: readonly string[]): IceServerSource[] => urls.map((url) => ({ urls: [url] }));

const WebRtcConfig = builder.objectRef<calls.WebRtcConfig>('WebRtcConfig').implement({
  description: 'What it takes to set up a call.',
  fields: (t) => ({
    iceServers: t.field({
      type: [IceServer],
      description:
        'All servers, for `new RTCPeerConnection({ iceServers })` as they are. The TURN servers come with credentials for a caller who is logged in, and without for others.',
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
      description: 'The STUN servers. Needs no login.',
      resolve: ({ stunUrls }) => each(stunUrls),
    }),
    turnServers: t.field({
      type: [IceServer],
      description: 'The TURN servers, without credentials. Needs no login.',
      resolve: ({ turnUrls }) => each(turnUrls),
    }),
    credentials: t.field({
      type: TurnCredentials,
      description:
        'Credentials for the TURN servers, made anew at each request. UNAUTHENTICATED without login.',
      resolve: (config) => config.credentials(),
    }),
  }),
});

builder.queryField('webrtc', (t) =>
  t.field({
    type: WebRtcConfig,
    description: 'What it takes to set up a call. Needs no login, except for credentials.',
    resolve: (_root, _args, { deps, session }) => calls.getWebRtcConfig(deps, session?.actor ?? null),
  }),
);

const SignalTarget = builder.inputType('SignalTarget', {
  description: 'Whom a signal is for, named in one of these ways.',
  isOneOf: true,
  fields: (t) => ({
    email: t.string({ description: 'The user with this e-mail address.' }),
    userId: t.id({ description: 'The user with this global id.' }),
    deviceId: t.id({ description: 'The device with this global id.' }),
  }),
});

const Signal = builder.objectRef<calls.Signal>('Signal').implement({
  description: 'Something that another account sent you to set up a call.',
  fields: (t) => ({
    sender: t.field({
      type: Actor,
      description: 'Who sent it.',
      resolve: ({ sender }) => actorSource(sender),
    }),
    content: t.expose('content', {
      type: 'JSON',
      description:
        'What was sent, unchanged. From a Socket.IO client the whole payload, its address included.',
    }),
  }),
});

builder.mutationField('sendSignal', (t) =>
  t.boolean({
    description:
      'Sends something to another account, to set up a call: an offer, an answer, a candidate. It reaches all their `signals` subscriptions and their newest Socket.IO connection, and is not kept. NOT_FOUND unless you share a circle, UNREACHABLE when they have neither. Answers true.',
    args: {
      to: t.arg({ type: SignalTarget, required: true, description: 'Whom it is for.' }),
      content: t.arg({
        type: 'JSON',
        required: true,
        description:
          'What is sent. Socket.IO clients get it as their `content`: the apps among them read its field `message`.',
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
      'What other accounts send you with `sendSignal`, or Socket.IO clients with `webrtc_forward`. As long as you are subscribed you can be reached. Nothing is kept: what comes while you are away is lost.',
    subscribe: (_root, _args, context) =>
      calls.openSignals(context.deps, requireSession(context), context.signal),
    resolve: (signal) => signal,
  }),
);
