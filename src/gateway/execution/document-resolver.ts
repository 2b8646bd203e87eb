import { LRUCache } from 'lru-cache';
import { DomainError, invalidInput } from '../../errors.ts';
import type { Engine } from './engine.ts';
import { sha256 } from './persisted-operations.ts';
import type { PersistedOperations } from './persisted-operations.ts';

/** The members of a request that select its document, the same on every transport. */
export interface DocumentRequest {
  readonly query?: unknown;
  /** The id of a persisted operation (GraphQL over HTTP, appendix A); the next three are names that Relay clients use. */
  readonly documentId?: unknown;
  readonly id?: unknown;
  readonly doc_id?: unknown;
  readonly docId?: unknown;
  readonly extensions?: unknown;
}

/** Resolves the text of the document that a request selects. */
export interface DocumentResolver {
  /**
   * Returns the text to run; undefined when the request has neither text, id nor hash. Throws PERSISTED_QUERY_NOT_FOUND
   * for an unknown hash, which the client may send again with its text; PERSISTED_QUERY_NOT_IN_LIST for a document that
   * this server does not run; INVALID_INPUT for a text that does not match its hash or id.
   */
  resolveText(request: DocumentRequest): string | undefined;
}

const ID_FIELDS = ['documentId', 'doc_id', 'docId', 'id'] as const;

/** Texts registered by automatic persisted queries, in characters. Clients send an evicted text again. */
const MAX_REGISTERED_CHARACTERS = 1_000_000;

export interface DocumentResolverOptions {
  readonly engine: Pick<Engine, 'parse' | 'validate'>;
  readonly persisted: PersistedOperations | undefined;
  /** Whether only persisted operations may run. */
  readonly persistedOnly: boolean;
}

export function createDocumentResolver({
  engine,
  persisted,
  persistedOnly,
}: DocumentResolverOptions): DocumentResolver {
  const registeredTexts = new LRUCache<string, string>({
    maxSize: MAX_REGISTERED_CHARACTERS,
    sizeCalculation: (text, hash) => hash.length + text.length,
  });

  const findListed = (id: string | undefined): string | undefined =>
    id === undefined ? undefined : persisted?.find(id);

  /** Returns the listed text that is the same document. */
  const findSameListed = (text: string): string | undefined =>
    persisted?.find(sha256(text)) ?? persisted?.findSame(engine.parse(text));

  const requireSame = (listedText: string, text: string | undefined, field: string): string => {
    if (text !== undefined && findSameListed(text) !== listedText)
      throw invalidInput(
        'query',
        `\`query\` is not the document that \`${field}\` identifies. Send one of the two, or a matching pair.`,
      );
    return listedText;
  };

  const register = (hash: string, text: string): void => {
    if (sha256(text) !== hash.toLowerCase())
      throw invalidInput('extensions', '`persistedQuery.sha256Hash` is not the SHA-256 hash of `query`.');
    if (!persistedOnly && engine.validate(engine.parse(text)).length === 0)
      registeredTexts.set(hash.toLowerCase(), text);
  };

  const findRegistered = ({ hash, version }: PersistedQuery): string => {
    if (version !== 1) throw new DomainError('PERSISTED_QUERY_NOT_SUPPORTED', 'PersistedQueryNotSupported');
    const text = registeredTexts.get(hash.toLowerCase());
    if (text === undefined) throw new DomainError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
    return text;
  };

  const requireAllowed = (text: string): string => {
    if (!persistedOnly) return text;
    const listedText = findSameListed(text);
    if (listedText === undefined)
      throw notInListError('This server runs persisted operations only, and this document is none of them.');
    return listedText;
  };

  return {
    resolveText(request) {
      const text = typeof request.query === 'string' && request.query !== '' ? request.query : undefined;
      const id = idOf(request);
      const persistedQuery = persistedQueryOf(request.extensions);
      const listedById = findListed(id);
      if (listedById !== undefined) return requireSame(listedById, text, 'documentId');
      const listedByHash = findListed(persistedQuery?.hash);
      if (listedByHash !== undefined) return requireSame(listedByHash, text, 'sha256Hash');
      if (text !== undefined) {
        if (persistedQuery?.version === 1) register(persistedQuery.hash, text);
        return requireAllowed(text);
      }
      if (persistedQuery !== undefined) return findRegistered(persistedQuery);
      if (id === undefined) return undefined;
      throw notInListError(
        persisted === undefined
          ? 'This server has no persisted operations: `PERSISTED_OPERATIONS` is not set.'
          : `No persisted operation of this server has the id \`${id.slice(0, MAX_SHOWN_ID_LENGTH)}\`.`,
      );
    },
  };
}

/** Reads the ids of a persisted operation from the URL of a GET request. */
export function idsInUrl(url = ''): DocumentRequest {
  const parameters = new URLSearchParams(url.split('?').slice(1).join('?'));
  return Object.fromEntries(ID_FIELDS.map((field) => [field, parameters.get(field)]));
}

/** Returns the request without its ids, which Yoga rejects as unknown parameters. */
export const withoutIds = <Request extends object>(request: Request): Request =>
  Object.fromEntries(
    Object.entries(request).filter(([name]) => !ID_FIELDS.some((field) => field === name)),
  ) as Request;

/** Returns whether the request identifies its document by id or hash. */
export const hasDocumentId = (request: DocumentRequest): boolean =>
  idOf(request) !== undefined || persistedQueryOf(request.extensions) !== undefined;

const MAX_SHOWN_ID_LENGTH = 100;

const notInListError = (message: string): DomainError =>
  new DomainError('PERSISTED_QUERY_NOT_IN_LIST', message);

function idOf(request: DocumentRequest): string | undefined {
  const ids = ID_FIELDS.map((field) => request[field]);
  return ids.find((id): id is string => typeof id === 'string' && id !== '');
}

interface PersistedQuery {
  readonly hash: string;
  readonly version: unknown;
}

/** Automatic persisted queries: https://www.apollographql.com/docs/apollo-server/performance/apq */
function persistedQueryOf(extensions: unknown): PersistedQuery | undefined {
  const { persistedQuery } = asObject(extensions);
  const { sha256Hash, version } = asObject(persistedQuery);
  return typeof sha256Hash === 'string' && sha256Hash !== '' ? { hash: sha256Hash, version } : undefined;
}

const asObject = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
