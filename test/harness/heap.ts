import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of objects and of buffers beside them that are in use, once everything else has been collected. */
export function memoryInUse(): number {
  // The second one waits until what the first one has found is freed: buffers are freed on other threads.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
