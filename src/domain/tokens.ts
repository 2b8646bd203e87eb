import type { ActorRef } from '../events/event.ts';

export interface TokenSettings {
  /** Signs and verifies account tokens. */
  readonly secret: string;
  /** Signs and verifies device tokens; whatever verifies with it is a device. */
  readonly deviceSecret?: string | undefined;
  /** The key set of an outside identity provider whose tokens are accepted too. */
  readonly jwks?: JwksSettings | undefined;
}

export interface JwksSettings {
  readonly url: string;
  readonly issuer: string;
  readonly audience?: string | undefined;
  /** Least time between two readings of the key set for keys that it lacks. */
  readonly cooldownMs?: number | undefined;
}

export interface IssuedToken {
  readonly token: string;
  readonly tokenId: string;
  /** In milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What an outside identity provider says of one of its users. */
export interface OutsideIdentity {
  /** `<issuer> <subject>`. */
  readonly subject: string;
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthday: string | null;
}

/** A token whose signature and times are good. Whether its account exists and it was not revoked is another question. */
export type VerifiedToken =
  | { readonly kind: 'own'; readonly actor: ActorRef; readonly tokenId: string; readonly expiresAt: number }
  | {
      readonly kind: 'outside';
      readonly identity: OutsideIdentity;
      readonly tokenId: string;
      readonly expiresAt: number;
    };

export interface Tokens {
  issue(actor: ActorRef): Promise<IssuedToken>;
  /** Undefined for anything but a good token. Throws UNAVAILABLE when the outside key set cannot be read. */
  verify(token: string): Promise<VerifiedToken | undefined>;
}

export function createTokens(_settings: TokenSettings): Tokens {
  throw new Error('not yet');
}
