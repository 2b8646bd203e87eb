import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { GraphQLSchema } from 'graphql';
import { embedApp, startApp } from './app.ts';
import type { AppOptions } from './app.ts';
import { ROUTE_GROUPS } from './app/route-groups.ts';
import type { RouteGroup } from './app/route-groups.ts';
import { VARIABLES } from './config-variables.ts';
import { ConfigError, readConfig } from './config.ts';
import { createLogger } from './log.ts';
import type { Logger } from './log.ts';
import { findMisspeltSettings } from './misspelt-settings.ts';
import { extendWithFields } from './schema/extension.ts';
import type { SchemaExtension } from './schema/extension-types.ts';
import { schema as ownSchema } from './schema/index.ts';
import type { Authenticate } from './services/authenticate.ts';
import type { Settings, SettingValue } from './settings.generated.ts';

export interface GatewayOptions {
  /**
   * Settings; environment variables are not read: pass `readSettings(process.env)` for those. DEMO is `off` unless set. With
   * `server`, HOST and PORT are ignored, and the gateway counts as reachable from other machines: GraphiQL is off, and the
   * routes of operators need ADMIN_TOKEN.
   */
  readonly settings?: Settings | undefined;
  /** A server of yours, listening or not, to add the routes to. Default: a server of its own, which listens on HOST and PORT. */
  readonly server?: Server | SecureServer | undefined;
  /** Default: with `server`, `graphql`, `socket.io` and `media`; otherwise all. */
  readonly routes?: readonly RouteGroup[] | undefined;
  /** Authenticates the tokens that the gateway did not issue. `AUTH_JWKS_URL` needs no function. */
  readonly authenticate?: Authenticate | undefined;
  /** Fields of your own. */
  readonly schema?: SchemaExtension | undefined;
  /** A pino logger, or one with its methods. Default: JSON lines on standard output, from LOG_LEVEL. */
  readonly log?: Logger | undefined;
}

/** A running gateway. Close it before the process exits: clients then reconnect to another node without delay. */
export interface Gateway extends AsyncDisposable {
  /** Base URL of its own server, for example `http://127.0.0.1:4000`; undefined with `server`. */
  readonly url: string | undefined;
  /** The name of this node in logs, metrics and the operators' API. */
  readonly nodeId: string;
  /** The schema that clients see, with your fields. */
  readonly schema: GraphQLSchema;
  /**
   * Drains the gateway: ends its connections and streams as SIGTERM ends those of the program, removes its routes from `server`,
   * which stays open, and closes its database. Idempotent.
   */
  close(): Promise<void>;
}

const EMBEDDED_ROUTES: readonly RouteGroup[] = ['graphql', 'socket.io', 'media'];
const NAMES = Object.keys(VARIABLES);

/** Starts a gateway in this process. Throws a `ConfigError` for invalid options, and a `StartError` for what is unavailable. */
export async function createGateway({
  settings = {},
  server,
  routes,
  authenticate,
  schema: extension,
  log,
}: GatewayOptions = {}): Promise<Gateway> {
  const config = readConfig({
    DEMO: 'off',
    ...toEnvironment(settings),
    ...(server !== undefined && { HOST: ANY_ADDRESS, PORT: '0' }),
  });
  const unknownRoutes = routes?.filter((group) => !ROUTE_GROUPS.includes(group)) ?? [];
  if (unknownRoutes.length > 0)
    throw new ConfigError([`routes: ${unknownRoutes.join(', ')}: must be of ${ROUTE_GROUPS.join(', ')}`]);
  const schema = extension === undefined ? ownSchema : extendWithFields(ownSchema, extension);
  const options: AppOptions = {
    config,
    log: log ?? createLogger(config.LOG_LEVEL),
    authenticate,
    schema,
    routes: routes ?? (server === undefined ? undefined : EMBEDDED_ROUTES),
  };
  const { app, url } =
    server === undefined ? await listen(options) : { app: await embedApp(options, server), url: undefined };
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= Promise.resolve(app[Symbol.asyncDispose]()));
  return { url, nodeId: app.nodeId, schema, close, [Symbol.asyncDispose]: close };
}

async function listen(options: AppOptions) {
  const app = await startApp(options);
  return { app, url: app.url };
}

/** Unless only this machine can reach the server, which the gateway does not know. */
const ANY_ADDRESS = '0.0.0.0';

function toEnvironment(settings: Settings): Record<string, string> {
  const entries = Object.entries(settings as Readonly<Record<string, SettingValue>>);
  const unknown = new Set(entries.map(([name]) => name).filter((name) => !NAMES.includes(name)));
  const misspelt = findMisspeltSettings(Object.fromEntries([...unknown].map((name) => [name, ''])), NAMES);
  const problems = [...unknown].map((name) => {
    const meant = misspelt.find((found) => found.name === name)?.meant;
    return `${name}: is no setting${meant === undefined ? '' : `; perhaps ${meant}`}`;
  });
  const values = entries.flatMap(([name, value]) => {
    if (value === undefined || unknown.has(name)) return [];
    const text = toText(value);
    if (text !== undefined) return [[name, text] as const];
    problems.push(`${name}: must be text, a number or a list of texts`);
    return [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.fromEntries(values);
}

function toText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (!Array.isArray(value) || !value.every((item): item is string => typeof item === 'string'))
    return undefined;
  return value.join(',');
}

/** Returns the settings among environment variables. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  return Object.fromEntries(NAMES.map((name) => [name, environment[name]]));
}
