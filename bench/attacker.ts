// A process that attacks a server until it is killed: `node bench/attacker.ts NAME URL [TOKEN...]`.
import process from 'node:process';
import { ACCOUNT_ATTACKS } from './account-attacks.ts';
import { base, name } from './attack-tools.ts';
import type { Attacks } from './attack-tools.ts';
import { ENCODING_ATTACKS } from './encoding-attacks.ts';
import { MEDIA_ATTACKS } from './media-attacks.ts';
import { STRANGER_ATTACKS } from './stranger-attacks.ts';

const SINGLE_ATTACKS: Attacks = {
  ...STRANGER_ATTACKS,
  ...ENCODING_ATTACKS,
  ...ACCOUNT_ATTACKS,
  ...MEDIA_ATTACKS,
};

/** Attacks of strangers and accounts that run together. */
const COMBINED = [
  'unread-pages',
  'stalled-bodies',
  'guesses',
  'dense-frames',
  'legacy-events',
  'queries-me',
  'signals',
];

const ATTACKS: Attacks = {
  ...SINGLE_ATTACKS,
  combined: async () => {
    await Promise.all(COMBINED.map(async (each) => SINGLE_ATTACKS[each]?.()));
  },
};

// Ends with the process that started it.
process.once('disconnect', () => process.exit());

if (name === '--list') process.stdout.write(`${Object.keys(ATTACKS).join('\n')}\n`);
else
  try {
    await ATTACKS[name]?.();
  } catch (error) {
    // A bare server has no conversations or files: it is attacked only as far as that.
    process.stderr.write(`${name} against ${base}: ${String(error)}\n`);
  }
