export interface EventStreamRequest {
  readonly query: string;
  readonly variables?: object;
  /** Undefined for an anonymous client. */
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface EventStream extends Disposable {
  readonly response: Response;
  /** The body of the response, decoded. */
  readonly text: AsyncIterableIterator<string>;
  /** Reads the response until the text so far matches, and returns this text. */
  readUntil(pattern: RegExp): Promise<string>;
}

/** Sends an operation that is to be answered with Server-Sent Events. Disposal disconnects. */
export async function openEventStream(
  url: string,
  { token, headers, ...body }: EventStreamRequest,
): Promise<EventStream> {
  const abort = new AbortController();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    signal: abort.signal,
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const text = readChunks(response);
  let received = '';
  return {
    response,
    text,
    async readUntil(pattern) {
      while (!pattern.test(received)) {
        const { done, value } = await text.next();
        if (done === true) throw new Error(`The response ended after: ${received}`);
        received += value;
      }
      return received;
    },
    [Symbol.dispose]: () => abort.abort(),
  };
}

async function* readChunks({ body }: Response): AsyncGenerator<string, void> {
  yield* body?.pipeThrough(new TextDecoderStream()) ?? [];
}
