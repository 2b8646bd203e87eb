import { ADTS, CustomSource, FLAC, Input, MATROSKA, MP3, MP4, OGG, QTFF, WAVE, WEBM } from 'mediabunny';
import type { Inspect } from './inspect.ts';

/** Not `ALL_FORMATS`, which has playlists of other addresses. */
const FORMATS = [MP4, QTFF, MATROSKA, WEBM, MP3, WAVE, OGG, ADTS, FLAC];
/** Bytes that the parser keeps. */
const CACHE_BYTES = 8 * 1024 ** 2;

/** Reports the dimensions of a video as displayed, and the duration of audio and video. */
export const inspectAudioOrVideo: Inspect = async ({ size, reader }, report) => {
  using input = new Input({
    formats: FORMATS,
    source: new CustomSource({
      getSize: () => size,
      read: (start, end) => reader.read(start, end),
      maxCacheSize: CACHE_BYTES,
      // Reads are requests to the bucket.
      prefetchProfile: 'network',
    }),
  });
  const video = await input.getPrimaryVideoTrack();
  if (video !== null) {
    // Not whole numbers where pixels are not squares.
    const [width, height] = [await video.getDisplayWidth(), await video.getDisplayHeight()];
    report({ width: Math.round(width), height: Math.round(height) });
  }
  const duration = (await input.getDurationFromMetadata()) ?? (await input.computeDuration());
  if (duration > 0) report({ duration });
};
