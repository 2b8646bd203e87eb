import { z } from 'zod';
import {
  forwardChannels,
  hostAddress,
  iceUrls,
  list,
  onOff,
  oneOf,
  origins,
  proxies,
  secrets,
  urlOf,
  wholeNumber,
} from './config-parsers.ts';

/** All environment variables: parser, default and description. Source of docs/configuration.md and `--help`. */
export const VARIABLES = {
  HOST: {
    schema: hostAddress.optional(),
    default: '127.0.0.1; 0.0.0.0 with `DATABASE_URL`',
    description:
      'Address to listen on. Set 0.0.0.0 to make the embedded gateway reachable from other machines.',
  },
  PORT: {
    schema: wholeNumber(0, 65_535).default(4000),
    default: '4000',
    description: 'Port to listen on; 0 picks a free one.',
  },
  DATA_DIR: {
    schema: z.string().min(1).default('./data'),
    default: './data',
    description:
      'Folder of the embedded database, the media and the generated secret; `memory` persists nothing.',
  },
  DATABASE_URL: {
    schema: urlOf(/^postgres(ql)?:\/\//i, 'postgres://user:password@host:5432/database').optional(),
    default: 'none: the embedded database',
    description: 'PostgreSQL to use instead of the embedded database; any number of nodes may share it.',
  },
  DATABASE_POOL_SIZE: {
    schema: wholeNumber(1, 1_000).default(10),
    default: '10',
    description:
      'Most PostgreSQL connections of a node for statements. Up to three more (five with `DATABASE_LISTEN_URL`) are for the heartbeat, readiness and `LISTEN`.',
  },
  DATABASE_LISTEN_URL: {
    schema: urlOf(/^postgres(ql)?:\/\//i, 'postgres://user:password@host:5432/database').optional(),
    default: '`DATABASE_URL`',
    description:
      'URL of the same database for `LISTEN` and the heartbeat, past a pooler such as PgBouncer in `DATABASE_URL`.',
  },
  REDIS_URL: {
    schema: urlOf(/^rediss?:\/\//i, 'redis://host:6379').optional(),
    default: 'none: LISTEN/NOTIFY',
    description: 'Redis that carries live events between nodes, with `DATABASE_URL`.',
  },
  AUTH_SECRET: {
    schema: secrets.optional(),
    default: 'generated and stored in `DATA_DIR`',
    description:
      'HS256 secret of account tokens; required with `DATABASE_URL`. A comma-separated list during rotation: new tokens are signed with the first secret, and all are accepted.',
  },
  AUTH_DEVICE_SECRET: {
    schema: secrets.optional(),
    default: 'none: device tokens are recognised by their `kind` claim',
    description:
      'HS256 secret of device tokens, or a comma-separated list as in `AUTH_SECRET`; a token signed with one belongs to a device.',
  },
  AUTH_JWKS_URL: {
    schema: z.url({ protocol: /^https?$/, error: 'must be one URL such as https://host/keys' }).optional(),
    default: 'none',
    description: 'Key set (JWKS) of an external identity provider whose tokens are also accepted.',
  },
  AUTH_ISSUER: {
    schema: z.string().optional(),
    default: 'none',
    description: 'Expected `iss` of external tokens; required with `AUTH_JWKS_URL`.',
  },
  AUTH_AUDIENCE: {
    schema: z.string().optional(),
    default: 'none',
    description:
      'Expected `aud` of external tokens; required with `AUTH_JWKS_URL`. `any` accepts the tokens that the issuer made for other applications, too, but no ID tokens.',
  },
  STUN_URLS: {
    schema: iceUrls(
      /^stuns?:(?<host>\[[^\]\s]*\]|[^:/?\s[\]]+)(?::(?<port>\d{1,5}))?$/,
      'stun:host:3478',
    ).default(['stun:webrtc.neo.ovh:3478']),
    default: 'stun:webrtc.neo.ovh:3478',
    description: 'Comma-separated STUN servers sent to clients.',
  },
  TURN_URLS: {
    schema: iceUrls(
      /^turns?:(?<host>\[[^\]\s]*\]|[^:/?\s[\]]+)(?::(?<port>\d{1,5}))?(?:\?transport=(?:udp|tcp))?$/,
      'turn:host:3478',
    ).default(['turn:webrtc.neo.ovh:3478']),
    default: 'turn:webrtc.neo.ovh:3478',
    description: 'Comma-separated TURN servers sent to clients.',
  },
  TURN_SECRET: {
    schema: list.refine((secrets) => secrets.length > 0, 'must not be empty').optional(),
    default: 'random: no TURN server accepts the credentials',
    description:
      'Shared secret of the TURN servers (`static-auth-secret`), or a comma-separated list during rotation: credentials are signed with the first.',
  },
  TURN_TTL: {
    schema: wholeNumber(60, 31_536_000).default(86_400),
    default: '86400',
    description: 'Lifetime of TURN credentials, in seconds.',
  },
  MEDIA_DIR: {
    schema: z.string().min(1).optional(),
    default: '`DATA_DIR`/media',
    description: 'Folder of uploaded media. Nodes that share a database must share this folder.',
  },
  MEDIA_S3_ENDPOINT: {
    schema: urlOf(/^https?:\/\//i, 'https://s3.eu-west-3.amazonaws.com').optional(),
    default: 'none',
    description:
      'S3, or a compatible server, that stores media in place of `MEDIA_DIR`. Clients must be able to reach it: they download from it.',
  },
  MEDIA_S3_BUCKET: {
    schema: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket, such as parley-media')
      .optional(),
    default: 'none',
    description: 'Bucket of media, in the path of requests.',
  },
  MEDIA_S3_REGION: {
    schema: z.string().min(1).default('us-east-1'),
    default: 'us-east-1',
    description: 'Region of the bucket.',
  },
  MEDIA_S3_ACCESS_KEY_ID: {
    schema: z.string().min(1).optional(),
    default: 'none',
    description:
      'Access key that may get, put and delete objects of the bucket, list it, and list and abort uploads in parts.',
  },
  MEDIA_S3_SECRET_ACCESS_KEY: {
    schema: z.string().min(1).optional(),
    default: 'none',
    description: 'Secret of the access key.',
  },
  MEDIA_INSPECTION: {
    schema: onOff.default('on'),
    default: 'on',
    description:
      'Whether uploaded images, audio and video are inspected for their dimensions, duration and preview, each in a process of its own: `on` or `off`.',
  },
  MEDIA_URL_TTL: {
    schema: wholeNumber(1, 604_800).default(3_600),
    default: '3600',
    description:
      'Longest lifetime of a `Media.url`, in seconds; at least three quarters of it, unless the token of its query expires earlier.',
  },
  MAX_UPLOAD_BYTES: {
    schema: wholeNumber(1).default(100 * 1024 * 1024),
    default: '104857600',
    description: 'Largest accepted upload, in bytes.',
  },
  UPLOAD_QUOTA_BYTES: {
    schema: wholeNumber(1).default(2 * 1024 ** 3),
    default: '2147483648',
    description: 'Bytes that one account may upload per day (UTC), over all nodes.',
  },
  KEEP_ALIVE_MS: {
    schema: wholeNumber(1, 3_600_000).default(75_000),
    default: '75000',
    description:
      'Keep-alive timeout of idle HTTP connections, in milliseconds; set it above that of a load balancer in front (often 60 s).',
  },
  MAX_CONNECTIONS: {
    schema: wholeNumber(1).default(50_000),
    default: '50000',
    description:
      'Most TCP connections that are open at a time. At the limit, the oldest without a login makes room for the newest.',
  },
  NODE_NAME: {
    schema: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be letters, digits and hyphens, such as node-1')
      .optional(),
    default: 'none',
    description:
      'Name of this node, unique among those behind a load balancer. The session ids of Socket.IO (`sid`) then begin with it and a dot: balancers can route polling requests by it, in place of sticky sessions.',
  },
  TRUSTED_PROXIES: {
    schema: proxies.default([]),
    default: 'none: `X-Forwarded-For` is ignored',
    description:
      'Comma-separated addresses or subnets of the proxies in front, such as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`. Limits by address need it: without it all clients of a proxy count as one.',
  },
  CORS_ORIGINS: {
    schema: origins.optional(),
    default: 'any origin is allowed (reflected)',
    description:
      'Comma-separated origins allowed on HTTP, WebSocket and Engine.IO, such as `https://app.example.com`, `capacitor://localhost` or `null`; `*` allows any. Requests under another `Host` are refused: list the public origin of the gateway, too.',
  },
  ADMIN_TOKEN: {
    schema: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'must be ASCII without spaces')
      .min(16, 'must have at least 16 characters')
      .optional(),
    default: 'none: the routes of operators exist only where `HOST` is a loopback address',
    description:
      'Bearer token for `/metrics`, `/legacy-report` and `/admin/graphql`, which need it unless `HOST` is a loopback address and no proxy forwarded the request.',
  },
  DRAIN_DELAY_MS: {
    schema: wholeNumber(0, 600_000).default(0),
    default: '0',
    description:
      'Time in milliseconds for which a node still serves after SIGTERM, with `/readyz` failing: until load balancers have noticed.',
  },
  DRAIN_SPREAD_MS: {
    schema: wholeNumber(0, 3_600_000).default(0),
    default: '0',
    description:
      'Time in milliseconds over which a node that stops spreads the closes of its connections, after `DRAIN_DELAY_MS`: connections divided by the reconnects per second that the other nodes should receive.',
  },
  PRESENCE_GRACE_MS: {
    schema: wholeNumber(0, 3_600_000).default(5000),
    default: '5000',
    description: 'Grace period in milliseconds before an account without connections goes offline.',
  },
  EVENT_RETENTION_DAYS: {
    schema: wholeNumber(1, 36_500).default(7),
    default: '7',
    description: 'Retention of events and idempotency keys, in days.',
  },
  EVENT_RETENTION_COUNT: {
    schema: wholeNumber(1).default(10_000),
    default: '10000',
    description: 'Retention of events per topic, as a number of events.',
  },
  LEGACY_FORWARD_CHANNELS: {
    schema: forwardChannels.optional(),
    default: 'both; `webrtc_forward` only for clients that send no `EIO`',
    description: 'Channels on which legacy clients receive forwarded WebRTC messages, in order.',
  },
  RATE_LIMITS: {
    schema: onOff.default('on'),
    default: 'on',
    description: 'Rate limits on failed logins and on operations per account: `on` or `off`.',
  },
  INTROSPECTION: {
    schema: onOff.default('on'),
    default: 'on',
    description: 'GraphQL introspection: `on` or `off`.',
  },
  OPERATIONS: {
    schema: oneOf('any', 'persisted').default('any'),
    default: 'any',
    description:
      '`persisted` allows only the documents in `PERSISTED_OPERATIONS`, on every transport; `any` allows all.',
  },
  PERSISTED_OPERATIONS: {
    schema: z.string().min(1).optional(),
    default: 'none',
    description:
      'JSON file of documents by id, in the format of Relay, graphql-codegen, gql.tada or Apollo ([persisted operations](persisted-operations.md)).',
  },
  GRAPHIQL: {
    schema: onOff.optional(),
    default: 'on where `HOST` is a loopback address',
    description: 'GraphiQL for browsers at `/graphql`, with its files below `/graphiql/`: `on` or `off`.',
  },
  SIGN_UP: {
    schema: onOff.optional(),
    default: 'as `PASSWORD_LOGIN`',
    description: 'Public sign-up with a password: `on` or `off`.',
  },
  PASSWORD_LOGIN: {
    schema: onOff.default('on'),
    default: 'on',
    description:
      'Password login of users: `on`, or `off` where an external identity provider issues all tokens. Devices always log in with a password.',
  },
  MAIL_URL: {
    schema: urlOf(/^(smtps?|https?):\/\//i, 'smtps://user:password@host').optional(),
    default: 'none: e-mail addresses are not verified',
    description:
      'SMTP server (`smtp://`, `smtps://`) or webhook (`https://`) that sends mails. With it, the e-mail addresses of accounts are verified, and invitations by and to unverified addresses are held.',
  },
  MAIL_FROM: {
    schema: z
      .string()
      .regex(/^[^\r\n]+@[^\r\n]+$/, 'must be one address such as Parley <parley@example.com>')
      .optional(),
    default: 'none',
    description: 'Sender of mails; required with an SMTP server.',
  },
  MAIL_LINK: {
    schema: z
      .string()
      .regex(/^[a-z][a-z0-9+.-]*:\S*\{token\}/i, 'must be a URL with {token}')
      .optional(),
    default: 'none: the mail has the token alone',
    description:
      'Link in the mail that verifies an e-mail address, to a page of your app that calls `verifyEmail`, such as `https://app.example.com/verify#{token}`.',
  },
  DEMO: {
    schema: onOff.optional(),
    default: 'on for a new embedded database where `HOST` is a loopback address',
    description:
      'Demo accounts with a published password: `on` creates them, `off` locks them until their password changes. `on` requires `HOST` to be a loopback address.',
  },
  LOG_LEVEL: {
    schema: oneOf('silent', 'error', 'warn', 'info', 'debug').default('info'),
    default: 'info',
    description: 'Log level: `silent`, `error`, `warn`, `info` or `debug`.',
  },
} as const satisfies Record<string, { schema: z.ZodType; default: string; description: string }>;
