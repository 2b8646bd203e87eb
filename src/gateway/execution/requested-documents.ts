import { DomainError, invalidInput } from '../../errors.ts';
import { createLruCache } from '../../lib/lru-cache.ts';
import type { Engine } from './engine.ts';
import { sha256 } from './persisted-operations.ts';
import type { PersistedOperations } from './persisted-operations.ts';

/** What a client sends to say which document to run, on whatever transport. */
export interface DocumentRequest {
  readonly query?: unknown;
  /** The id of a persisted operation (GraphQL over HTTP, appendix A), and the names that Relay's users give it. */
  readonly documentId?: unknown;
  readonly id?: unknown;
  readonly doc_id?: unknown;
  readonly docId?: unknown;
  readonly extensions?: unknown;
}

/** Tells which document a request is about. */
export interface RequestedDocuments {
  /**
   * The text to run; undefined when the request names none. Throws PERSISTED_QUERY_NOT_FOUND for a hash that the client
   * may send again with its text, PERSISTED_QUERY_NOT_IN_LIST for what this server does not run, INVALID_INPUT for a
   * text that is not what its hash or id says.
   */
  textOf(request: DocumentRequest): string | undefined;
}

const ID_FIELDS = ['documentId', 'doc_id', 'docId', 'id'] as const;

/** Texts that clients have registered by the automatic protocol, in characters. One that is evicted is sent again. */
const MAX_REGISTERED = 1_000_000;

export interface RequestedDocumentsOptions {
  readonly engine: Pick<Engine, 'parse' | 'validate'>;
  readonly persisted: PersistedOperations | undefined;
  /** Whether the persisted operations are the only ones. */
  readonly only: boolean;
}

export function createRequestedDocuments({
  engine,
  persisted,
  only,
}: RequestedDocumentsOptions): RequestedDocuments {
  const registered = createLruCache<string>(MAX_REGISTERED, (hash, text) => hash.length + text.length);

  const listedAs = (id: string | undefined): string | undefined =>
    id === undefined ? undefined : persisted?.find(id);

  /** The listed text that is the same document; undefined when there is none. */
  const sameListed = (text: string): string | undefined =>
    persisted?.find(sha256(text)) ?? persisted?.findSame(engine.parse(text));

  const checkSame = (listed: string, text: string | undefined, field: string): string => {
    if (text !== undefined && sameListed(text) !== listed)
      throw invalidInput('query', `\`query\` is another document than the one that \`${field}\` names.`);
    return listed;
  };

  const register = (hash: string, text: string): void => {
    if (sha256(text) !== hash.toLowerCase())
      throw invalidInput('extensions', '`persistedQuery.sha256Hash` is not the SHA-256 of `query`.');
    if (!only && engine.validate(engine.parse(text)).length === 0) registered.set(hash.toLowerCase(), text);
  };

  const byHash = ({ hash, version }: PersistedQuery): string => {
    if (version !== 1) throw new DomainError('PERSISTED_QUERY_NOT_SUPPORTED', 'PersistedQueryNotSupported');
    const text = registered.get(hash.toLowerCase());
    if (text === undefined) throw new DomainError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
    return text;
  };

  const byText = (text: string): string => {
    if (!only) return text;
    const listed = sameListed(text);
    if (listed === undefined)
      throw notListed('This server runs persisted operations only, and this document is none of them.');
    return listed;
  };

  return {
    textOf(request) {
      const text = typeof request.query === 'string' && request.query !== '' ? request.query : undefined;
      const id = idOf(request);
      const hashed = persistedQueryOf(request.extensions);
      const listedById = listedAs(id);
      if (listedById !== undefined) return checkSame(listedById, text, 'documentId');
      const listedByHash = listedAs(hashed?.hash);
      if (listedByHash !== undefined) return checkSame(listedByHash, text, 'sha256Hash');
      if (text !== undefined) {
        if (hashed?.version === 1) register(hashed.hash, text);
        return byText(text);
      }
      if (hashed !== undefined) return byHash(hashed);
      if (id === undefined) return undefined;
      throw notListed(
        persisted === undefined
          ? 'This server has no persisted operations: `PERSISTED_OPERATIONS` is not set.'
          : `No persisted operation of this server has the id \`${id.slice(0, MAX_SHOWN)}\`.`,
      );
    },
  };
}

/** The ids in the URL of a GET request. */
export function idsInUrl(url = ''): DocumentRequest {
  const parameters = new URLSearchParams(url.split('?').slice(1).join('?'));
  return Object.fromEntries(ID_FIELDS.map((field) => [field, parameters.get(field)]));
}

/** The request without its ids, which are no parameters of an operation. */
export const withoutIds = <Request extends object>(request: Request): Request =>
  Object.fromEntries(
    Object.entries(request).filter(([name]) => !ID_FIELDS.some((field) => field === name)),
  ) as Request;

/** Whether the request names a document otherwise than by its text. */
export const namesDocument = (request: DocumentRequest): boolean =>
  idOf(request) !== undefined || persistedQueryOf(request.extensions) !== undefined;

const MAX_SHOWN = 100;

const notListed = (message: string): DomainError => new DomainError('PERSISTED_QUERY_NOT_IN_LIST', message);

function idOf(request: DocumentRequest): string | undefined {
  const ids = ID_FIELDS.map((field) => request[field]);
  return ids.find((id): id is string => typeof id === 'string' && id !== '');
}

interface PersistedQuery {
  readonly hash: string;
  readonly version: unknown;
}

/** https://www.apollographql.com/docs/apollo-server/performance/apq */
function persistedQueryOf(extensions: unknown): PersistedQuery | undefined {
  const { persistedQuery } = asObject(extensions);
  const { sha256Hash, version } = asObject(persistedQuery);
  return typeof sha256Hash === 'string' && sha256Hash !== '' ? { hash: sha256Hash, version } : undefined;
}

const asObject = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
