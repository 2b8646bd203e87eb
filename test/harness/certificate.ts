import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { requireProgram } from './installed-programs.ts';

/** A certificate and its private key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const REQUEST = 'req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:P-256'.split(' ');

/** Creates a self-signed certificate for a host, valid for a day. */
export function createCertificate(host: string): Certificate {
  const pem = execFileSync(
    requireProgram('openssl'),
    [
      ...REQUEST,
      '-subj',
      `/CN=${host}`,
      '-addext',
      `subjectAltName=DNS:${host}`,
      '-keyout',
      '-',
      '-out',
      '-',
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const cert = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----\n/.exec(pem)?.[0];
  if (cert === undefined) throw new Error('openssl created no certificate');
  return { cert, key: createPrivateKey(pem).export({ type: 'pkcs8', format: 'pem' }).toString() };
}
