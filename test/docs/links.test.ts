import { existsSync, globSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../harness/program.ts';
import { readProjectFile } from './snippets.ts';

const documents = globSync(['*.md', 'docs/**/*.md', 'client/*.md', 'deploy/**/*.md', 'examples/*/*.md'], {
  cwd: ROOT,
});

test('every link of the documents has a target', async () => {
  expect(documents).toContain('docs/operations/README.md');
  for (const document of documents) {
    const text = (await readProjectFile(document)).replaceAll(/^```.*?^```/gms, '');
    for (const [, file = '', anchor] of text.matchAll(/\]\((?!\w+:)([^)#]*)(?:#([^)]+))?\)/g)) {
      const path = file === '' ? document : posix.join(posix.dirname(document), file);
      expect(existsSync(`${ROOT}/${path}`), `${document} links to ${path}`).toBe(true);
      if (anchor !== undefined)
        expect(findAnchors(await readProjectFile(path)), `${document} links to ${path}`).toContain(anchor);
    }
  }
});

test('every file named in the documents exists', async () => {
  for (const document of documents.filter((path) => !path.startsWith('docs/decisions/'))) {
    for (const [, path = ''] of (await readProjectFile(document)).matchAll(
      /`((?:src|test|docs|scripts|bench|deploy)\/[\w./-]+\.\w+)`/g,
    ))
      expect(existsSync(`${ROOT}/${path}`), `${document} names ${path}`).toBe(true);
  }
});

/** Returns the anchors of headings as GitHub generates them, with a number for repeated ones. */
function findAnchors(text: string): string[] {
  const seen = new Map<string, number>();
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => {
    const anchor = title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}
