import { parseDate } from '../lib/dates.ts';
import { cutName, isText, MAX_PERSON_NAME_LENGTH, parseNewEmail } from '../lib/text.ts';

/** A user of the external identity provider, from the claims of a verified token. */
export interface ExternalIdentity {
  /** `<issuer> <subject>`. */
  readonly subject: string;
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthday: string | null;
}

/** OpenID Connect Core 1.0, section 2: `sub` has at most 255 characters. */
const MAX_SUBJECT_LENGTH = 255;

/**
 * Parses the standard claims of OpenID Connect; undefined without a valid `sub`. Other claims are optional: missing
 * and invalid ones are ignored, as a provider's odd profile must not lock its user out.
 */
export function parseIdentityClaims(
  issuer: string,
  claims: Readonly<Record<string, unknown>>,
): ExternalIdentity | undefined {
  const subject = typeof claims['sub'] === 'number' ? String(claims['sub']) : claims['sub'];
  if (typeof subject !== 'string' || subject === '' || subject.length > MAX_SUBJECT_LENGTH) return undefined;
  if (!isText(subject)) return undefined;
  const { name } = claims;
  const [first = '', ...rest] = typeof name === 'string' ? name.trim().split(/\s+/) : [];
  return {
    subject: `${issuer} ${subject}`,
    email: parseClaim(parseNewEmail, claims['email']),
    emailVerified: claims['email_verified'] === true || claims['email_verified'] === 'true',
    firstName: parsePersonName(claims['given_name'] ?? first),
    lastName: parsePersonName(claims['family_name'] ?? rest.join(' ')),
    birthday: parseClaim(parseDate, claims['birthdate']) ?? null,
  };
}

function parseClaim(parse: (field: string, value: string) => string, value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return parse('claim', value);
  } catch {
    return undefined;
  }
}

const parsePersonName = (value: unknown): string =>
  typeof value === 'string' ? cutName(value, MAX_PERSON_NAME_LENGTH) : '';
