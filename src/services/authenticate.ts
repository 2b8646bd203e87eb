/** A user of the host. Invalid optional values are ignored, except times. */
export interface ExternalUser {
  /** Identifies the user permanently, at most 255 characters. The first token of a new subject creates an account. */
  readonly subject: string;
  readonly email?: string | undefined;
  /**
   * Whether the user has proved to own the e-mail address. Only then the account that already has it, without a subject, becomes
   * the user's. Default: false.
   */
  readonly emailVerified?: boolean | undefined;
  readonly firstName?: string | undefined;
  readonly lastName?: string | undefined;
  /** `YYYY-MM-DD` */
  readonly birthday?: string | undefined;
  /** End of the token's life: its connections then close. Default: in one hour, after which clients send the token again. */
  readonly expiresAt?: Date | undefined;
  /** Time of issue. Without it, all tokens of the user are void after `logoutEverywhere`. */
  readonly issuedAt?: Date | undefined;
  /** Identifies the token for `logout`, at most 200 characters. Default: a hash of the token. */
  readonly tokenId?: string | undefined;
}

/**
 * Returns the user of a token; null or undefined if it is invalid. Called for each HTTP request and each connection with a token
 * that the gateway did not issue. If it throws, or takes longer than 10 s, the client receives UNAVAILABLE.
 */
export type Authenticate = (
  token: string,
) => ExternalUser | null | undefined | Promise<ExternalUser | null | undefined>;
