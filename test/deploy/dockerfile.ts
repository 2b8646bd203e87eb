import { readSample } from './samples.ts';

export interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

/** Returns the instructions of the Dockerfile, with continued lines joined and without comments. */
export function readInstructions(): Instruction[] {
  const lines = readSample('Dockerfile')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  return lines.flatMap((line) => {
    const [, keyword, text] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    return keyword === undefined || text === undefined ? [] : [{ keyword, text }];
  });
}

/** Returns the instructions of the last stage, which is the image. */
export function readImage(): Instruction[] {
  const instructions = readInstructions();
  return instructions.slice(instructions.findLastIndex(({ keyword }) => keyword === 'FROM'));
}

export interface Copy {
  readonly sources: readonly string[];
  readonly target: string;
}

/** Returns what is copied from the build context. */
export const contextCopies = (instructions: readonly Instruction[]): Copy[] =>
  instructions
    .filter(({ keyword, text }) => keyword === 'COPY' && !text.includes('--from='))
    .map(({ text }) => {
      const paths = text.split(' ');
      return { sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
    });

/**
 * Creates the check whether a file belongs to the build context, by the patterns of .dockerignore: `*`, then the paths that
 * are included, then names that are excluded everywhere. Throws for other patterns.
 */
export function createContextFilter(dockerignore: string): (path: string) => boolean {
  const [all, ...patterns] = dockerignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (all !== '*') throw new Error('.dockerignore must exclude everything first');
  const lastIncluded = patterns.findLastIndex((pattern) => pattern.startsWith('!'));
  const included = patterns.slice(0, lastIncluded + 1).map((pattern) => {
    if (!/^![\w./-]+$/.test(pattern)) throw new Error(`Not a path to include: ${pattern}`);
    return pattern.slice(1);
  });
  const excluded = patterns.slice(lastIncluded + 1).map((pattern) => {
    if (!/^\*\*\/[\w.*-]+$/.test(pattern)) throw new Error(`Not a name to exclude: ${pattern}`);
    return new RegExp(`^${pattern.slice(3).replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  });
  return (path) =>
    included.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)) &&
    !path.split('/').some((name) => excluded.some((pattern) => pattern.test(name)));
}
