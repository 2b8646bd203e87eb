import { domainToASCII, domainToUnicode } from 'node:url';
import { invalidInput } from '../errors.ts';

// What names, e-mails, usernames, passwords and messages are, after RFC 8264 to 8266 (PRECIS) as far as they serve:
// docs/decisions/0020-text.md.

/** Limits of texts, in code points. */
export const MAX_MESSAGE_TEXT = 8192;
const MAX_NAME = 120;
export const MAX_PERSON_NAME = 50;
export const MAX_EMAIL = 120;
const MAX_PASSWORD = 200;
export const MAX_FILE_IDENTIFIER = 1024;

/** A composed character has at most three in its decomposed form. What is longer still is not normalised at all. */
const MAX_DECOMPOSED = 3;

/** RFC 8264, 9.13 (default-ignorable, noncharacters), with what draws nothing by itself: marks, blank symbols. */
const VISIBLE =
  /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{M}\p{Cc}\p{Cf}\u2800\ufffc\u{13441}\u{13442}\u{1d159}]/u;
/** RFC 8264, 9.12 and 9.13. */
const HIDDEN = /[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\p{Cc}\p{Cf}]/u;
const NOT_TYPED = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;
/**
 * Left out of names: controls that turn the direction of what stands after the name too, soft hyphens, zero-width
 * spaces. The joiners stay, by which emoji, Persian and the scripts of India are written, and so do marks of direction.
 */
const LEFT_OUT = /[\u00ad\u200b\u202a-\u202e\u2060-\u206f\ufeff]/gu;
const AT_ENDS = /^[\p{White_Space}\u061c\u200c-\u200f]+|[\p{White_Space}\u061c\u200c-\u200f]+$/gu;

export interface TextLimits {
  readonly max: number;
  /** Whether something must be visible in it. */
  readonly visible?: boolean;
}

/**
 * Returns the text as it is when it can be stored and has a permitted length, counted in code points.
 * Throws INVALID_INPUT naming the field otherwise.
 */
export function parseText(field: string, value: string, { max, visible = false }: TextLimits): string {
  if (!isText(value)) throw invalidInput(field, `${field} contains characters that are not text.`);
  if (isLongerThan(value, max)) throw invalidInput(field, `${field} has more than ${max} characters.`);
  if (visible && looksEmpty(value)) throw invalidInput(field, `${field} is empty.`);
  return value;
}

/** Whether the database can store it: no NUL, no half of a character. */
export const isText = (value: string): boolean => value.isWellFormed() && !value.includes('\0');

/** Whether nothing in it is visible: blanks, invisible characters, marks without a letter. */
export const looksEmpty = (text: string): boolean => !VISIBLE.test(text);

/**
 * Reads a name of a circle, a conversation, a device or a person: in NFC, without blanks around it and with single
 * spaces within (RFC 8266). Throws INVALID_INPUT also when nothing in it is visible.
 */
export function parseName(field: string, value: string, max = MAX_NAME): string {
  parseText(field, value, { max: MAX_DECOMPOSED * max });
  const name = parseText(field, normalizeName(value), { max, visible: true });
  if (NOT_TYPED.test(name)) throw invalidInput(field, `${field} contains control characters.`);
  return name;
}

/** The same of a name that somebody else answers for: as much as fits, empty when nothing in it is visible. */
export function cutName(value: string, max: number): string {
  const head = value.slice(0, 2 * MAX_DECOMPOSED * max).toWellFormed();
  const name = normalizeName(head.replace(/\p{White_Space}/gu, ' ').replace(/\p{Cc}/gu, ''));
  return looksEmpty(name) ? '' : normalizeName(Array.from(name).slice(0, max).join(''));
}

const normalizeName = (value: string): string =>
  value
    .replace(LEFT_OUT, '')
    .normalize('NFC')
    .replace(/\p{White_Space}+/gu, ' ')
    .replace(AT_ENDS, '');

