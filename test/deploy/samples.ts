import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../harness/program.ts';

/** The folder of the samples. */
export const DEPLOY = join(ROOT, 'deploy');

/** Returns a sample with texts replaced. Throws if it contains one of them nowhere. */
export function readSample(path: string, replacements: Readonly<Record<string, string>> = {}): string {
  return replaceAll(readFileSync(join(DEPLOY, path), 'utf8'), replacements);
}

/** Returns the text with texts replaced. Throws if it contains one of them nowhere. */
export function replaceAll(text: string, replacements: Readonly<Record<string, string>>): string {
  return Object.entries(replacements).reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`The sample does not contain ${from}`);
    return result.replaceAll(from, to);
  }, text);
}

/** Addresses of the nodes in the samples. */
export const NODE_ADDRESSES = { a: '172.28.4.11:4000', b: '172.28.4.12:4000' } as const;
export type NodeName = keyof typeof NODE_ADDRESSES;
