import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** Signs values that clients return later. */
export interface ClaimsSigner {
  /** Returns a text of the claims and a MAC over them and the subject, which both sides know. */
  sign(subject: string, claims: readonly unknown[]): string;
  /** Returns the claims of a text that was signed for the subject; undefined for any other text. */
  verify(subject: string, text: string): unknown;
}

const KEY_BYTES = 32;

/**
 * Creates a signer. The first secret signs, all verify. Keys are derived from them for the purpose, so that nothing signed
 * passes for a token or for another purpose: change the purpose with the form of the claims.
 */
export function createClaimsSigner(secrets: readonly string[], purpose: string): ClaimsSigner {
  // Imported once, which takes five times as long as a signature.
  const keys = secrets.map((secret) =>
    createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', purpose, KEY_BYTES))),
  );
  const [signingKey] = keys;
  if (signingKey === undefined) throw new Error('Signing requires a secret');
  return {
    sign(subject, claims) {
      const encoded = Buffer.from(JSON.stringify(claims)).toString('base64url');
      return `${encoded}.${macOf(signingKey, subject, encoded).toString('base64url')}`;
    },
    verify(subject, text) {
      const [encoded = '', mac = ''] = text.split('.');
      const received = Buffer.from(mac, 'base64url');
      const isSigned = keys.some((key) => {
        const expected = macOf(key, subject, encoded);
        return expected.length === received.length && timingSafeEqual(expected, received);
      });
      return isSigned ? JSON.parse(Buffer.from(encoded, 'base64url').toString()) : undefined;
    },
  };
}

const macOf = (key: KeyObject, subject: string, encoded: string): Buffer =>
  createHmac('sha256', key).update(`${subject}.${encoded}`).digest();
