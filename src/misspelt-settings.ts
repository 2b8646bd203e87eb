/** A variable that no one reads, and the setting it was probably meant to be. */
export interface Misspelt {
  readonly name: string;
  readonly meant: string;
}

const PREFIX = /^PARLEY_/;
/** Names of npm, of Node and of PostgreSQL's own client. */
const FOREIGN = /^(npm_|NODE_|PG[A-Z]+$)/;
/** What Kubernetes sets for a service, as PARLEY_PORT for one of the name parley. */
const SERVICE_LINK = /^tcp:\/\//;
const SAME_WORDS: Readonly<Record<string, string>> = {
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
const MAX_NAME = 64;

/** Finds variables that resemble a setting and are none. Values are looked at only to leave out what Kubernetes sets. */
export function findMisspeltSettings(
  environment: Readonly<Record<string, string | undefined>>,
  settings: readonly string[],
): Misspelt[] {
  return Object.entries(environment).flatMap(([name, value = '']) => {
    if (settings.includes(name) || name.length > MAX_NAME) return [];
    if (FOREIGN.test(name) || SERVICE_LINK.test(value)) return [];
    const meant = nearest(normalise(name).replace(PREFIX, ''), settings);
    return meant === undefined ? [] : [{ name, meant }];
  });
}

/** `databaseUrl`, `database-url` and ` DATABASE_URL` as `DATABASE_URL`. */
const normalise = (name: string): string =>
  name
    .trim()
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toUpperCase();

function nearest(name: string, settings: readonly string[]): string | undefined {
  const letters = name.replaceAll('_', '');
  const [best] = settings
    .map((setting) => ({ setting, distance: distanceOf(letters, setting.replaceAll('_', '')) }))
    .toSorted((a, b) => a.distance - b.distance);
  if (best !== undefined && best.distance <= allowedDistance(letters, best.setting)) return best.setting;
  return settings.find((setting) => hasSameWords(wordsOf(name), wordsOf(setting)));
}

/** Short names resemble many words: one letter may differ, and not the first. */
function allowedDistance(letters: string, setting: string): number {
  if (setting.length >= 8) return 2;
  return letters[0] === setting[0] ? 1 : 0;
}

const wordsOf = (name: string): string[] =>
  name.split('_').map((word) => SAME_WORDS[word] ?? (word.length > 3 ? word.replace(/S$/, '') : word));

/** The same words in another order; or of three and more, all but one, or another in the place of one. */
function hasSameWords(words: readonly string[], wanted: readonly string[]): boolean {
  if (words.length < 2 || words.length > wanted.length) return false;
  const missing = wanted.filter((word) => !words.includes(word)).length;
  const foreign = words.filter((word) => !wanted.includes(word)).length;
  return wanted.length < 3 ? missing + foreign === 0 : missing <= 1 && foreign <= 1;
}

/** How many letters must be inserted, removed, changed or swapped with the next (optimal string alignment). */
function distanceOf(a: string, b: string): number {
  let [before, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] && i > 1 && j > 1;
      const swapped = isSwapped ? (before[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, changed, swapped));
    }
    [before, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
