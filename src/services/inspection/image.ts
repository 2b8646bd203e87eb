import sharp from 'sharp';
import { MAX_PREVIEW_BYTES, PREVIEW_PIXELS } from './inspect.ts';
import type { Inspect } from './inspect.ts';

/** A larger image has neither dimensions nor a preview: it is read whole. */
const MAX_IMAGE_BYTES = 32 * 1024 ** 2;
/** Those of the largest common cameras. Checked from the header, before anything is decoded. */
const MAX_PIXELS = 50_000_000;
const MAX_DECODE_SECONDS = 10;
/** Tried in order until the preview is small enough. */
const QUALITIES = [70, 50, 30, 10];

/** Decoders of the formats that browsers show, and of HEIF for its dimensions. Others stay off: SVG, PDF, TIFF, and more. */
const DECODERS = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif'].map((name) => `VipsForeignLoad${name}Buffer`);

/** Reports the dimensions of an image as displayed, and a preview of its first frame without metadata. */
export const inspectImage: Inspect = async ({ size, reader }, report) => {
  if (size > MAX_IMAGE_BYTES || size === 0) return;
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: DECODERS });
  const bytes = await reader.read(0, size);
  // Reads the header alone, so any number of pixels is safe.
  const { autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata();
  report({ width: autoOrient.width, height: autoOrient.height });
  if (autoOrient.width * autoOrient.height > MAX_PIXELS) return;
  const preview = await encodePreview(bytes);
  if (preview !== undefined) report({ preview: preview.toString('base64') });
};

async function encodePreview(bytes: Uint8Array): Promise<Buffer | undefined> {
  const { data, info } = await sharp(bytes, {
    autoOrient: true,
    failOn: 'truncated',
    limitInputPixels: MAX_PIXELS,
    // The first frame only.
    pages: 1,
    sequentialRead: true,
  })
    .timeout({ seconds: MAX_DECODE_SECONDS })
    .resize(PREVIEW_PIXELS, PREVIEW_PIXELS, { fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  for (const quality of QUALITIES) {
    const encoded = await sharp(data, { raw: { width, height, channels } })
      .webp({ quality, alphaQuality: quality, effort: 6 })
      .toBuffer();
    if (encoded.length <= MAX_PREVIEW_BYTES) return encoded;
  }
  return undefined;
}
