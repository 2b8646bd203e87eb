import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { detectContentType } from '../../../src/services/content-type.ts';
import { inspectFile, INSPECTION_LIMITS } from '../../../src/services/inspection/inspector.ts';
import type { InspectionLimits } from '../../../src/services/inspection/inspector.ts';
import {
  createGif,
  createMp3,
  createMp4,
  createPng,
  createWav,
  pngChunk,
} from '../../harness/media-files.ts';
import { indexes } from '../../harness/numbers.ts';
import { ROOT } from '../../harness/program.ts';

const PROGRAM = join(ROOT, 'src/services/inspection/program.ts');
const never = new AbortController().signal;

async function inspect(content: Buffer, limits: Partial<InspectionLimits> = {}, signal = never) {
  const file = {
    contentType: await detectContentType(content.subarray(0, 4100)),
    size: content.length,
    read: async ({ start, end }: { start: number; end: number }) =>
      Readable.from([content.subarray(start, end + 1)]),
  };
  return inspectFile(file, signal, { ...INSPECTION_LIMITS, ...limits });
}

/** Creates an image with detail, so that previews are large. */
const photo = (width: number, height: number) =>
  sharp({
    create: {
      width,
      height,
      channels: 3,
      background: 'black',
      noise: { type: 'gaussian', mean: 128, sigma: 30 },
    },
  });

const plain = (background: string, width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background } });

const PLACE = { IFD3: { GPSLatitude: '48/1 51/1 24/1', GPSLatitudeRef: 'N' } };

test.each([
  ['JPEG', () => photo(1200, 900).jpeg().toBuffer()],
  ['progressive JPEG', () => photo(1200, 900).jpeg({ progressive: true }).toBuffer()],
  ['PNG', () => photo(1200, 900).png().toBuffer()],
  ['WebP', () => photo(1200, 900).webp().toBuffer()],
  ['GIF', () => plain('red', 1200, 900).gif().toBuffer()],
  ['AVIF', () => photo(1200, 900).avif({ effort: 0 }).toBuffer()],
])('a %s image has dimensions and a preview', async (_name, create) => {
  const { found, failure } = await inspect(await create());
  expect([found.width, found.height, found.duration, failure]).toEqual([1200, 900, undefined, undefined]);
  const preview = found.preview ?? Buffer.alloc(0);
  expect(preview.length).toBeLessThanOrEqual(4_096);
  expect(await sharp(preview).metadata()).toMatchObject({ format: 'webp', width: 128, height: 96 });
});

test('a preview is upright, and has no metadata', async () => {
  const blue = { input: await plain('blue', 400, 400).png().toBuffer(), gravity: 'south' };
  const upright = await plain('red', 400, 800).composite([blue]).png().toBuffer();
  // Stored on its side, as phones do.
  const content = await sharp(upright)
    .rotate(270)
    .withExif(PLACE)
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();
  expect((await sharp(content).metadata()).exif).toBeDefined();
  const { found } = await inspect(content);
  expect([found.width, found.height]).toEqual([400, 800]);
  const metadata = await sharp(found.preview).metadata();
  expect(metadata).toMatchObject({ format: 'webp', width: 64, height: 128 });
  for (const kind of ['exif', 'xmp', 'iptc', 'icc', 'orientation']) expect(metadata).not.toHaveProperty(kind);
  const pixels = await sharp(found.preview).raw().toBuffer();
  const [[red = 0], blueOfLast = 0] = [pixels, pixels.at(-1)];
  expect([red > 200, blueOfLast > 200]).toEqual([true, true]);
});

test('a small image is not enlarged, and keeps its transparency', async () => {
  const content = await sharp({ create: { width: 5, height: 7, channels: 4, background: '#ff000080' } })
    .png()
    .toBuffer();
  const { found } = await inspect(content);
  expect(await sharp(found.preview).metadata()).toMatchObject({ width: 5, height: 7, hasAlpha: true });
});

test('an image of 16 bits keeps its colours', async () => {
  const grey = sharp({ create: { width: 5, height: 5, channels: 3, background: '#808080' } });
  const { found } = await inspect(await grey.toColourspace('rgb16').png().toBuffer());
  const [pixel = 0] = await sharp(found.preview).raw().toBuffer();
  expect(Math.abs(pixel - 128)).toBeLessThan(4);
});

test('audio and video have their duration, and video its dimensions as displayed', async () => {
  expect((await inspect(await createMp4(640, 360))).found).toEqual({ width: 640, height: 360, duration: 2 });
  expect((await inspect(await createMp4(640, 360, { rotation: 90 }))).found).toMatchObject({
    width: 360,
    height: 640,
  });
  expect((await inspect(createMp3(100))).found.duration).toBeCloseTo(2.6, 1);
  expect((await inspect(createWav(3))).found).toEqual({ duration: 3 });
});

test.each([
  ['more pixels than the limit', () => createPng(8_000, 7_000), { width: 8_000, height: 7_000 }],
  ['more pixels than any image may have', () => createPng(2_000_000_000, 2_000_000_000, { rows: 0 }), {}],
  ['rows that are missing', () => createPng(1_000, 1_000, { rows: 10 }), { width: 1_000, height: 1_000 }],
  ['markup', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), {}],
  ['nothing behind its first bytes', () => Buffer.from('ffd8ffe000104a4649460001', 'hex'), {}],
])('an image with %s has no preview', async (_name, create, found) => {
  expect(await inspect(create())).toEqual({ found });
});

