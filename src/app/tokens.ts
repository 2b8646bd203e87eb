import { withoutBrackets } from '../config-parsers.ts';
import { isLoopback } from '../config.ts';
import type { Config } from '../config.ts';
import { requireForStartup } from '../lib/startup-error.ts';
import type { Logger } from '../log.ts';
import type { Authenticate } from '../services/authenticate.ts';
import { loadOrCreateSecret } from '../services/data-dir.ts';
import type { JwksSettings } from '../services/external-tokens.ts';
import { createHostVerifier } from '../services/host-authentication.ts';
import { createTokens } from '../services/tokens.ts';
import type { Tokens } from '../services/tokens.ts';
import type { WallClock } from '../services/wall-clock.ts';

/** Issuer of the subjects of a host that sets no AUTH_ISSUER. */
const HOST_ISSUER = 'host';

export interface TokensOptions {
  readonly config: Config;
  /** Authenticates tokens that the gateway did not issue. */
  readonly authenticate?: Authenticate | undefined;
  /** HS256 secrets of account tokens: the first one signs. */
  readonly secrets: readonly string[];
  readonly clock: WallClock;
  readonly log: Logger;
}

/** Returns the secrets of AUTH_SECRET, or the one that is generated for the data folder. */
export const openSecrets = async (
  { AUTH_SECRET: secrets }: Config,
  dataDir: string | undefined,
): Promise<readonly string[]> =>
  secrets ?? [await requireForStartup('Cannot sign tokens', loadOrCreateSecret(dataDir))];

/** Creates the tokens of this gateway and of its identity providers. */
export function createConfiguredTokens({ config, authenticate, secrets, clock, log }: TokensOptions): Tokens {
  warnOfExternalTokens(config, log);
  const now = () => clock.now();
  return createTokens({
    secret: secrets,
    deviceSecret: config.AUTH_DEVICE_SECRET,
    jwks: readJwksSettings(config),
    verifyByHost:
      authenticate &&
      createHostVerifier({ authenticate, issuer: config.AUTH_ISSUER ?? HOST_ISSUER, now, log }),
    now,
  });
}

function readJwksSettings({
  AUTH_JWKS_URL: url,
  AUTH_ISSUER: issuer,
  AUTH_AUDIENCE: audience,
}: Config): JwksSettings | undefined {
  return url === undefined || issuer === undefined
    ? undefined
    : { url, issuer, audience: audience === 'any' ? undefined : audience };
}

function warnOfExternalTokens({ AUTH_JWKS_URL: url, AUTH_AUDIENCE: audience }: Config, log: Logger): void {
  if (url === undefined) return;
  if (audience === 'any')
    log.warn('AUTH_AUDIENCE is any: tokens that the issuer made for other applications are accepted');
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !isLoopback(withoutBrackets(hostname)))
    log.warn('AUTH_JWKS_URL is not https: a network attacker can replace its keys');
}
