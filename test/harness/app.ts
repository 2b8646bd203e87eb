import { createGateway } from '../../src/testing/index.ts';
import type { GatewayOptions, TestGateway } from '../../src/testing/index.ts';
import { testDatabase } from './database.ts';

/** The whole product over this worker's database, emptied: the same helper that other people's suites use. */
export async function testApp(options: GatewayOptions = {}): Promise<TestGateway> {
  return createGateway({ database: await testDatabase(), ...options });
}
