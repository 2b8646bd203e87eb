import type { ReadableStream } from 'node:stream/web';
import { AwsClient, AwsV4Signer } from 'aws4fetch';
import { DomainError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ByteRange, DownloadHeaders } from './media-storage.ts';
import { formatParts, parseParts, textOf, toXml } from './s3-xml.ts';
import type { StoredPart } from './s3-xml.ts';

export interface S3Settings {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Time for the response of a bucket to begin. An upload has the time that its bytes take, too. */
const RESPONSE_TIMEOUT_MS = 30_000;
/** Slowest connection to a bucket that is used: 1 MB/s. */
const MIN_BYTES_PER_MS = 1_000;
/** Repeats of a request that the bucket refuses with 5xx or 429, as S3 does while it scales. */
const RETRIES = 2;
/** Presigned URLs are the same for this long, and valid for as long after it. */
const PRESIGN_STEP_MS = 60_000;
/** Time for the upload of a file by its client, which may have a weak signal; a large one has more. */
const UPLOAD_SECONDS = 3_600;
const MIN_UPLOAD_BYTES_PER_SECOND = 16_000;
/** The longest that S3 accepts. */
const MAX_PRESIGN_SECONDS = 604_800;
const MAX_LOGGED_LENGTH = 500;

export interface S3ClientOptions extends S3Settings {
  readonly now: () => number;
  readonly log: Pick<Logger, 'warn'>;
}

/** The position of a part in its upload. */
export interface PartPosition {
  readonly uploadId: string;
  readonly number: number;
}

type RequestOptions = Pick<RequestInit, 'body' | 'headers' | 'signal'>;

/** A client of one bucket, with the bucket in the path. Its methods throw UNAVAILABLE for any unexpected response. */
export class S3Client {
  readonly #aws: AwsClient;
  readonly #credentials: Pick<S3Settings, 'region' | 'accessKeyId' | 'secretAccessKey'>;
  readonly #bucketUrl: string;
  readonly #now: () => number;
  readonly #log: Pick<Logger, 'warn'>;

  constructor({ endpoint, bucket, region, accessKeyId, secretAccessKey, now, log }: S3ClientOptions) {
    this.#aws = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: RETRIES });
    this.#credentials = { region, accessKeyId, secretAccessKey };
    this.#bucketUrl = `${endpoint.replace(/\/+$/, '')}/${encodeURIComponent(bucket)}`;
    this.#now = now;
    this.#log = log;
  }

  /** Throws unless the bucket exists and the key may use it. */
  async checkBucket(): Promise<void> {
    await this.#send('HEAD', this.#bucketUrl, [200]);
  }

  async put(key: string, content: Blob): Promise<void> {
    await this.#put(this.#urlOf(key), content);
  }

  async putPart(key: string, position: PartPosition, content: Blob): Promise<StoredPart> {
    const { headers } = await this.#put(this.#urlOf(key, queryOf(position)), content);
    return { number: position.number, size: content.size, etag: toXml(headers.get('etag')) };
  }

