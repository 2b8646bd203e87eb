import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pathOf } from './request-head.ts';
import { sendHttpError } from './respond.ts';
import { contentSecurityPolicy } from './response-headers.ts';
import { PATH_NOT_FOUND } from './router.ts';
import type { Route } from './router.ts';
import { createBufferContent, sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';

/** That of the checkout, of the package, or of the image. */
const ROOT = new URL('../../../', import.meta.url);
const FOLDER = '/docs/';
const OTHERS = [
  '/README.md',
  '/ARCHITECTURE.md',
  '/CHANGELOG.md',
  '/CONTRIBUTING.md',
  '/SECURITY.md',
  '/schema.graphql',
];

const HTML = 'text/html; charset=utf-8';
const TYPES: Readonly<Record<string, string>> = {
  md: HTML,
  graphql: 'text/plain; charset=utf-8',
  png: 'image/png',
  svg: 'image/svg+xml',
};

const fileOf = (path: string): URL => new URL(path.slice(1), ROOT);

const typeOf = (path: string): string | undefined => TYPES[path.slice(path.lastIndexOf('.') + 1)];

/** Finds the documents by their paths, which are those of the repository. A closed list, so that no path can escape. */
function findDocuments(): Set<string> {
  const isThere = (path: string): boolean => existsSync(fileOf(path));
  const found = isThere(FOLDER) ? readdirSync(fileOf(FOLDER), { recursive: true, encoding: 'utf8' }) : [];
  const paths = found.map((name) => `${FOLDER}${name.replaceAll('\\', '/')}`);
  return new Set([...OTHERS.filter(isThere), ...paths.filter((path) => typeOf(path) !== undefined)]);
}

/** Returns the routes of the documentation: its Markdown as pages, under the paths of the repository. */
export function documentRoutes(): Route[] {
  const documents = findDocuments();
  const contents = new Map<string, Promise<FileContent>>();
  const read = (path: string): Promise<FileContent> => {
    const known = contents.get(path) ?? readDocument(path, documents);
    contents.set(path, known);
    known.catch(() => contents.delete(path));
    return known;
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = pathOf(request);
    if (!documents.has(path)) return sendHttpError(response, PATH_NOT_FOUND);
    await sendContent(request, response, await read(path));
  };
  return [FOLDER, ...OTHERS].map((path) => ({ path, methods: ['GET', 'HEAD'], handle }));
}

async function readDocument(path: string, documents: ReadonlySet<string>): Promise<FileContent> {
  const bytes = await readFile(fileOf(path));
  const type = typeOf(path);
  // Imported on first use: few requests are for a document.
  const body =
    type === HTML
      ? Buffer.from((await import('./render-document.ts')).renderDocument(bytes.toString(), path, documents))
      : bytes;
  return createBufferContent(body, {
    'content-type': type,
    'cache-control': 'no-cache',
    'content-security-policy': contentSecurityPolicy([
      "style-src 'self'",
      "img-src 'self'",
      "font-src 'self'",
    ]),
  });
}
