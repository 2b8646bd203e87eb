import decodeQR from 'qr/decode.js';
import type { Locator } from 'playwright-core';
import sharp from 'sharp';

/** Reads the text of a QR code as it is on the screen. */
export async function readQr(code: Locator): Promise<string> {
  const image = sharp(await code.screenshot()).ensureAlpha();
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return decodeQR({ width: info.width, height: info.height, data });
}
