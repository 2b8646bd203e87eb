// Generated from src/config-variables.ts by scripts/print-settings.ts.

/** The text of an environment variable, a number, or a list in place of comma-separated text. */
export type SettingValue = string | number | readonly string[] | undefined;

/** The settings, by the names of the environment variables (docs/configuration.md). */
export interface Settings {
  /**
   * Address to listen on. Set 0.0.0.0 to make the embedded gateway reachable from other machines.
   *
   * Default: 127.0.0.1; 0.0.0.0 with `DATABASE_URL`
   */
  readonly HOST?: SettingValue;
  /**
   * Port to listen on; 0 picks a free one.
   *
   * Default: 4000
   */
  readonly PORT?: SettingValue;
  /**
   * Folder of the embedded database, the media and the generated secret; `memory` persists nothing.
   *
   * Default: ./data
   */
  readonly DATA_DIR?: SettingValue;
  /**
   * PostgreSQL to use instead of the embedded database; any number of nodes may share it.
   *
   * Default: none: the embedded database
   */
  readonly DATABASE_URL?: SettingValue;
  /**
   * Most PostgreSQL connections of a node for statements. Up to three more (five with `DATABASE_LISTEN_URL`) are for the heartbeat, readiness and `LISTEN`.
   *
   * Default: 10
   */
  readonly DATABASE_POOL_SIZE?: SettingValue;
  /**
   * URL of the same database for `LISTEN` and the heartbeat, past a pooler such as PgBouncer in `DATABASE_URL`.
   *
   * Default: `DATABASE_URL`
   */
  readonly DATABASE_LISTEN_URL?: SettingValue;
  /**
   * Redis that carries live events between nodes, with `DATABASE_URL`.
   *
   * Default: none: LISTEN/NOTIFY
   */
  readonly REDIS_URL?: SettingValue;
  /**
   * HS256 secret of account tokens; required with `DATABASE_URL`. A comma-separated list during rotation: new tokens are signed with the first secret, and all are accepted.
   *
   * Default: generated and stored in `DATA_DIR`
   */
  readonly AUTH_SECRET?: SettingValue;
  /**
   * HS256 secret of device tokens, or a comma-separated list as in `AUTH_SECRET`; a token signed with one belongs to a device.
   *
   * Default: none: device tokens are recognised by their `kind` claim
   */
  readonly AUTH_DEVICE_SECRET?: SettingValue;
  /**
   * Key set (JWKS) of an external identity provider whose tokens are also accepted.
   *
   * Default: none
   */
  readonly AUTH_JWKS_URL?: SettingValue;
  /**
   * Expected `iss` of external tokens; required with `AUTH_JWKS_URL`.
   *
   * Default: none
   */
  readonly AUTH_ISSUER?: SettingValue;
  /**
   * Expected `aud` of external tokens; required with `AUTH_JWKS_URL`. `any` accepts the tokens that the issuer made for other applications, too, but no ID tokens.
   *
   * Default: none
   */
  readonly AUTH_AUDIENCE?: SettingValue;
  /**
   * Comma-separated STUN servers sent to clients.
   *
   * Default: stun:webrtc.neo.ovh:3478
   */
  readonly STUN_URLS?: SettingValue;
  /**
   * Comma-separated TURN servers sent to clients.
   *
   * Default: turn:webrtc.neo.ovh:3478
   */
  readonly TURN_URLS?: SettingValue;
  /**
   * Shared secret of the TURN servers (`static-auth-secret`), or a comma-separated list during rotation: credentials are signed with the first.
   *
   * Default: random: no TURN server accepts the credentials
   */
  readonly TURN_SECRET?: SettingValue;
  /**
   * Lifetime of TURN credentials, in seconds.
   *
   * Default: 86400
   */
  readonly TURN_TTL?: SettingValue;
  /**
   * Folder of uploaded media. Nodes that share a database must share this folder.
   *
   * Default: `DATA_DIR`/media
   */
  readonly MEDIA_DIR?: SettingValue;
  /**
   * S3, or a compatible server, that stores media in place of `MEDIA_DIR`. Clients must be able to reach it: they download from it.
   *
   * Default: none
   */
  readonly MEDIA_S3_ENDPOINT?: SettingValue;
  /**
   * Bucket of media, in the path of requests.
   *
   * Default: none
   */
  readonly MEDIA_S3_BUCKET?: SettingValue;
  /**
   * Region of the bucket.
   *
   * Default: us-east-1
   */
  readonly MEDIA_S3_REGION?: SettingValue;
  /**
   * Access key that may get, put and delete objects of the bucket, list it, and list and abort uploads in parts.
   *
   * Default: none
   */
  readonly MEDIA_S3_ACCESS_KEY_ID?: SettingValue;
  /**
   * Secret of the access key.
   *
   * Default: none
   */
  readonly MEDIA_S3_SECRET_ACCESS_KEY?: SettingValue;
  /**
   * Whether uploaded images, audio and video are inspected for their dimensions, duration and preview, each in a process of its own: `on` or `off`.
   *
   * Default: on
   */
  readonly MEDIA_INSPECTION?: SettingValue;
  /**
   * Longest lifetime of a `Media.url`, in seconds; at least three quarters of it, unless the token of its query expires earlier.
   *
   * Default: 3600
   */
  readonly MEDIA_URL_TTL?: SettingValue;
  /**
   * Largest accepted upload, in bytes.
   *
   * Default: 104857600
   */
  readonly MAX_UPLOAD_BYTES?: SettingValue;
  /**
   * Bytes that one account may upload per day (UTC), over all nodes.
   *
   * Default: 2147483648
   */
  readonly UPLOAD_QUOTA_BYTES?: SettingValue;
  /**
   * Keep-alive timeout of idle HTTP connections, in milliseconds; set it above that of a load balancer in front (often 60 s).
   *
   * Default: 75000
   */
  readonly KEEP_ALIVE_MS?: SettingValue;
  /**
   * Most TCP connections that are open at a time. At the limit, the oldest without a login makes room for the newest.
   *
   * Default: 50000
   */
  readonly MAX_CONNECTIONS?: SettingValue;
  /**
   * Name of this node, unique among those behind a load balancer. The session ids of Socket.IO (`sid`) then begin with it and a dot: balancers can route polling requests by it, in place of sticky sessions.
   *
   * Default: none
   */
  readonly NODE_NAME?: SettingValue;
  /**
   * Comma-separated addresses or subnets of the proxies in front, such as `10.0.0.0/8`, or `loopback`, `linklocal`, `uniquelocal`. Limits by address need it: without it all clients of a proxy count as one.
   *
   * Default: none: `X-Forwarded-For` is ignored
   */
  readonly TRUSTED_PROXIES?: SettingValue;
  /**
   * Comma-separated origins allowed on HTTP, WebSocket and Engine.IO, such as `https://app.example.com`, `capacitor://localhost` or `null`; `*` allows any. Requests under another `Host` are refused: list the public origin of the gateway, too.
   *
   * Default: any origin is allowed (reflected)
   */
  readonly CORS_ORIGINS?: SettingValue;
  /**
   * Bearer token for `/metrics`, `/legacy-report` and `/admin/graphql`, which need it unless `HOST` is a loopback address and no proxy forwarded the request.
   *
   * Default: none: the routes of operators exist only where `HOST` is a loopback address
   */
  readonly ADMIN_TOKEN?: SettingValue;
  /**
   * Time in milliseconds for which a node still serves after SIGTERM, with `/readyz` failing: until load balancers have noticed.
   *
   * Default: 0
   */
  readonly DRAIN_DELAY_MS?: SettingValue;
  /**
   * Time in milliseconds over which a node that stops spreads the closes of its connections, after `DRAIN_DELAY_MS`: connections divided by the reconnects per second that the other nodes should receive.
   *
   * Default: 0
   */
  readonly DRAIN_SPREAD_MS?: SettingValue;
  /**
   * Grace period in milliseconds before an account without connections goes offline.
   *
   * Default: 5000
   */
  readonly PRESENCE_GRACE_MS?: SettingValue;
  /**
   * Retention of events and idempotency keys, in days.
   *
   * Default: 7
   */
  readonly EVENT_RETENTION_DAYS?: SettingValue;
  /**
   * Retention of events per topic, as a number of events.
   *
   * Default: 10000
   */
  readonly EVENT_RETENTION_COUNT?: SettingValue;
  /**
   * Channels on which legacy clients receive forwarded WebRTC messages, in order.
   *
   * Default: both; `webrtc_forward` only for clients that send no `EIO`
   */
  readonly LEGACY_FORWARD_CHANNELS?: SettingValue;
  /**
   * Rate limits on failed logins and on operations per account: `on` or `off`.
   *
   * Default: on
   */
  readonly RATE_LIMITS?: SettingValue;
  /**
   * GraphQL introspection: `on` or `off`.
   *
   * Default: on
   */
  readonly INTROSPECTION?: SettingValue;
  /**
   * `persisted` allows only the documents in `PERSISTED_OPERATIONS`, on every transport; `any` allows all.
   *
   * Default: any
   */
  readonly OPERATIONS?: SettingValue;
  /**
   * JSON file of documents by id, in the format of Relay, graphql-codegen, gql.tada or Apollo ([persisted operations](persisted-operations.md)).
   *
   * Default: none
   */
  readonly PERSISTED_OPERATIONS?: SettingValue;
  /**
   * GraphiQL for browsers at `/graphql`, with its files below `/graphiql/`: `on` or `off`.
   *
   * Default: on where `HOST` is a loopback address
   */
  readonly GRAPHIQL?: SettingValue;
  /**
   * Public sign-up with a password: `on` or `off`.
   *
   * Default: as `PASSWORD_LOGIN`
   */
  readonly SIGN_UP?: SettingValue;
  /**
   * Password login of users: `on`, or `off` where an external identity provider issues all tokens. Devices always log in with a password.
   *
   * Default: on
   */
  readonly PASSWORD_LOGIN?: SettingValue;
  /**
   * SMTP server (`smtp://`, `smtps://`) or webhook (`https://`) that sends mails. With it, the e-mail addresses of accounts are verified, and invitations by and to unverified addresses are held.
   *
   * Default: none: e-mail addresses are not verified
   */
  readonly MAIL_URL?: SettingValue;
  /**
   * Sender of mails; required with an SMTP server.
   *
   * Default: none
   */
  readonly MAIL_FROM?: SettingValue;
  /**
   * Link in the mail that verifies an e-mail address, to a page of your app that calls `verifyEmail`, such as `https://app.example.com/verify#{token}`.
   *
   * Default: none: the mail has the token alone
   */
  readonly MAIL_LINK?: SettingValue;
  /**
   * Demo accounts with a published password: `on` creates them, `off` locks them until their password changes. `on` requires `HOST` to be a loopback address.
   *
   * Default: on for a new embedded database where `HOST` is a loopback address
   */
  readonly DEMO?: SettingValue;
  /**
   * Log level: `silent`, `error`, `warn`, `info` or `debug`.
   *
   * Default: info
   */
  readonly LOG_LEVEL?: SettingValue;
}
