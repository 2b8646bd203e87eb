/** Encodes the header of an unmasked, final text frame with a payload of `length` bytes (RFC 6455, section 5.2). */
export function textFrameHead(length: number): Buffer {
  if (length < 126) return Buffer.from([0x81, length]);
  if (length < 2 ** 16) return Buffer.from([0x81, 126, length >> 8, length & 0xff]);
  const head = Buffer.alloc(10);
  head.writeUInt16BE(0x817f);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** Encodes an unmasked, final text frame. */
export function encodeTextFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const head = textFrameHead(length);
  const frame = Buffer.allocUnsafe(head.length + length);
  frame.set(head);
  frame.write(text, head.length);
  return frame;
}
