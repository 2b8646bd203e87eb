/** Cuts an ASCII text into chunks of so many characters. */
export const cutText = (text: string, size: number): string[] =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
    text.slice(index * size, (index + 1) * size),
  );

interface Chunk {
  readonly from: string;
  /** Identifies the text among those of its sender. */
  readonly number: string;
  readonly index: number;
  readonly count: number;
  readonly body: string;
}

/** Joins the chunks of texts. Those of one sender arrive in order, so at most one text of each is incomplete. */
export class Chunks {
  readonly #incomplete = new Map<string, { readonly number: string; readonly bodies: string[] }>();

  /** Returns the text with its last chunk. Undefined for the others, and for chunks with a gap, which are dropped. */
  join({ from, number, index, count, body }: Chunk): string | undefined {
    if (count === 1) return body;
    if (index === 0) this.#incomplete.set(from, { number, bodies: [] });
    const { number: expected, bodies } = this.#incomplete.get(from) ?? { number: '', bodies: [] };
    if (expected !== number || bodies.length !== index) {
      this.#incomplete.delete(from);
      return undefined;
    }
    bodies.push(body);
    if (bodies.length < count) return undefined;
    this.#incomplete.delete(from);
    return bodies.join('');
  }
}
