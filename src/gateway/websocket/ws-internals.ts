import * as ws from 'ws';

/** `ws` exports its Sender at run time, but neither documents nor types it. */
interface Sender {
  send(
    data: string,
    options: { readonly fin: true; readonly binary: false; readonly compress: false; readonly mask: false },
    callback: () => void,
  ): void;
}

type SenderClass = new (stream: object, extensions: object) => Sender;

/**
 * Checks that `ws` writes an uncompressed text frame to its stream synchronously and unmasked. Throws an Error otherwise.
 * `frame-writer.ts` writes frames to the same stream behind the Sender: a Sender that queued frames would reorder them.
 */
export function requireWsInternals(library: object = ws): void {
  const sender: unknown = Reflect.get(library, 'Sender');
  if (typeof sender !== 'function') throw new Error('ws lacks what shared frames need: Sender');
  const written: Uint8Array[] = [];
  const stream = {
    destroyed: false,
    cork: () => undefined,
    uncork: () => undefined,
    write: (chunk: string | Uint8Array) => void written.push(Buffer.from(chunk as string)),
  };
  new (sender as SenderClass)(stream, {}).send(
    'hi',
    { fin: true, binary: false, compress: false, mask: false },
    () => undefined,
  );
  if (!Buffer.concat(written).equals(Buffer.from([0x81, 2, 0x68, 0x69])))
    throw new Error('ws lacks what shared frames need: frames written synchronously');
}
