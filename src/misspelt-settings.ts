/** An unused environment variable, and the setting that was probably meant. */
export interface Misspelt {
  readonly name: string;
  readonly meant: string;
}

const PREFIX = /^PARLEY_/;
/** Variables of npm, Node and libpq. */
const FOREIGN = /^(npm_|NODE_|PG[A-Z]+$)/;
/** Kubernetes sets such values for services, for example PARLEY_PORT for a service named `parley`. */
const SERVICE_LINK = /^tcp:\/\//;
const SYNONYMS: Readonly<Record<string, string>> = {
  URI: 'URL',
  DSN: 'URL',
  DB: 'DATABASE',
  POSTGRES: 'DATABASE',
  POSTGRESQL: 'DATABASE',
  DIRECTORY: 'DIR',
  FOLDER: 'DIR',
  SIZE: 'BYTES',
  JWT: 'AUTH',
};
const MAX_NAME_LENGTH = 64;

/** Finds variables whose names resemble a setting. Reads values only to exclude those that Kubernetes sets. */
export function findMisspeltSettings(
  environment: Readonly<Record<string, string | undefined>>,
  settings: readonly string[],
): Misspelt[] {
  return Object.entries(environment).flatMap(([name, value = '']) => {
    if (settings.includes(name) || name.length > MAX_NAME_LENGTH) return [];
    if (FOREIGN.test(name) || SERVICE_LINK.test(value)) return [];
    const meant = findNearest(normalizeName(name).replace(PREFIX, ''), settings);
    return meant === undefined ? [] : [{ name, meant }];
  });
}

/** Converts `databaseUrl`, `database-url` and ` DATABASE_URL` to `DATABASE_URL`. */
const normalizeName = (name: string): string =>
  name
    .trim()
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toUpperCase();

function findNearest(name: string, settings: readonly string[]): string | undefined {
  const letters = name.replaceAll('_', '');
  const [best] = settings
    .map((setting) => ({ setting, distance: editDistance(letters, setting.replaceAll('_', '')) }))
    .toSorted((a, b) => a.distance - b.distance);
  if (best !== undefined && best.distance <= maxDistance(letters, best.setting)) return best.setting;
  return settings.find((setting) => hasSameWords(splitWords(name), splitWords(setting)));
}

/** Short names resemble many words: only one letter may differ, and not the first. */
function maxDistance(letters: string, setting: string): number {
  if (setting.length >= 8) return 2;
  return letters[0] === setting[0] ? 1 : 0;
}

const splitWords = (name: string): string[] =>
  name.split('_').map((word) => SYNONYMS[word] ?? (word.length > 3 ? word.replace(/S$/, '') : word));

/** Same words in any order; with three or more words, one may be missing or replaced. */
function hasSameWords(words: readonly string[], wanted: readonly string[]): boolean {
  if (words.length < 2 || words.length > wanted.length) return false;
  const missing = wanted.filter((word) => !words.includes(word)).length;
  const extra = words.filter((word) => !wanted.includes(word)).length;
  return wanted.length < 3 ? missing + extra === 0 : missing <= 1 && extra <= 1;
}

/** Returns the optimal string alignment distance: insertions, deletions, substitutions and adjacent swaps. */
function editDistance(a: string, b: string): number {
  let [beforeLast, last]: [number[], number[]] = [
    [],
    Array.from({ length: b.length + 1 }, (_, index) => index),
  ];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] && i > 1 && j > 1;
      const swapped = isSwapped ? (beforeLast[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, substituted, swapped));
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
