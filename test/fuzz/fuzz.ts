import fc from 'fast-check';

// The seed is fixed, so that a failure in CI is one that everyone can reproduce. FUZZ_SEED explores others, and FUZZ_FACTOR
// multiplies the number of runs.

const DEFAULT_SEED = 20_181_207;

const SEED = readNumber('FUZZ_SEED', DEFAULT_SEED);
const FACTOR = readNumber('FUZZ_FACTOR', 1);

function readNumber(name: string, fallback: number): number {
  const text = process.env[name];
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`${name} must be an integer.`);
  return value;
}

/** Checks a property with random input. Throws the smallest failing input, and the seed to reproduce it with. */
export async function fuzz<Input>(property: fc.IAsyncProperty<Input>, runs: number): Promise<void> {
  try {
    await fc.assert(property, { seed: SEED, numRuns: runs * FACTOR });
  } catch (error) {
    throw new Error(`Reproduce with FUZZ_SEED=${SEED} FUZZ_FACTOR=${FACTOR}: ${String(error)}`, {
      cause: error,
    });
  }
}
