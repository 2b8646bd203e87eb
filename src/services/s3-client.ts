import type { ReadableStream } from 'node:stream/web';
import { AwsClient, AwsV4Signer } from 'aws4fetch';
import { DomainError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ByteRange, DownloadHeaders } from './media-storage.ts';

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

/** A part of a file that has arrived. */
export interface StoredPart {
  readonly number: number;
  readonly size: number;
  /** As XML. */
  readonly etag: string;
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
    await this.#send('PUT', this.#urlOf(key), [200], {
      body: content,
      signal: timeoutFor(content.size),
    });
  }

  /** Returns the bytes; undefined if there is no such file. */
  async get(key: string, range?: ByteRange): Promise<ReadableStream | undefined> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), RESPONSE_TIMEOUT_MS);
    try {
      const { status, body } = await this.#request('GET', this.#urlOf(key), [200, 206, 404], {
        signal: timeout.signal,
        ...(range !== undefined && { headers: { range: `bytes=${range.start}-${range.end}` } }),
      });
      // The global type lacks what Node's streams need of it.
      if (status !== 404) return (body ?? undefined) as ReadableStream | undefined;
      await body?.cancel();
      return undefined;
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

  /** Copies a file within the bucket. Returns false if there is none. */
  async copy(from: string, to: string): Promise<boolean> {
    const headers = { 'x-amz-copy-source': new URL(this.#urlOf(from)).pathname };
    const response = await this.#request('PUT', this.#urlOf(to), [200, 404], { headers });
    await this.#requireNoError(response, 'COPY');
    return response.ok;
  }

  /** Deletes a file. Ignores a missing one. */
  async delete(key: string): Promise<void> {
    await this.#send('DELETE', this.#urlOf(key), [200, 204, 404]);
  }

  /** Starts an upload in parts, and returns its id. */
  async startParts(key: string): Promise<string> {
    const response = await this.#request('POST', this.#urlOf(key, { uploads: '' }), [200]);
    const uploadId = textOf(await response.text(), 'UploadId');
    if (uploadId === undefined) throw this.#toUnavailable('POST', new Error('The response has no UploadId'));
    return uploadId;
  }

  /** Returns the parts that have arrived, of at most 1,000; undefined if the upload was completed or aborted. */
  async listParts(key: string, uploadId: string): Promise<readonly StoredPart[] | undefined> {
    const response = await this.#request('GET', this.#urlOf(key, { uploadId }), [200, 404]);
    const text = await response.text();
    if (!response.ok) return undefined;
    return Array.from(text.matchAll(/<Part>([^]*?)<\/Part>/g), ([, part = '']) => ({
      number: Number(textOf(part, 'PartNumber')),
      size: Number(textOf(part, 'Size')),
      etag: textOf(part, 'ETag') ?? '',
    }));
  }

  /** Joins the parts to the file. Does nothing if the upload was completed or aborted. */
  async completeParts(key: string, uploadId: string, parts: readonly StoredPart[]): Promise<void> {
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    const elements = parts.map(
      ({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`,
    );
    const response = await this.#request('POST', this.#urlOf(key, { uploadId }), [200, 404], {
      body: `<CompleteMultipartUpload>${elements.join('')}</CompleteMultipartUpload>`,
      headers: { 'content-type': 'application/xml' },
      signal: timeoutFor(size),
    });
    await this.#requireNoError(response, 'COMPLETE');
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
    const url = new URL(
      this.#urlOf(key, part && { partNumber: String(part.number), uploadId: part.uploadId }),
    );
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

  /** S3 sends the status before it has copied the file, or joined its parts. */
  async #requireNoError(response: Response, method: string): Promise<void> {
    const text = await response.text();
    if (response.ok && text.includes('<Error>')) throw this.#toUnavailable(method, new Error(text));
  }

  #toUnavailable(method: string, error: unknown): DomainError {
    this.#log.warn({ err: error, method }, 'request to the bucket failed');
    return new DomainError('UNAVAILABLE', 'The media storage is not available. Try again later.');
  }

  #urlOf(key: string, parameters: Readonly<Record<string, string>> = {}): string {
    const query = new URLSearchParams(parameters).toString();
    return `${this.#bucketUrl}/${encodeURIComponent(key)}${query === '' ? '' : `?${query}`}`;
  }
}

const timeoutFor = (bytes: number): AbortSignal =>
  AbortSignal.timeout(Math.ceil(RESPONSE_TIMEOUT_MS + bytes / MIN_BYTES_PER_MS));

/** Returns the text of the first element of a name, as XML. */
const textOf = (xml: string, name: string): string | undefined =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];

/** Encodes a time in milliseconds since 1970 as `20261130T120000Z`. */
const toAmzDate = (time: number): string => new Date(time).toISOString().replaceAll(/[:-]|\.\d{3}/g, '');
