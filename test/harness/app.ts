import { createGateway } from '../../src/testing/index.ts';
import type { GatewayOptions, TestGateway } from '../../src/testing/index.ts';
import { openTestDatabase } from './database.ts';

/** Starts the whole product over this worker's emptied database, by the helper that `parley/testing` exports. */
export async function startTestApp(options: GatewayOptions = {}): Promise<TestGateway> {
  return createGateway({ database: await openTestDatabase(), ...options });
}
