/** Reads parts of the file that this process inspects. Parts may be requested concurrently. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array, unknown>;
  readonly #request: (start: number, end: number) => void;
  #rest: Uint8Array = new Uint8Array();
  #lastRead: Promise<unknown> = Promise.resolve();

  /** `request` asks for bytes, which arrive in the order of the requests. */
  constructor(input: AsyncIterable<Uint8Array>, request: (start: number, end: number) => void) {
    this.#chunks = input[Symbol.asyncIterator]();
    this.#request = request;
  }

  /** Returns the bytes from `start` up to but not including `end`. Throws if they end early. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const read = this.#lastRead.then(() => this.#readNow(start, end));
    this.#lastRead = read.catch(() => undefined);
    return read;
  }

  async #readNow(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#request(start, end);
    const bytes = new Uint8Array(end - start);
    for (let length = 0; length < bytes.length;) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done === true) throw new Error('The file ended early');
        this.#rest = value;
      }
      const chunk = this.#rest.subarray(0, bytes.length - length);
      this.#rest = this.#rest.subarray(chunk.length);
      bytes.set(chunk, length);
      length += chunk.length;
    }
    return bytes;
  }
}
