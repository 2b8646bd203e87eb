import { defineConfig } from 'vitest/config';
import { LongestFirstSequencer } from './test/harness/longest-first-sequencer.ts';
import { SummaryReporter } from './test/harness/summary-reporter.ts';

/** Files whose result does not depend on the kind of database: they run once, over the embedded one. */
const once = [
  'test/{bridge,browser,client,deploy,docs,examples,fuzz,lib,oracle,package,program,tools}/**/*.test.ts',
  'test/authorization/routes.test.ts',
  'test/conformance/matrix/**/*.test.ts',
  'test/conformance/{engine-io,legacy-types,odd-input,offline,socket-io,turn}*.test.ts',
  'test/domain/ice-urls.test.ts',
  'test/events/cursor.test.ts',
  'test/gateway/{bearer-token,client-address,cors,graphiql,graphql-ws-internals,keep-alive,large-operations,logs,operation-ids,persisted-operations}.test.ts',
  'test/gateway/{program,refresh,request-forms,several-gateways,sse-proxies,subscription-key,transport-limits,upload-names,ws-internals}.test.ts',
  'test/schema/{contract,descriptions,pagination,scalars}.test.ts',
  'test/services/inspection/*.test.ts',
  'test/services/{host-authentication,partial-files,passwords,security-log,tokens}.test.ts',
];
const notTests = ['**/node_modules/**', 'test/clients/**'];

export default defineConfig({
  test: {
    // Modules load as in production. Otherwise there would be two copies of graphql.
    experimental: { viteModuleRunner: false },
    pool: 'forks',
    // The files of a worker share its database: opening an embedded one takes longer than most files.
    isolate: false,
    // Two cores are busy with four workers: many tests wait for programs.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirstSequencer },
    setupFiles: ['test/harness/setup.ts'],
    // Bounds for tests that hang; one on a busy machine needs less.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
    reporters: ['default', new SummaryReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: 'pglite',
          include: ['test/**/*.test.ts'],
          exclude: [...notTests, ...once],
          provide: { database: 'pglite' },
          globalSetup: ['test/embedded-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: ['test/**/*.test.ts'],
          exclude: [...notTests, ...once],
          provide: { database: 'postgres' },
          globalSetup: ['test/postgres-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'once',
          include: once,
          exclude: notTests,
          provide: { database: 'pglite' },
          globalSetup: ['test/embedded-setup.ts'],
        },
      },
    ],
  },
});
