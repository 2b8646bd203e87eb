import { defineConfig } from 'vitest/config';
import { Summary } from './test/harness/summary.ts';

// What these test is no business of a database.
const once = [
  'test/tools/**/*.test.ts',
  'test/docs/**/*.test.ts',
  'test/lib/**/*.test.ts',
  'test/program/**/*.test.ts',
  'test/examples/**/*.test.ts',
  'test/browser/**/*.test.ts',
  'test/client/**/*.test.ts',
  'test/conformance/matrix/**/*.test.ts',
  'test/bridge/{engine-io,transport}.test.ts',
  'test/conformance/{engine-io,legacy-types,odd-input,socket-io}*.test.ts',
  'test/bridge/hostile*.test.ts',
  'test/conformance/offline.test.ts',
  'test/gateway/{bearer-token,cors,keep-alive,persisted-operations,request-forms,sse-proxies,upload-names}.test.ts',
  'test/bridge/{races,room-delivery,usage-counter}.test.ts',
];
const notTests = ['**/node_modules/**', 'test/clients/**'];

export default defineConfig({
  test: {
    // Modules load as they do in production, or there would be two copies of graphql.
    experimental: { viteModuleRunner: false },
    pool: 'forks',
    // Files of one worker share its database: opening an embedded one for each would take longer than the tests.
    isolate: false,
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    reporters: ['default', new Summary()],
    projects: [
      {
        extends: true,
        test: {
          name: 'pglite',
          setupFiles: ['test/harness/setup.ts'],
          include: ['test/**/*.test.ts'],
          exclude: [...notTests, ...once],
          provide: { database: 'pglite' },
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          setupFiles: ['test/harness/setup.ts'],
          include: ['test/**/*.test.ts'],
          exclude: [...notTests, ...once],
          provide: { database: 'postgres' },
          globalSetup: ['test/global-setup.ts'],
        },
      },
      {
        extends: true,
        test: { name: 'once', include: once, exclude: notTests, provide: { database: 'pglite' } },
      },
    ],
  },
});
