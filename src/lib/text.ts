import { domainToASCII, domainToUnicode } from 'node:url';
import { invalidInput } from '../errors.ts';

// Validates and normalises names, e-mail addresses, usernames, passwords and messages, following RFC 8264 to 8266
// (PRECIS) where they apply: docs/decisions/0020-text.md.

/** Maximum lengths of texts, in code points. */
export const MAX_MESSAGE_LENGTH = 8192;
const MAX_NAME_LENGTH = 120;
export const MAX_PERSON_NAME_LENGTH = 50;
const MAX_EMAIL_LENGTH = 120;
/** NIST SP 800-63B: passwords that a user chooses have at least 8 characters. */
const MIN_PASSWORD_LENGTH = 8;
const MAX_PASSWORD_LENGTH = 200;
export const MAX_FILE_IDENTIFIER_LENGTH = 1024;

/**
 * Code points of the longest canonical decomposition of a character. Longer input is rejected before it is normalised.
 */
const MAX_DECOMPOSED_LENGTH = 3;

/**
 * Anything but RFC 8264, 9.13 (default-ignorable, noncharacters), white space, controls, lone marks and blank symbols.
 */
const VISIBLE =
  /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{M}\p{Cc}\p{Cf}\u2800\ufffc\u{13441}\u{13442}\u{1d159}]/u;
/** Invisible characters: RFC 8264, 9.12 and 9.13. */
const HIDDEN = /[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{Cc}\p{Cf}]/u;
const UNTYPEABLE = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;
/**
 * Removed from names: embedding controls, which change the direction of text after the name, soft hyphens and
 * zero-width spaces. Joiners stay, because emoji, Persian and Indic scripts need them, and so do directional marks.
 */
const REMOVED = /[\u00ad\u200b\u202a-\u202e\u2060-\u206f\ufeff]/gu;
const AT_ENDS = /^[\p{White_Space}\u061c\u200c-\u200f]+|[\p{White_Space}\u061c\u200c-\u200f]+$/gu;

export interface TextLimits {
  readonly max: number;
  /** Requires a visible character. */
  readonly visible?: boolean;
}

/**
 * Returns the text unchanged if it can be stored and has at most `max` code points. Throws INVALID_INPUT with the
 * field otherwise.
 */
export function parseText(field: string, value: string, { max, visible = false }: TextLimits): string {
  if (!isText(value)) throw invalidInput(field, `${field} contains characters that are not text.`);
  if (isLongerThan(value, max)) throw invalidInput(field, `${field} has more than ${max} characters.`);
  if (visible && looksEmpty(value)) throw invalidInput(field, `${field} is empty.`);
  return value;
}

/** Checks that PostgreSQL can store the text: no NUL, no lone surrogate. */
export const isText = (value: string): boolean => value.isWellFormed() && !value.includes('\0');

/** Checks for a text without any visible character: white space, invisible characters, marks without a letter. */
export const looksEmpty = (text: string): boolean => !VISIBLE.test(text);

/**
 * Parses a name of a circle, a conversation, a device or a person: in NFC, trimmed, with single spaces (RFC 8266).
 * Throws INVALID_INPUT, including for a name without a visible character.
 */
export function parseName(field: string, value: string, max = MAX_NAME_LENGTH): string {
  parseText(field, value, { max: MAX_DECOMPOSED_LENGTH * max });
  const name = parseText(field, normalizeName(value), { max, visible: true });
  if (UNTYPEABLE.test(name)) throw invalidInput(field, `${field} contains control characters.`);
  return name;
}

/**
 * Normalises and truncates a name from a third party, which the user cannot correct. Empty when no character is
 * visible.
 */
export function cutName(value: string, max: number): string {
  const head = value.slice(0, 2 * MAX_DECOMPOSED_LENGTH * max).toWellFormed();
  const name = normalizeName(head.replace(/\p{White_Space}/gu, ' ').replace(/\p{Cc}/gu, ''));
  return looksEmpty(name) ? '' : normalizeName(Array.from(name).slice(0, max).join(''));
}

const normalizeName = (value: string): string =>
  value
    .replace(REMOVED, '')
    .normalize('NFC')
    .replace(/\p{White_Space}+/gu, ' ')
    .replace(AT_ENDS, '');

