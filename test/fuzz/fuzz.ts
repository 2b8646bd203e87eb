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

/** Time after which the search for a smaller failing input ends. */
const TIME_LIMIT_MS = 240_000 * FACTOR;

/** The timeout of a test, which leaves time to report a failure. */
export const TIMEOUT_MS = TIME_LIMIT_MS + 60_000;

/**
 * Checks a property with random input. Throws a failing input, and the seed to reproduce it with. The input is the smallest
 * that is found, or with `shrinks: false`, for properties that take seconds, the first.
 */
export async function fuzz<Input>(
  property: fc.IAsyncProperty<Input>,
  runs: number,
  { shrinks = true }: { readonly shrinks?: boolean } = {},
): Promise<void> {
  try {
    await fc.assert(property, {
      seed: SEED,
      numRuns: runs * FACTOR,
      endOnFailure: !shrinks,
      interruptAfterTimeLimit: TIME_LIMIT_MS,
      markInterruptAsFailure: true,
    });
  } catch (error) {
    throw new Error(`Reproduce with FUZZ_SEED=${SEED} FUZZ_FACTOR=${FACTOR}: ${String(error)}`, {
      cause: error,
    });
  }
}