test('an image of many frames, or with a text that expands, is decoded within the memory of its first frame', async () => {
  const memoryBytes = 250 * 1024 ** 2;
  expect((await inspect(createGif(20_000), { memoryBytes })).found).toMatchObject({ width: 1, height: 1 });
  const text = Buffer.concat([Buffer.from('a\0\0'), deflateSync(Buffer.alloc(300_000_000))]);
  const { found } = await inspect(createPng(8, 8, { chunks: [pngChunk('zTXt', text)] }), { memoryBytes });
  expect([{}, { width: 8, height: 8 }]).toContainEqual({ ...found, preview: undefined });
});

test('a progressive JPEG with hundreds of scans, each of which is decoded, has no preview', async () => {
  const jpeg = await plain('red', 1_200, 900).jpeg({ progressive: true }).toBuffer();
  const end = jpeg.length - 2;
  const scan = jpeg.subarray(jpeg.lastIndexOf(Buffer.from('ffda', 'hex')), end);
  const scans = indexes(400).map(() => scan);
  const content = Buffer.concat([jpeg.subarray(0, end), ...scans, jpeg.subarray(end)]);
  expect(await inspect(content)).toEqual({ found: { width: 1_200, height: 900 } });
});

test('an image that takes more memory than the limit ends its process, and keeps its dimensions', async () => {
  const content = createPng(5_000, 5_000, { interlaced: true });
  expect(content.length).toBeLessThan(1_000_000);
  expect(await inspect(content, { memoryBytes: 150 * 1024 ** 2 })).toEqual({
    found: { width: 5_000, height: 5_000 },
    failure: 'process',
  });
});

test('an inspection that exceeds a limit ends', async () => {
  const content = await photo(2_000, 1_500).png().toBuffer();
  expect(await inspect(content, { bytes: 1_000 })).toEqual({ found: {}, failure: 'reads' });
  expect(await inspect(await createMp4(640, 360), { reads: 0 })).toMatchObject({ failure: 'reads' });
});

const FILE = { contentType: 'image/png', size: 5_000_000 };

/** Inspects a file by another program, which a file may have turned the parser into. */
async function inspectBy(script: string, limits: Partial<InspectionLimits> = {}, file = FILE) {
  await using folder = await createScript(script);
  const read = async ({ start, end }: { start: number; end: number }) =>
    Readable.from([Buffer.alloc(end - start + 1)]);
  return await inspectFile({ ...file, read }, never, { ...INSPECTION_LIMITS, ...limits }, folder.path);
}

async function createScript(script: string) {
  const dir = await mkdtemp(join(tmpdir(), 'parley-inspection-'));
  const path = join(dir, 'program.mjs');
  await writeFile(path, script);
  return { path, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}

const report = (width: number) => `console.log(JSON.stringify({ found: { width: ${width} } }));`;
const readBytes = (end: number) => `console.log(JSON.stringify({ read: [0, ${end}] }));`;

test('an inspection that takes too long ends, and keeps what was found', async () => {
  const endless = 'process.stdin.on("data", () => { for (;;); });';
  expect(await inspectBy(`${report(7)}${readBytes(1)}${endless}`, { ms: 2_000 })).toEqual({
    found: { width: 7 },
    failure: 'time',
  });
});

test('an inspection has longer for more bytes, which a bucket may send slowly', async () => {
  // As long as the limit, after it has read five million bytes.
  const script = `
    let size = 0;
    process.stdin.on('data', (bytes) => {
      size += bytes.length;
      if (size < 5e6) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
      ${report(7)}
      process.exit();
    });
    ${readBytes(5_000_000)}
  `;
  expect(await inspectBy(script, { ms: 2_500 })).toEqual({ found: { width: 7 } });
});

test('a process that reports more than a file has to tell ends, and keeps what it had told', async () => {
  const reports = (count: number) => indexes(count).map((index) => report(index + 1));
  const rest = `${readBytes(1)} process.stdin.once('data', () => process.exit());`;
  expect(await inspectBy([...reports(4), rest].join('\n'))).toEqual({ found: { width: 4 } });
  expect(await inspectBy([...reports(5), rest].join('\n'))).toEqual({
    found: { width: 4 },
    failure: 'protocol',
  });
});

test('the memory of a process is limited while its parser blocks it', async () => {
  // Less than the machine has, should the limit fail.
  const block =
    'process.on("SIGUSR2", () => { const a = []; for (;;) if (a.length < 900) a.push(Buffer.alloc(1e6, 1)); })';
  const args = [
    '--import',
    `data:text/javascript,${encodeURIComponent(block)}`,
    PROGRAM,
    'audio/mpeg',
    '100000',
    '300000000',
  ];
  const child = spawn(process.execPath, args, { env: {}, stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    await once(child.stdout, 'data');
    child.kill('SIGUSR2');
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a process that does not start, and a storage that does not respond, are errors of the server', async () => {
  await expect(inspect(createMp3(100), { ms: 1 })).rejects.toThrow('did not start');
  const file = { contentType: 'image/png', size: 100, read: () => new Promise<never>(() => undefined) };
  await expect(inspectFile(file, never, { ...INSPECTION_LIMITS, ms: 3_000 })).rejects.toThrow(/did not/);
});

test('errors of the storage, and the end of the server, are thrown', async () => {
  const file = { contentType: 'image/png', size: 100 };
  const failing = { ...file, read: () => Promise.reject(new Error('The storage is unavailable')) };
  await expect(inspectFile(failing, never)).rejects.toThrow('The storage is unavailable');
  const broken = () =>
    new Readable({
      read() {
        this.destroy(new Error('The connection broke'));
      },
    });
  await expect(inspectFile({ ...file, read: async () => broken() }, never)).rejects.toThrow(
    'The connection broke',
  );
  const controller = new AbortController();
  const stalling = {
    ...file,
    read: async () => {
      controller.abort(new Error('stopped'));
      return new Readable({ read() {} });
    },
  };
  await expect(inspectFile(stalling, controller.signal)).rejects.toThrow('stopped');
});
