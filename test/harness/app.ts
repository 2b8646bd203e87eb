import { createGateway } from '../../src/testing/index.ts';
import type { GatewayOptions, TestGateway } from '../../src/testing/index.ts';
import { testDatabase } from './database.ts';

/** Starts the whole product over this worker's emptied database, by the helper that `parley/testing` exports. */
export async function testApp(options: GatewayOptions = {}): Promise<TestGateway> {
  return createGateway({ database: await testDatabase(), ...options });
}
