import { deflateSync, crc32 } from 'node:zlib';
import { BufferTarget, EncodedPacket, EncodedVideoPacketSource, Mp4OutputFormat, Output } from 'mediabunny';
import type { Rotation } from 'mediabunny';

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

/** Encodes a chunk of a PNG image. */
export function pngChunk(type: string, data: Uint8Array): Buffer {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(content));
  return Buffer.concat([length, content, checksum]);
}

interface PngOptions {
  readonly rows?: number;
  readonly chunks?: readonly Buffer[];
  readonly interlaced?: boolean;
}

/**
 * Creates a black PNG image, of which the rows are given: with fewer than its height, it is truncated. An interlaced one has four
 * channels of 16 bits, which a decoder holds all at a time.
 */
export function createPng(
  width: number,
  height: number,
  { rows = height, chunks = [], interlaced = false }: PngOptions = {},
): Buffer<ArrayBuffer> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set(interlaced ? [16, 6, 0, 0, 1] : [1], 8);
  // Each of the seven passes has filter bytes of its own.
  const bytes = interlaced ? height * (8 * width + 7) : rows * (1 + Math.ceil(width / 8));
  const data = deflateSync(Buffer.alloc(bytes), { level: 1 });
  return Buffer.concat([
    PNG_SIGNATURE,
    pngChunk('IHDR', header),
    ...chunks,
    pngChunk('IDAT', data),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Creates a GIF image of one pixel, with this many frames. */
export function createGif(frames: number): Buffer<ArrayBuffer> {
  const header = Buffer.from('4749463839610100010080000000000000ffffff', 'hex').subarray(0, 19);
  const frame = Buffer.from('21f904000a0000002c00000000010001000002024401003b', 'hex').subarray(0, 23);
  return Buffer.concat([header, ...Array.from({ length: frames }, () => frame), Buffer.from(';')]);
}

/** Creates a silent MP3 file: 128 kbit/s, frames of 26 ms. */
export function createMp3(frames: number): Buffer<ArrayBuffer> {
  const frame = Buffer.alloc(417);
  frame.writeUInt32BE(0xfffb9000);
  return Buffer.concat(Array.from({ length: frames }, () => frame));
}

/** Creates a WAV file of silence: mono, 8 kHz, 8 bits. */
export function createWav(seconds: number): Buffer<ArrayBuffer> {
  const [rate, header] = [8_000, Buffer.alloc(44)];
  const size = rate * seconds;
  header.write('RIFF\0\0\0\0WAVEfmt ', 'latin1');
  header.writeUInt32LE(36 + size, 4);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(size, 40);
  return Buffer.concat([header, Buffer.alloc(size, 128)]);
}

/** The settings of an H.264 decoder: baseline profile, with a minimal sequence and picture parameter set. */
const AVC_CONFIG = Buffer.from(
  '0142c00affe1000967 42c00a da0f0a69a8 01000468ce3c80'.replaceAll(' ', ''),
  'hex',
);

/** Creates a video of ten frames a second whose packets have no picture. */
export async function createMp4(
  width: number,
  height: number,
  { seconds = 2, rotation = 0 }: { readonly seconds?: number; readonly rotation?: Rotation } = {},
): Promise<Buffer<ArrayBuffer>> {
  const target = new BufferTarget();
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: false }), target });
  const source = new EncodedVideoPacketSource('avc');
  output.addVideoTrack(source, { rotation });
  await output.start();
  const decoderConfig = {
    codec: 'avc1.42c00a',
    codedWidth: width,
    codedHeight: height,
    description: AVC_CONFIG,
  };
  for (let index = 0; index < seconds * 10; index += 1)
    await source.add(new EncodedPacket(Buffer.from('0000000165', 'hex'), 'key', index / 10, 0.1), {
      decoderConfig,
    });
  await output.finalize();
  return Buffer.from(target.buffer ?? new ArrayBuffer());
}