  /** Returns the bytes of a range, or of a shorter file; undefined if there is no such file. */
  async read(key: string, range: ByteRange): Promise<Buffer | undefined> {
    const response = await this.#get(key, timeoutFor(sizeOf(range)), range);
    return response && Buffer.from(await this.#read('GET', () => response.arrayBuffer()));
  }

  /** Returns the bytes; undefined if there is no such file. */
  async get(key: string, range?: ByteRange): Promise<ReadableStream | undefined> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), RESPONSE_TIMEOUT_MS);
    try {
      const response = await this.#get(key, timeout.signal, range);
      // The global type lacks what Node's streams need of it.
      return (response?.body ?? undefined) as ReadableStream | undefined;
    } finally {
      // The body may take longer: its reader decides.
      clearTimeout(timer);
    }
  }

  /** Returns the size of a file; undefined if there is none. */
  async findSize(key: string): Promise<number | undefined> {
    const { status, headers } = await this.#send('HEAD', this.#urlOf(key), [200, 404]);
    return status === 404 ? undefined : Number(headers.get('content-length'));
  }

  /** Copies a file of this size, at most 5 GiB, within the bucket. Returns false if there is none. */
  async copy(from: string, to: string, size: number): Promise<boolean> {
    return (await this.#copy(this.#urlOf(to), size, this.#sourceOf(from))) !== undefined;
  }

  /** Copies a range of a file to a part of another. Returns undefined if there is no such file. */
  async copyPart(
    from: string,
    to: string,
    position: PartPosition,
    range: ByteRange,
  ): Promise<StoredPart | undefined> {
    const size = sizeOf(range);
    const text = await this.#copy(this.#urlOf(to, queryOf(position)), size, {
      ...this.#sourceOf(from),
      'x-amz-copy-source-range': `bytes=${range.start}-${range.end}`,
    });
    return text === undefined
      ? undefined
      : { number: position.number, size, etag: textOf(text, 'ETag') ?? '' };
  }

  /** Deletes a file. Ignores a missing one. */
  async delete(key: string): Promise<void> {
    await this.#send('DELETE', this.#urlOf(key), [200, 204, 404]);
  }

  /** Starts an upload in parts, and returns its id. */
  async startParts(key: string): Promise<string> {
    const response = await this.#request('POST', this.#urlOf(key, { uploads: '' }), [200]);
    const uploadId = textOf(await this.#readResult(response, 'POST'), 'UploadId');
    if (uploadId === undefined) throw this.#toUnavailable('POST', new Error('The response has no UploadId'));
    return uploadId;
  }

  /** Returns the parts that have arrived, of at most 1,000; undefined if the upload was completed or aborted. */
  async listParts(key: string, uploadId: string): Promise<readonly StoredPart[] | undefined> {
    const response = await this.#request('GET', this.#urlOf(key, { uploadId }), [200, 404]);
    const text = await this.#readResult(response, 'GET');
    if (!response.ok) return undefined;
    return parseParts(text);
  }

  /** Joins the parts to the file. Returns false if the upload was completed or aborted. */
  async completeParts(key: string, uploadId: string, parts: readonly StoredPart[]): Promise<boolean> {
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const response = await this.#request('POST', this.#urlOf(key, { uploadId }), [200, 404], {
      body: formatParts(parts),
      headers: { 'content-type': 'application/xml' },
      signal: timeoutFor(size),
    });
    await this.#readResult(response, 'COMPLETE');
    return response.ok;
  }

  /** Removes the parts of an upload. Ignores one that was completed or aborted. */
  async abortParts(key: string, uploadId: string): Promise<void> {
    await this.#send('DELETE', this.#urlOf(key, { uploadId }), [200, 204, 404]);
  }

  /** Returns a URL to which a file of exactly this size, or a part of it, can be PUT until it expires. */
  async presignUpload(
    key: string,
    size: number,
    part?: PartPosition & { readonly expiresAt: number },
  ): Promise<{ readonly url: string; readonly expiresAt: number }> {
    const expiresAt = part?.expiresAt ?? this.expiryOf(size);
    const url = new URL(this.#urlOf(key, part && queryOf(part)));
    url.searchParams.set('X-Amz-Expires', String(Math.ceil((expiresAt - this.#now()) / 1000)));
    const signer = new AwsV4Signer({
      ...this.#credentials,
      service: 's3',
      method: 'PUT',
      url: url.href,
      headers: { 'content-length': String(size) },
      datetime: toAmzDate(this.#now()),
      signQuery: true,
      // aws4fetch leaves out the length otherwise, which proxies might change.
      allHeaders: true,
    });
    return { url: (await signer.sign()).url.href, expiresAt };
  }

  /** Returns when URLs for the upload of so many bytes expire, in milliseconds since 1970. */
  expiryOf(bytes: number): number {
    const seconds = UPLOAD_SECONDS + Math.ceil(bytes / MIN_UPLOAD_BYTES_PER_SECOND);
    return this.#now() + Math.min(seconds, MAX_PRESIGN_SECONDS) * 1000;
  }

  /** Returns a URL at which anyone can download the file for one to two minutes. */
  async presignDownload(key: string, { contentType, disposition }: DownloadHeaders): Promise<string> {
    const url = new URL(this.#urlOf(key));
    url.searchParams.set('X-Amz-Expires', String((2 * PRESIGN_STEP_MS) / 1000));
    url.searchParams.set('response-content-type', contentType);
    url.searchParams.set('response-content-disposition', disposition);
    url.searchParams.set('response-cache-control', 'private');
    const datetime = toAmzDate(Math.floor(this.#now() / PRESIGN_STEP_MS) * PRESIGN_STEP_MS);
    const signed = await this.#aws.sign(url.href, { method: 'GET', aws: { signQuery: true, datetime } });
    return signed.url;
  }

  async #put(url: string, content: Blob): Promise<Response> {
    return this.#send('PUT', url, [200], { body: content, signal: timeoutFor(content.size) });
  }

  /** Returns undefined if there is no such file. */
  async #get(key: string, signal: AbortSignal, range?: ByteRange): Promise<Response | undefined> {
    const response = await this.#request('GET', this.#urlOf(key), [200, 206, 404], {
      signal,
      ...(range !== undefined && { headers: { range: `bytes=${range.start}-${range.end}` } }),
    });
    if (response.status !== 404) return response;
    await response.body?.cancel();
    return undefined;
  }

  /** Returns the result as XML; undefined if there is no such file. */
  async #copy(url: string, size: number, headers: Record<string, string>): Promise<string | undefined> {
    const signal = timeoutFor(size);
    const response = await this.#request('PUT', url, [200, 404], { headers, signal });
    const text = await this.#readResult(response, 'COPY');
    return response.ok ? text : undefined;
  }

  /** Sends a request whose response has no content of interest. */
  async #send(
    method: string,
    url: string,
    expected: readonly number[],
    init: RequestOptions = {},
  ): Promise<Response> {
    const response = await this.#request(method, url, expected, init);
    await response.body?.cancel();
    return response;
  }

  async #request(
    method: string,
    url: string,
    expected: readonly number[],
    init: RequestOptions = {},
  ): Promise<Response> {
    const signal = init.signal ?? AbortSignal.timeout(RESPONSE_TIMEOUT_MS);
    const response = await this.#aws.fetch(url, { ...init, method, signal }).catch((error: unknown) => {
      throw this.#toUnavailable(method, error);
    });
    if (expected.includes(response.status)) return response;
    const text = await response.text().catch(() => '');
    throw this.#toUnavailable(method, new Error(`${response.status} ${text.slice(0, MAX_LOGGED_LENGTH)}`));
  }

  /** Returns the text of a response. S3 sends its status before it has copied the file, or joined its parts. */
  async #readResult(response: Response, method: string): Promise<string> {
    const text = await this.#read(method, () => response.text());
    if (response.ok && text.includes('<Error>')) throw this.#toUnavailable(method, new Error(text));
    return text;
  }

  /** Reads a body, whose connection may be lost. */
  async #read<Content>(method: string, read: () => Promise<Content>): Promise<Content> {
    return read().catch((error: unknown) => {
      throw this.#toUnavailable(method, error);
    });
  }

  #toUnavailable(method: string, error: unknown): DomainError {
    this.#log.warn({ err: error, method }, 'request to the bucket failed');
    return new DomainError('UNAVAILABLE', 'The media storage is not available. Try again later.');
  }

  #sourceOf(key: string): Record<string, string> {
    return { 'x-amz-copy-source': new URL(this.#urlOf(key)).pathname };
  }

  #urlOf(key: string, parameters: Readonly<Record<string, string>> = {}): string {
    const query = new URLSearchParams(parameters).toString();
    return `${this.#bucketUrl}/${encodeURIComponent(key)}${query === '' ? '' : `?${query}`}`;
  }
}

const timeoutFor = (bytes: number): AbortSignal =>
  AbortSignal.timeout(Math.ceil(RESPONSE_TIMEOUT_MS + bytes / MIN_BYTES_PER_MS));

const sizeOf = ({ start, end }: ByteRange): number => end - start + 1;

const queryOf = ({ number, uploadId }: PartPosition) => ({ partNumber: String(number), uploadId });

/** Encodes a time in milliseconds since 1970 as `20261130T120000Z`. */
const toAmzDate = (time: number): string => new Date(time).toISOString().replaceAll(/[:-]|\.\d{3}/g, '');
