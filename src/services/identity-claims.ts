import { parseDate } from '../lib/dates.ts';
import { cutName, isText, MAX_PERSON_NAME, parseNewEmail } from '../lib/text.ts';

/** What an outside identity provider says of one of its users. */
export interface ExternalIdentity {
  /** `<issuer> <subject>`. */
  readonly subject: string;
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  readonly firstName: string;
  readonly lastName: string;
  readonly birthday: string | null;
}

/** OpenID Connect allows 255. */
const MAX_SUBJECT = 255;

/**
 * Reads the standard claims of OpenID Connect. Only the subject is required: of the rest, what is missing or of no
 * use to us is left out. Undefined without a subject.
 */
export function parseIdentityClaims(
  issuer: string,
  claims: Readonly<Record<string, unknown>>,
): ExternalIdentity | undefined {
  const subject = typeof claims['sub'] === 'number' ? String(claims['sub']) : claims['sub'];
  if (typeof subject !== 'string' || subject === '' || subject.length > MAX_SUBJECT) return undefined;
  if (!isText(subject)) return undefined;
  const { name } = claims;
  const [first = '', ...rest] = typeof name === 'string' ? name.trim().split(/\s+/) : [];
  return {
    subject: `${issuer} ${subject}`,
    email: ifGood(parseNewEmail, claims['email']),
    emailVerified: claims['email_verified'] === true || claims['email_verified'] === 'true',
    firstName: personName(claims['given_name'] ?? first),
    lastName: personName(claims['family_name'] ?? rest.join(' ')),
    birthday: ifGood(parseDate, claims['birthdate']) ?? null,
  };
}

function ifGood(parse: (field: string, value: string) => string, value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return parse('claim', value);
  } catch {
    return undefined;
  }
}

const personName = (value: unknown): string =>
  typeof value === 'string' ? cutName(value, MAX_PERSON_NAME) : '';
