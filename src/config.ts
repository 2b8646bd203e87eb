import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { unquote, withoutBrackets } from './config-parsers.ts';
import { VARIABLES } from './config-variables.ts';

/** Not unquoted: nodes must agree on a secret byte for byte, however it is passed to each. */
const VERBATIM: readonly string[] = [
  'AUTH_SECRET',
  'AUTH_DEVICE_SECRET',
  'ADMIN_TOKEN',
  'MEDIA_S3_SECRET_ACCESS_KEY',
];
/** The settings of a bucket, which are set together. */
const BUCKET_SETTINGS = [
  'MEDIA_S3_ENDPOINT',
  'MEDIA_S3_BUCKET',
  'MEDIA_S3_ACCESS_KEY_ID',
  'MEDIA_S3_SECRET_ACCESS_KEY',
] as const;

/** The configuration, read once at startup. Field names are those of the environment variables. */
export type Config = {
  readonly [Name in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[Name]['schema']>;
};

/** Returns the address to listen on: loopback for the embedded database, all interfaces otherwise. */
export const hostOf = ({
  HOST,
  DATABASE_URL,
}: {
  HOST?: string | undefined;
  DATABASE_URL?: string | undefined;
}): string =>
  HOST === undefined ? (DATABASE_URL === undefined ? '127.0.0.1' : '0.0.0.0') : withoutBrackets(HOST);

/** Whether only processes on this machine can connect to the address. */
export function isLoopback(host: string): boolean {
  if (/^(.+\.)?localhost\.?$/i.test(host)) return true;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  const version = isIP(host);
  return version !== 0 && loopback.check(host, version === 6 ? 'ipv6' : 'ipv4');
}

export const isGraphiqlOn = (config: Config): boolean =>
  (config.GRAPHIQL ?? (isLoopback(hostOf(config)) ? 'on' : 'off')) === 'on';

/** Whether e-mails are verified: invitations by and to unverified ones are then held. */
export const isEmailVerificationOn = ({ MAIL_URL }: Config): boolean => MAIL_URL !== undefined;

/** Thrown by `readConfig`, with one line per invalid variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} problem(s):\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

const pick = (names: readonly (keyof typeof VARIABLES)[]) =>
  Object.fromEntries(names.map((name) => [name, VARIABLES[name].schema]));

function parse(environment: Environment, shape: Readonly<Record<string, z.ZodType>>) {
  const values = Object.fromEntries(
    Object.entries(environment).flatMap(([name, text = '']) => {
      const value = VERBATIM.includes(name) ? text : unquote(text);
      return name in shape && value.trim() !== '' ? [[name, value]] : [];
    }),
  );
  return { values, parsed: z.object(shape).safeParse(values) };
}

const describeIssues = ({ issues }: z.ZodError): string[] =>
  issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`);

/** Which database to use. */
export type DatabaseConfig = Pick<Config, 'DATABASE_URL' | 'DATA_DIR'>;

/** Parses the variables of the environment that tell which database to use. Throws `ConfigError`. */
export function readDatabaseConfig(environment: Environment): DatabaseConfig {
  const { parsed } = parse(environment, pick(['DATABASE_URL', 'DATA_DIR']));
  if (!parsed.success) throw new ConfigError(describeIssues(parsed.error));
  return parsed.data as DatabaseConfig;
}

/** Parses the environment; empty variables count as unset. Throws one `ConfigError` for all invalid variables. */
export function readConfig(environment: Environment): Config {
  const { values, parsed } = parse(environment, pick(Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]));
  const problems = parsed.success ? [] : describeIssues(parsed.error);
  if (values['DATABASE_URL'] !== undefined && values['AUTH_SECRET'] === undefined)
    problems.push('AUTH_SECRET: is required with DATABASE_URL');
  if (values['DATABASE_LISTEN_URL'] !== undefined && values['DATABASE_URL'] === undefined)
    problems.push('DATABASE_LISTEN_URL: needs DATABASE_URL');
  if (values['REDIS_URL'] !== undefined && values['DATABASE_URL'] === undefined)
    problems.push('REDIS_URL: needs DATABASE_URL');
  if (parsed.data?.['DEMO'] === 'on' && !isLoopback(hostOf(parsed.data)))
    problems.push('DEMO: can be on only where HOST is a loopback address, as its passwords are published');
  if (/^smtp/i.test(values['MAIL_URL'] ?? '') && values['MAIL_FROM'] === undefined)
    problems.push('MAIL_FROM: is required with an SMTP server in MAIL_URL');
  if (values['AUTH_JWKS_URL'] !== undefined && values['AUTH_ISSUER'] === undefined)
    problems.push('AUTH_ISSUER: is required with AUTH_JWKS_URL');
  if (values['AUTH_JWKS_URL'] !== undefined && values['AUTH_AUDIENCE'] === undefined)
    problems.push('AUTH_AUDIENCE: is required with AUTH_JWKS_URL; `any` accepts tokens for any audience');
  if (BUCKET_SETTINGS.some((name) => values[name] !== undefined)) {
    for (const name of BUCKET_SETTINGS)
      if (values[name] === undefined) problems.push(`${name}: is required with the other MEDIA_S3 settings`);
    if (values['MEDIA_DIR'] !== undefined) problems.push('MEDIA_DIR: has no use with MEDIA_S3_BUCKET');
  }
  if (parsed.data?.['OPERATIONS'] === 'persisted' && values['PERSISTED_OPERATIONS'] === undefined)
    problems.push('PERSISTED_OPERATIONS: is required with OPERATIONS=persisted');
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);
  return Object.freeze(parsed.data as Config);
}
