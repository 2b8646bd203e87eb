import { readFile } from 'node:fs/promises';

/** Reads a file of the project, by its path from the root. */
export const readProjectFile = (path: string): Promise<string> =>
  readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Returns the code blocks of a document in one language. */
export const findCodeBlocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1] ?? '');

/** Runs a snippet as a script, with the globals of a page or a program. Returns its result. */
export async function runSnippet<Result = void>(
  snippet: string,
  url: string,
  scope: Record<string, unknown>,
): Promise<Result> {
  const code = snippet.replaceAll('127.0.0.1:4000', new URL(url).host).replace(/^import .*$/gm, '');
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...values: unknown[]) => Promise<Result>;
  return new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope));
}