/** Reads the e-mail address of somebody who may exist, as typed, without blanks around it. Throws INVALID_INPUT. */
export function parseEmail(field: string, value: string): string {
  const email = parseText(field, value.trim(), { max: MAX_EMAIL });
  if (!/^[^@\s]+@[^@\s]+$/.test(email)) throw notAnEmail(field);
  return email;
}

/** Reads the e-mail address that an account is to have: in NFC, nothing hidden in it. Throws INVALID_INPUT. */
export function parseNewEmail(field: string, value: string): string {
  const [local = '', domain = ''] = parseEmail(field, value).normalize('NFC').split('@');
  const folded = fold(local);
  if (HIDDEN.test(local) || HIDDEN.test(folded) || HIDDEN.test(domain) || folded.includes('@'))
    throw invalidInput(field, `${field} contains characters that cannot be seen or are blanks.`);
  const named = isAscii(domain) ? domain : domainToUnicode(domainToASCII(domain));
  if (!isDomain(named)) throw notAnEmail(field);
  return parseText(field, `${local}@${named}`, { max: MAX_EMAIL });
}

/** Addresses with the same key are one address: case, form of Unicode, width and spelling of the domain aside. */
export function emailKey(email: string): string {
  // Other at signs become `@` when folded: the domain after one must be encoded, too.
  const address = email.replaceAll(/[\ufe6b\uff20]/g, '@');
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  const ascii = isAscii(domain) ? domain : domainToASCII(domain) || fold(domain);
  return at < 0 ? fold(address) : `${fold(address.slice(0, at))}@${ascii.toLowerCase()}`;
}

const notAnEmail = (field: string) => invalidInput(field, `${field} is not an e-mail address.`);

/** Labels without what separates addresses and URLs, none of them empty; or an address in brackets. */
const isDomain = (domain: string): boolean =>
  /^[^\s"#%(),./:;<>?@[\\\]^`{|}]+(\.[^\s"#%(),./:;<>?@[\\\]^`{|}]+)*$/.test(domain) ||
  /^\[[\da-f.:]+\]$/i.test(domain);

const isAscii = (text: string): boolean => !/[^\0-\x7f]/.test(text);

/** A device's username in the form in which all spellings of it are the same: RFC 8265, UsernameCaseMapped. */
export const usernameKey = (username: string): string => fold(username.trim());

/** One form for what differs by case, width or form of Unicode. Repeated, as RFC 8265 has it, until nothing changes. */
function fold(text: string): string {
  let folded = text;
  for (let times = 0; times < 4; times += 1) {
    const next = folded.normalize('NFKC').toLowerCase().replaceAll('ς', 'σ').normalize('NFKC');
    if (next === folded) break;
    folded = next;
  }
  return folded;
}

/** Reads a password to be set: RFC 8265, OpaqueString. Throws INVALID_INPUT. */
export function parsePassword(field: string, value: string): string {
  parseText(field, value, { max: MAX_DECOMPOSED * MAX_PASSWORD });
  const password = parseText(field, normalizePassword(value), { max: MAX_PASSWORD, visible: true });
  if (NOT_TYPED.test(password)) throw invalidInput(field, `${field} contains control characters.`);
  return password;
}

/** The form of a password that is hashed: blanks are spaces, and characters composed. */
export const normalizePassword = (value: string): string => value.replace(/\p{Zs}/gu, ' ').normalize('NFC');

/**
 * The forms in which a password that was typed may have been set: normalised, and, before passwords were normalised,
 * as typed here or by a device that decomposes. All the same for most.
 */
export function passwordForms(typed: string): readonly string[] {
  if (isLongerThan(typed, MAX_DECOMPOSED * MAX_PASSWORD)) return [typed];
  return [...new Set([normalizePassword(typed), typed, typed.normalize('NFD')])];
}

/** Counts no further than it must: a code point has at most two code units. */
function isLongerThan(text: string, limit: number): boolean {
  if (text.length <= limit) return false;
  if (text.length > 2 * limit) return true;
  let count = 0;
  for (const _point of text) count += 1;
  return count > limit;
}
