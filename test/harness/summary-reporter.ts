import type { Reporter, TestModule } from 'vitest/node';

/** Title prefix of a placeholder test that names the missing program of skipped tests. */
export const SKIP_TITLE = 'skipped, not installed: ';

/**
 * Prints at the end of a run the missing programs with the affected files, each failure in one line, and the counts of
 * tests: the last lines of a log are often all that is kept of it.
 */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skips = new Map<string, Set<string>>();
    for (const module of modules) {
      for (const error of module.errors()) reportFailure(module.relativeModuleId, error.message);
      for (const test of module.children.allTests()) {
        const { state, errors = [] } = test.result();
        for (const error of errors) {
          reportFailure(`${module.relativeModuleId} > ${test.fullName}`, error.message);
        }
        if (state !== 'pending') counts[state] += 1;
        if (test.name.startsWith(SKIP_TITLE)) {
          const program = test.name.slice(SKIP_TITLE.length);
          skips.set(program, (skips.get(program) ?? new Set()).add(module.relativeModuleId));
        }
      }
    }
    for (const [program, files] of skips) {
      console.log(`Skipped, because ${program} is not installed: ${[...files].join(', ')}`);
    }
    console.log(`Tests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
}

function reportFailure(where: string, message: string): void {
  console.log(`Failed: ${where}: ${(message.split('\n', 1)[0] ?? '').slice(0, 300)}`);
}