/** Parses the e-mail address of a user to look up, trimmed but not normalised. Throws INVALID_INPUT. */
export function parseEmail(field: string, value: string): string {
  const email = parseText(field, value.trim(), { max: MAX_EMAIL_LENGTH });
  if (!/^[^@\s]+@[^@\s]+$/.test(email)) throw notAnEmailError(field);
  return email;
}

/** Parses the e-mail address for an account: in NFC, without invisible characters. Throws INVALID_INPUT. */
export function parseNewEmail(field: string, value: string): string {
  const [local = '', domain = ''] = parseEmail(field, value).normalize('NFC').split('@');
  const folded = fold(local);
  if (HIDDEN.test(local) || HIDDEN.test(folded) || HIDDEN.test(domain) || folded.includes('@'))
    throw invalidInput(field, `${field} contains invisible characters or white space.`);
  const named = isAscii(domain) ? domain : domainToUnicode(domainToASCII(domain));
  if (!isDomain(named)) throw notAnEmailError(field);
  return parseText(field, `${local}@${named}`, { max: MAX_EMAIL_LENGTH });
}

/** Returns a key that is equal for addresses that differ only in case, Unicode form, width or the domain's spelling. */
export function emailKey(email: string): string {
  // Other at signs become `@` when folded: the domain after one must be encoded, too.
  const address = email.replaceAll(/[\ufe6b\uff20]/g, '@');
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  const ascii = isAscii(domain) ? domain : domainToASCII(domain) || fold(domain);
  return at < 0 ? fold(address) : `${fold(address.slice(0, at))}@${ascii.toLowerCase()}`;
}

const notAnEmailError = (field: string) => invalidInput(field, `${field} is not an e-mail address.`);

/** Non-empty labels without the separators of addresses and URLs, or an IP address in brackets. */
const isDomain = (domain: string): boolean =>
  /^[^\s"#%(),./:;<>?@[\\\]^`{|}]+(\.[^\s"#%(),./:;<>?@[\\\]^`{|}]+)*$/.test(domain) ||
  /^\[[\da-f.:]+\]$/i.test(domain);

const isAscii = (text: string): boolean => !/[^\0-\x7f]/.test(text);

/** Returns the canonical form of a device's username (RFC 8265, UsernameCaseMapped). */
export const usernameKey = (username: string): string => fold(username.trim());

/** Folds case, width and Unicode form, repeatedly until the result is stable (RFC 8264, section 7). */
function fold(text: string): string {
  let folded = text;
  for (let times = 0; times < 4; times += 1) {
    const next = folded.normalize('NFKC').toLowerCase().replaceAll('ς', 'σ').normalize('NFKC');
    if (next === folded) break;
    folded = next;
  }
  return folded;
}

/** Parses a password to set (RFC 8265, OpaqueString), of 8 to 200 code points. Throws INVALID_INPUT. */
export function parsePassword(field: string, value: string): string {
  parseText(field, value, { max: MAX_DECOMPOSED_LENGTH * MAX_PASSWORD_LENGTH });
  const password = parseText(field, normalizePassword(value), { max: MAX_PASSWORD_LENGTH, visible: true });
  if (UNTYPEABLE.test(password)) throw invalidInput(field, `${field} contains control characters.`);
  if (!isLongerThan(password, MIN_PASSWORD_LENGTH - 1))
    throw invalidInput(field, `${field} has fewer than ${MIN_PASSWORD_LENGTH} characters.`);
  return password;
}

/** Whether a text is longer than the password of any account, in any form. */
export const isTooLongForPassword = (text: string): boolean =>
  isLongerThan(text, MAX_DECOMPOSED_LENGTH * MAX_PASSWORD_LENGTH);

/** Returns the form of a password that is hashed: spaces in place of other blanks, and NFC. */
export const normalizePassword = (value: string): string => value.replace(/\p{Zs}/gu, ' ').normalize('NFC');

/**
 * Returns the forms in which a typed password may have been hashed: normalised, or, for hashes from before
 * normalisation, as typed here or by a device that decomposes. For most passwords they are the same.
 */
export const passwordForms = (typed: string): readonly string[] => [
  ...new Set([normalizePassword(typed), typed, typed.normalize('NFD')]),
];

/** Avoids counting where the length decides: a code point has one or two code units. */
function isLongerThan(text: string, limit: number): boolean {
  if (text.length <= limit) return false;
  if (text.length > 2 * limit) return true;
  let count = 0;
  for (const _point of text) count += 1;
  return count > limit;
}
