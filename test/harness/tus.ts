import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Upload } from 'tus-js-client';
import type { UploadOptions } from 'tus-js-client';

export const PIECE_TYPE = 'application/offset+octet-stream';

/** A client of resumable uploads. */
export interface Sender {
  readonly url: string;
  readonly token: string;
}

const headersOf = ({ token }: Sender, headers: Readonly<Record<string, string>> = {}) => ({
  authorization: `Bearer ${token}`,
  'tus-resumable': '1.0.0',
  ...headers,
});

/** Encodes the header `Upload-Metadata`. */
export const encodeMetadata = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');

/** Sends a request of the protocol to an upload, or to the path that creates them. */
export const sendTus = (
  sender: Sender,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: Uint8Array<ArrayBuffer> | string,
): Promise<Response> =>
  fetch(sender.url + path, {
    method,
    headers: headersOf(sender, headers),
    ...(body !== undefined && { body }),
  });

/** Starts an upload. Returns its path. */
export async function startResumable(
  sender: Sender,
  mediaId: string,
  size: number,
  filename = 'upload.bin',
): Promise<string> {
  const response = await sendTus(sender, 'POST', '/media/resumable', {
    'upload-length': String(size),
    'upload-metadata': encodeMetadata({ mediaId, filename }),
  });
  if (response.status !== 201) throw new Error(`The upload did not start: ${await response.text()}`);
  return response.headers.get('location') ?? '';
}

/** Sends a whole piece. */
export const sendPiece = (
  sender: Sender,
  path: string,
  offset: number,
  piece: Uint8Array<ArrayBuffer>,
): Promise<Response> =>
  sendTus(sender, 'PATCH', path, { 'upload-offset': String(offset), 'content-type': PIECE_TYPE }, piece);

export const readOffset = async (sender: Sender, path: string): Promise<number> =>
  Number((await sendTus(sender, 'HEAD', path)).headers.get('upload-offset'));

/** A piece that is being sent. */
export interface OpenPiece {
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the connection. */
  cut(): void;
  readonly response: Promise<IncomingMessage>;
}

/** Begins to send a piece, of a length that does not arrive until the test writes it. */
export function openPiece({ url, token }: Sender, path: string, offset: number, length: number): OpenPiece {
  const sent = request(url + path, {
    method: 'PATCH',
    headers: {
      ...headersOf({ url, token }),
      'upload-offset': offset,
      'content-type': PIECE_TYPE,
      'content-length': length,
    },
  });
  const response = once(sent, 'response').then(([message]) => message as IncomingMessage);
  // A test that cuts the connection receives none.
  response.catch(() => undefined);
  return {
    write: (bytes) =>
      new Promise((resolve, reject) =>
        sent.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error))),
      ),
    cut: () => void sent.destroy(),
    response,
  };
}

/** Uploads a file by tus-js-client, which repeats what fails. Resolves with the URL of the upload. */
export function uploadWithClient(
  { url, token }: Sender,
  content: Buffer,
  options: UploadOptions,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(content, {
      endpoint: `${url}/media/resumable`,
      headers: { authorization: `Bearer ${token}` },
      retryDelays: [0, 10, 10, 10, 10],
      ...options,
      onSuccess: () => resolve(upload.url ?? ''),
      onError: reject,
    });
    upload.start();
  });
}
