import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** The slowest files, the slowest first. A fresh clone has no durations of earlier runs to sort by. */
export const LONGEST = [
  'test/examples/outages.test.ts',
  'test/client/restarts.test.ts',
  'test/deploy/rolling-restart.test.ts',
  'test/deploy/proxies.test.ts',
  'test/fuzz/sequences.test.ts',
  'test/docs/readme.test.ts',
  'test/docs/secrets.test.ts',
  'test/docs/secrets-devices.test.ts',
  'test/docs/backup.test.ts',
  'test/authorization/matrix.test.ts',
  'test/fuzz/graphql.test.ts',
  'test/program/start.test.ts',
  'test/program/memory.test.ts',
  'test/conformance/matrix/matrix.test.ts',
  'test/program/clock.test.ts',
  'test/client/network-failures.test.ts',
  'test/examples/apollo.test.ts',
  'test/gateway/program.test.ts',
  'test/examples/urql.test.ts',
  'test/browser/page.test.ts',
  'test/bridge/malicious-clients.test.ts',
  'test/program/demo.test.ts',
  'test/examples/typed.test.ts',
  'test/examples/relay.test.ts',
  'test/examples/event-source.test.ts',
];

/** Starts the slowest files of each project first, so that none runs alone at the end while other workers are idle. */
export class LongestFirstSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index < 0 ? LONGEST.length : index;
    };
    const projects = [...new Set(sorted.map(({ project }) => project))];
    return projects.flatMap((project) =>
      sorted.filter((file) => file.project === project).sort((one, other) => rank(one) - rank(other)),
    );
  }
}
